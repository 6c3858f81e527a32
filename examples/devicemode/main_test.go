package main

// Internal, as a program exports nothing to test it by.

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// network is a func as a connection.
type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) { return n(r) }

// memory reaches the tools without a socket, so that the clock is not waited for.
func memory(t *tools) network {
	byHost := map[string]http.RoundTripper{}
	for _, one := range t.all() {
		byHost[one.host] = desttest.Serve(one)
	}
	return func(r *http.Request) (*http.Response, error) { return byHost[r.URL.Host].RoundTrip(r) }
}

func TestThePromisesHold(t *testing.T) {
	name := filepath.Join(t.TempDir(), "page.html")
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tools := newTools()
		r, err := run(&out, tools, memory(tools))
		require.NoError(t, err)
		require.NoError(t, r.check())
		r.print(&out)
		require.NoError(t, writePage(&out, name, r))
		require.Contains(t, out.String(), "Customer.io       169       120  49 (1 integrations, 48 plugin)       0  answered 200, 0 waiting")
		require.Contains(t, out.String(), "12 events came to it twice")
		require.Contains(t, out.String(), name)

		refused := r.accounts()[1].Refused
		require.Positive(t, refused)
		page, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, refused+1, strings.Count(string(page), `class="no"`), "one of them is in the key")
		require.Equal(t, 2, strings.Count(string(page), `<rect class="outage"`), "one of them is in the key")
		require.Equal(t, 3, strings.Count(string(page), `<polyline class="held"`))
	})
}

func TestThePromisesAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		breaks func(*tools, network) network
		want   string
	}{
		"a tool that loses what it has taken": {
			func(t *tools, n network) network {
				t.customerio.judge = func(r *http.Request, body []byte) verdict {
					v := judgeCustomerio(r, body)
					v.stored = v.stored[1:]
					return v
				}
				return n
			}, "Customer.io has of customer-01",
		},
		"a tool that forgets its keys": {
			func(t *tools, n network) network {
				var copies atomic.Int64
				t.posthog.judge = func(r *http.Request, body []byte) verdict {
					v := judgePostHog(r, body)
					for i := range v.stored {
						v.stored[i].key += fmt.Sprint(" of copy ", copies.Add(1))
					}
					return v
				}
				return n
			}, "PostHog has of customer-01",
		},
		"a tool that the dead one holds up": {
			func(t *tools, n network) network {
				return func(r *http.Request) (*http.Response, error) {
					t.posthog.mu.Lock()
					down := t.posthog.down
					t.posthog.mu.Unlock()
					if down && r.URL.Host == amplitudeHost {
						return nil, errors.New("held up")
					}
					return n(r)
				}
			}, "Amplitude was held up: it had 0 of 96 when PostHog came back",
		},
		"a tool that never comes back": {
			func(_ *tools, n network) network {
				return func(r *http.Request) (*http.Response, error) {
					if r.URL.Host == posthogHost {
						return nil, errors.New("gone")
					}
					return n(r)
				}
			}, "the account of PostHog does not balance",
		},
		"an outage that was none": {
			func(t *tools, n network) network {
				t.posthog.judge = func(r *http.Request, body []byte) verdict {
					t.posthog.set(false)
					return judgePostHog(r, body)
				}
				return n
			}, "PostHog had no trouble, so nothing was shown",
		},
		"requests that are sent twice": {
			func(_ *tools, n network) network {
				return func(r *http.Request) (*http.Response, error) {
					again := r.Clone(r.Context())
					again.Body, _ = r.GetBody()
					if _, err := n(again); err != nil {
						return nil, err
					}
					return n(r)
				}
			}, "217 records came to Amplitude twice, though it was up",
		},
		"requests that a tool finds wrong": {
			func(_ *tools, n network) network {
				return func(r *http.Request) (*http.Response, error) {
					r = r.Clone(r.Context())
					r.Header.Del("Authorization")
					return n(r)
				}
			}, "Customer.io answers 401",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				tools := newTools()
				r, _ := run(&out, tools, c.breaks(tools, memory(tools)))
				require.NotNil(t, r)
				r.print(&out)
				require.ErrorContains(t, r.check(), c.want)
				require.NotContains(t, out.String(), "Each tool has every event")
			})
		})
	}
}

// What the program shows is worth as much as its fakes are strict.
func TestTheFakesAreStrict(t *testing.T) {
	const event = `"event_type":"E","insert_id":"i","time":1`
	for name, c := range map[string]struct {
		judge      func(*http.Request, []byte) verdict
		path, body string
		status     int
		stored     int
	}{
		"Amplitude: a place that there is not": {judgeAmplitude, "/batch", `{}`, 404, 0},
		"Amplitude: no JSON":                   {judgeAmplitude, "/2/httpapi", `{`, 400, 0},
		"Amplitude: another key":               {judgeAmplitude, "/2/httpapi", `{"api_key":"k","events":[]}`, 400, 0},
		"Amplitude: an event of nobody":        {judgeAmplitude, "/2/httpapi", `{"api_key":"amplitude-key","events":[{` + event + `}]}`, 400, 0},
		"Amplitude: an id that is too short":   {judgeAmplitude, "/2/httpapi", `{"api_key":"amplitude-key","events":[{` + event + `,"user_id":"four"}]}`, 400, 0},
		"Amplitude: what it takes":             {judgeAmplitude, "/2/httpapi", `{"api_key":"amplitude-key","events":[{` + event + `,"user_id":"five5"}]}`, 200, 1},
		"PostHog: another key":                 {judgePostHog, "/batch/", `{"api_key":"k"}`, 401, 0},
		"PostHog: an id that is no UUID":       {judgePostHog, "/batch/", `{"api_key":"phc_key","batch":[{"event":"E","timestamp":"2026-11-20T12:00:00Z","uuid":"1","properties":{"distinct_id":"u"}}]}`, 400, 0},
		"PostHog: what it takes":               {judgePostHog, "/batch/", `{"api_key":"phc_key","batch":[{"event":"E","timestamp":"2026-11-20T12:00:00Z","uuid":"00000000-0000-4000-8000-000000000001","properties":{"distinct_id":"u"}}]}`, 200, 1},
		"Customer.io: an item of nobody":       {judgeCustomerio, "/api/v2/batch", `{"batch":[{"type":"person","action":"event","name":"E","id":"i"},{"type":"person","action":"identify","identifiers":{"id":"u"}}]}`, 207, 1},
		"Customer.io: what it takes":           {judgeCustomerio, "/api/v2/batch", `{"batch":[{"type":"person","action":"event","name":"E","id":"i","identifiers":{"id":"u"}}]}`, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, c.path, nil)
			r.Header.Set("Content-Type", "application/json")
			r.SetBasicAuth(customerioSite, customerioKey)
			v := c.judge(r, []byte(c.body))
			require.Equal(t, c.status, v.status, v.answer)
			require.Len(t, v.stored, c.stored)
		})
	}
}

func TestNobodyElseIsReached(t *testing.T) {
	tools := newTools()
	network, shut := tools.listen()
	defer shut()
	client := http.Client{Transport: network}
	_, err := client.Get("https://api.mixpanel.com/import")
	require.ErrorContains(t, err, "nobody stands for api.mixpanel.com")
	res, err := client.Get("https://" + posthogHost + "/batch/")
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	require.Len(t, tools.posthog.calls(), 1)
}
