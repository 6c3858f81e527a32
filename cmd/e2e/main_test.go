package main

// The tests are internal: a command exports nothing to test it by.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
)

// outcome is what a run left behind.
type outcome struct {
	report
	code   int
	stdout string
	stderr string
}

// e2e runs the command in memory against srv, with env by name and value.
func e2e(t *testing.T, srv *analyticstest.Server, env map[string]string, args ...string) outcome {
	t.Helper()
	return (&command{transport: srv.Transport()}).capture(t, "", env, args...)
}

func (c *command) capture(t *testing.T, stdin string, env map[string]string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.stdin, c.stdout, c.stderr = strings.NewReader(stdin), &stdout, &stderr
	c.env = func(name string) string { return env[name] }
	out := outcome{code: c.run(args), stdout: stdout.String(), stderr: stderr.String()}
	if out.stdout != "" {
		require.Equal(t, 1, strings.Count(out.stdout, "\n"), "one line: %s", out.stdout)
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &out.report))
		require.Equal(t, out.Success, out.code == exitDelivered)
		require.Equal(t, out.Success, out.Error == "")
	}
	return out
}

// with makes input JSON of one sequence.
func with(config string, events ...string) string {
	return fmt.Sprintf(`{"writeKey":"k","apiHost":"http://segment.test","sequences":[{"delayMs":0,"events":[%s]}],"config":{%s}}`,
		strings.Join(events, ","), config)
}

func track(id string) string {
	return fmt.Sprintf(`{"type":"track","messageId":%q,"userId":"u1","event":"Order Completed"}`, id)
}

// only is the one message that arrived, without what the library gives every message,
// which is checked to be there.
func only(t *testing.T, srv *analyticstest.Server) string {
	t.Helper()
	messages := srv.Decoded()
	require.Len(t, messages, 1)
	m := messages[0]
	require.NotEmpty(t, m["messageId"])
	require.NotEmpty(t, m["timestamp"])
	context := m["context"].(map[string]any)
	require.NotEmpty(t, context["library"])
	delete(m, "messageId")
	delete(m, "timestamp")
	delete(context, "library")
	if len(context) == 0 {
		delete(m, "context")
	}
	b, err := json.Marshal(m)
	require.NoError(t, err)
	return string(b)
}

func TestFlagsSendWhatIsGivenAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"track": {
			[]string{"--type=track", "--userId=u1", "--event=Order Completed", `--properties={"revenue":39.95,"id":9007199254740993,"none":null,"":""}`},
			`{"type":"track","userId":"u1","event":"Order Completed","properties":{"revenue":39.95,"id":9007199254740993,"none":null,"":""}}`,
		},
		"track of an anonymous user": {
			[]string{"--type", "track", "--anonymousId", "a1", "--event", "Viewed"},
			`{"type":"track","anonymousId":"a1","event":"Viewed"}`,
		},
		"identify": {
			[]string{"-type=identify", "-userId=u1", "-anonymousId=a1", `-traits={"email":"ada@example.com"}`},
			`{"type":"identify","userId":"u1","anonymousId":"a1","traits":{"email":"ada@example.com"}}`,
		},
		"page": {
			[]string{"--type=page", "--userId=u1", "--name=Home", `--properties={"url":"https://example.com/"}`},
			`{"type":"page","userId":"u1","name":"Home","properties":{"url":"https://example.com/"}}`,
		},
		"page without a name": {
			[]string{"--type=page", "--userId=u1"},
			`{"type":"page","userId":"u1"}`,
		},
		"screen": {
			[]string{"--type=screen", "--userId=u1", "--name=Main"},
			`{"type":"screen","userId":"u1","name":"Main"}`,
		},
		"group": {
			[]string{"--type=group", "--userId=u1", "--groupId=g1", `--traits={}`},
			`{"type":"group","userId":"u1","groupId":"g1","traits":{}}`,
		},
		"alias": {
			[]string{"--type=alias", "--userId=u1", "--previousId=p1"},
			`{"type":"alias","userId":"u1","previousId":"p1"}`,
		},
		"context and integrations": {
			[]string{"--type=track", "--userId=u1", "--event=E", `--context={"ip":"203.0.113.7","mine":[1]}`, `--integrations={"All":false,"Mixpanel":true}`},
			`{"type":"track","userId":"u1","event":"E","context":{"ip":"203.0.113.7","mine":[1]},"integrations":{"All":false,"Mixpanel":true}}`,
		},
		"a flag without a value is not given": {
			[]string{"--type=track", "--userId=u1", "--event=E", "--name=", "--properties=", "--groupId="},
			`{"type":"track","userId":"u1","event":"E"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := analyticstest.NewServer()
				srv.SetRules(analyticstest.Rules{WriteKeys: []string{"k"}})
				out := e2e(t, srv, nil, append(c.args, "--writeKey=k", "--endpoint=http://segment.test")...)
				require.Equal(t, exitDelivered, out.code, out.stdout)
				require.Equal(t, `{"success":true,"sentBatches":1}`+"\n", out.stdout)
				require.JSONEq(t, c.want, only(t, srv))
				require.Empty(t, srv.Violations())
			})
		})
	}
}

func TestEndpoint(t *testing.T) {
	message := []string{"--writeKey=k", "--type=track", "--userId=u1", "--event=E"}
	input := func(host string) []string {
		return []string{"--input", fmt.Sprintf(`{"writeKey":"k","apiHost":%q,"sequences":[{"events":[%s]}]}`, host, track("m1"))}
	}
	environment := map[string]string{"SEGMENT_ENDPOINT": "https://env.test"}
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"Segment where nothing is given":     {nil, message, "api.segment.io/v1/batch"},
		"the environment":                    {environment, message, "env.test/v1/batch"},
		"a flag wins over the environment":   {environment, append(message, "--endpoint=https://flag.test"), "flag.test/v1/batch"},
		"apiHost wins over a flag":           {environment, append(input("https://host.test"), "--endpoint=https://flag.test"), "host.test/v1/batch"},
		"input without apiHost takes a flag": {nil, append(input(""), "--endpoint=https://flag.test"), "flag.test/v1/batch"},
		"apiHost without a scheme":           {nil, input("host.test:8443"), "host.test:8443/v1/batch"},
		"apiHost with the path of the API":   {nil, input("host.test/v1"), "host.test/v1/batch"},
		"apiHost with the path of a batch":   {nil, input("https://host.test/v1/batch/"), "host.test/v1/batch"},
		"apiHost behind a prefix":            {nil, input("https://host.test/proxy/v1/"), "host.test/proxy/v1/batch"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := analyticstest.NewServer()
				if strings.Contains(c.want, "/proxy/") {
					srv.SetRules(analyticstest.Rules{Prefix: "/proxy"})
				}
				out := e2e(t, srv, c.env, c.args...)
				require.Equal(t, exitDelivered, out.code, out.stdout)
				require.Equal(t, c.want, srv.Log()[0].Host+srv.Log()[0].Path)
			})
		})
	}

	for host, want := range map[string]string{
		"":                       "",
		"api.segment.io":         "https://api.segment.io",
		"api.segment.io/v1":      "https://api.segment.io",
		"http://api.segment.io/": "http://api.segment.io",
		"localhost:8080":         "http://localhost:8080",
		"127.0.0.1:8080/v1":      "http://127.0.0.1:8080",
		"[::1]:8080":             "http://[::1]:8080",
		"localhost.example.com":  "https://localhost.example.com",
	} {
		require.Equal(t, want, endpoint(host), host)
	}
}

func TestInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		out := e2e(t, srv, nil, "--input", with(`"flushAt":20,"flushInterval":100`,
			`{"type":"identify","userId":"u1","traits":{"email":"ada@example.com"}}`,
			`{"type":"track","anonymousId":"a1","event":"E","messageId":"m1","timestamp":"2024-01-15T10:30:00Z","properties":{"n":12345678901234567890}}`,
			`{"type":"page","userId":"u1","name":"Home","category":"Docs"}`,
			`{"type":"screen","userId":"u1","name":"Main","somethingNew":{"deep":[true,null]}}`,
			`{"type":"group","userId":"u1","groupId":"g1","integrations":{"All":true}}`,
			`{"type":"alias","userId":"u1","previousId":"p1","context":{"ip":"203.0.113.7"}}`,
		))
		require.Equal(t, `{"success":true,"sentBatches":1}`+"\n", out.stdout)
		require.Empty(t, srv.Violations())

		var keys []string
		messages := srv.Decoded()
		for _, m := range messages {
			keys = append(keys, strings.Join(slices.Sorted(maps.Keys(m)), " "))
		}
		require.Equal(t, []string{
			"context messageId timestamp traits type userId",
			"anonymousId context event messageId properties timestamp type",
			"category context messageId name timestamp type userId",
			"context messageId name somethingNew timestamp type userId",
			"context groupId integrations messageId timestamp type userId",
			"context messageId previousId timestamp type userId",
		}, keys)
		require.Equal(t, "m1", messages[1]["messageId"])
		require.Equal(t, "2024-01-15T10:30:00.000Z", messages[1]["timestamp"])
		require.Equal(t, map[string]any{"n": json.Number("12345678901234567890")}, messages[1]["properties"])
		require.Equal(t, map[string]any{"deep": []any{true, nil}}, messages[3]["somethingNew"])
	})
}

func TestInputComesFromStandardInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		c := command{transport: srv.Transport()}
		out := c.capture(t, with("", track("m1")), nil, "--input", "-")
		require.Equal(t, exitDelivered, out.code, out.stdout)
		require.Equal(t, 1, srv.Copies("m1"))
	})
}

func TestSequencesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		start := time.Now()
		out := e2e(t, srv, nil, "--input", fmt.Sprintf(`{"writeKey":"k","apiHost":"segment.test","sequences":[
			{"events":[%s]}, {"delayMs":1500,"events":[%s]}, {"delayMs":500}],"config":{"flushInterval":100}}`, track("m1"), track("m2")))
		require.Equal(t, `{"success":true,"sentBatches":2}`+"\n", out.stdout)
		log := srv.Log()
		require.Len(t, log, 2)
		require.Equal(t, 100*time.Millisecond, log[0].Time.Sub(start))
		require.Equal(t, 1600*time.Millisecond, log[1].Time.Sub(start))
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestFlushAtIsTheMostOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		out := e2e(t, srv, nil, "--input", with(`"flushAt":2`, track("m1"), track("m2"), track("m3"), track("m4"), track("m5")))
		require.Equal(t, `{"success":true,"sentBatches":3}`+"\n", out.stdout)
		require.Equal(t, 5, srv.Unique())
		for _, r := range srv.Log() {
			require.LessOrEqual(t, r.Messages, 2)
		}
	})
}

func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		config   string
		replies  []analyticstest.Reply
		requests int
		want     report
	}{
		"503 and then well": {
			"", analyticstest.Statuses(503), 2, report{Success: true, SentBatches: 1},
		},
		"as often as the default allows": {
			"", analyticstest.Statuses(500, 502, 408), 4, report{Success: true, SentBatches: 1},
		},
		"more often than the default allows": {
			"", analyticstest.Statuses(500, 502, 408, 503), 4,
			report{Error: "1 of 1 accepted events were not delivered: attempts: status 503 Service Unavailable"},
		},
		"maxRetries": {
			`"maxRetries":1`, analyticstest.Statuses(500, 500, 500), 2,
			report{Error: "1 of 1 accepted events were not delivered: attempts: status 500 Internal Server Error"},
		},
		"no retries": {
			`"maxRetries":0`, analyticstest.Statuses(500, 500), 1,
			report{Error: "1 of 1 accepted events were not delivered: attempts: status 500 Internal Server Error"},
		},
		"a reset connection": {
			"", []analyticstest.Reply{{Reset: true}}, 2, report{Success: true, SentBatches: 1},
		},
		"Retry-After does not count": {
			`"maxRetries":0`, []analyticstest.Reply{{Status: 429, RetryAfter: "7", Times: 3}}, 4, report{Success: true, SentBatches: 1},
		},
		"a pause longer than the patience": {
			"", []analyticstest.Reply{{Status: 429, RetryAfter: "300", Times: -1}}, 1,
			report{Error: "1 of 1 accepted events were not delivered: closed: status 429 Too Many Requests"},
		},
		"400 is permanent": {
			"", analyticstest.Statuses(400, 400), 2, // once with gzip, once without
			report{Error: "1 of 1 accepted events were not delivered: rejected: status 400 Bad Request"},
		},
		"404 is permanent": {
			"", analyticstest.Statuses(404), 1,
			report{Error: "1 of 1 accepted events were not delivered: rejected: status 404 Not Found"},
		},
		"401 is not waited for": {
			"", analyticstest.Statuses(401), 1,
			report{Error: "1 of 1 accepted events were not delivered: unauthorized: status 401 Unauthorized"},
		},
		"a redirect is not followed": {
			"", []analyticstest.Reply{{Status: 301, Header: http.Header{"Location": {"https://elsewhere.test"}}}}, 1,
			report{Error: "1 of 1 accepted events were not delivered: rejected: status 301 Moved Permanently"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := analyticstest.NewServer()
				srv.Script(c.replies...)
				start := time.Now()
				out := e2e(t, srv, nil, "--input", with(c.config, track("m1")))
				require.Equal(t, c.want, out.report)
				require.Equal(t, c.requests, srv.Requests())
				require.Less(t, time.Since(start), time.Minute)
			})
		})
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		srv.Script(analyticstest.Reply{Hang: true, Times: -1})
		start := time.Now()
		out := e2e(t, srv, nil, "--input", with(`"timeout":2.5,"maxRetries":0,"flushAt":1`, track("m1")))
		require.Equal(t, exitFailed, out.code)
		require.Contains(t, out.Error, "attempts: context deadline exceeded")
		require.Equal(t, 2500*time.Millisecond, time.Since(start))
		srv.Close()
	})
}

func TestUnreachableEndpoint(t *testing.T) {
	// The port was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	out := new(command).capture(t, "", nil, "--input", fmt.Sprintf(
		`{"writeKey":"k","apiHost":%q,"sequences":[{"events":[%s]}],"config":{"maxRetries":0}}`, l.Addr(), track("m1")))
	require.Equal(t, exitFailed, out.code)
	require.Equal(t, 0, out.SentBatches)
	require.Contains(t, out.Error, "1 of 1 accepted events were not delivered: attempts: ")
	require.Contains(t, out.Error, "connect")
}

func TestOverTheNetwork(t *testing.T) {
	srv := analyticstest.NewServer()
	defer srv.Close()
	out := new(command).capture(t, "", map[string]string{"SEGMENT_ENDPOINT": srv.Start()},
		"--writeKey=k", "--type=track", "--userId=u1", "--event=E")
	require.Equal(t, exitDelivered, out.code, out.stdout)
	require.JSONEq(t, `{"type":"track","userId":"u1","event":"E"}`, only(t, srv))
}

func TestMalformedEventsAreNamedAndTheOthersSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		out := e2e(t, srv, nil, "--input", with("",
			`{"type":"track","userId":"u1"}`,
			track("m1"),
			`{"type":"trakc","userId":"u1","event":"E"}`,
			`{"type":"track","userId":42,"event":"E"}`,
			`{"type":"track","event":"E"}`,
			`{"type":"track","userId":"u1","event":"E","properties":[1]}`,
			`{"type":"track","userId":"u1","event":"E","timestamp":"yesterday"}`,
			`"track"`, `null`, `[]`,
			`{"type":"group","userId":"u1"}`,
			fmt.Sprintf(`{"type":"track","userId":"u1","event":"E","properties":{"long":%q}}`, strings.Repeat("x", 33_000)),
			track("m2"),
		))
		require.Equal(t, exitFailed, out.code)
		require.Equal(t, 1, out.SentBatches)
		require.Equal(t, 2, srv.Accepted())
		require.Equal(t, 1, srv.Copies("m1"))
		require.Equal(t, 1, srv.Copies("m2"))

		faults := strings.Split(out.Error, "; ")
		require.Len(t, faults, 11)
		for i, want := range []string{
			"events[0]: event: is required",
			"events[2]: type: is none of",
			"events[3]: userId: is",
			"events[4]: userId: is required",
			"events[5]: properties: is not an object",
			"events[6]: timestamp: is not",
			"events[7]: ",
			"events[8]: ",
			"events[9]: ",
			"events[10]: groupId: is required",
			"events[11]: message: has ",
		} {
			require.True(t, strings.HasPrefix(faults[i], "sequences[0]."+want), "%s: %s", want, faults[i])
		}
	})
}

func TestWhatARouteFiltersIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		out := e2e(t, srv, nil, "--input", with("", track("m1"), `{"type":"track","userId":"u1","event":"E","integrations":{"Segment.io":false}}`))
		require.Equal(t, report{SentBatches: 1, Error: "1 of 2 accepted events were not delivered: filtered: integrations"}, out.report)
	})
}

func TestMoreEventsThanOutcomesFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		events := make([]string, 10_000)
		for i := range events {
			events[i] = track(fmt.Sprint("m", i))
		}
		out := e2e(t, srv, nil, "--input", with("", events...))
		require.True(t, out.Success, out.Error)
		require.Equal(t, 10_000, srv.Unique())
		require.Equal(t, srv.Requests(), out.SentBatches)
	})
}

func TestNothingToSendIsASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		out := e2e(t, srv, nil, "--input", with(""))
		require.Equal(t, `{"success":true,"sentBatches":0}`+"\n", out.stdout)
		require.Zero(t, srv.Requests())
	})
}

func TestWrongCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		for name, c := range map[string]struct {
			args []string
			code int
			want string
		}{
			"nothing":               {nil, exitUsage, "give --input"},
			"an unknown flag":       {[]string{"--color=red"}, exitUsage, "color"},
			"an argument":           {[]string{"--type=track", "stray"}, exitUsage, `"stray"`},
			"both modes":            {[]string{"--input={}", "--type=track"}, exitUsage, "--input excludes"},
			"properties of no JSON": {[]string{"--type=track", "--properties={oops"}, exitUsage, "--properties is not a JSON object"},
			"a list of traits":      {[]string{"--type=identify", "--traits=[1]", "--context=null"}, exitUsage, "--traits is not a JSON object"},
			"no write key":          {[]string{"--type=track", "--userId=u1", "--event=E"}, exitFailed, "WriteKey: is required"},
			"a bad message":         {[]string{"--writeKey=k", "--type=track", "--userId=u1"}, exitFailed, "event: is required"},
			"input of no JSON":      {[]string{"--input={oops"}, exitFailed, "input: invalid character"},
			"input of a wrong kind": {[]string{`--input={"sequences":7}`}, exitFailed, "input: json:"},
			"a bad apiHost":         {[]string{`--input={"writeKey":"k","apiHost":"ftp://segment.test"}`}, exitFailed, "Endpoint: is not an http or https URL"},
			"negative flushAt":      {[]string{"--input", with(`"flushAt":-1`)}, exitFailed, "config.flushAt is negative"},
			"negative interval":     {[]string{"--input", with(`"flushInterval":-1`)}, exitFailed, "config.flushInterval is negative"},
			"negative retries":      {[]string{"--input", with(`"maxRetries":-1`)}, exitFailed, "config.maxRetries is negative"},
			"negative timeout":      {[]string{"--input", with(`"timeout":-1`)}, exitFailed, "config.timeout is negative"},
			"negative delay":        {[]string{`--input={"sequences":[{"delayMs":-1}]}`}, exitFailed, "sequences[0].delayMs is negative"},
		} {
			out := e2e(t, srv, nil, c.args...)
			require.Equal(t, c.code, out.code, name)
			require.Contains(t, out.Error, c.want, name)
		}
		require.Zero(t, srv.Requests())

		help := e2e(t, srv, nil, "--help")
		require.Equal(t, exitDelivered, help.code)
		require.Empty(t, help.stdout)
		require.Contains(t, help.stderr, "-previousId")
	})
}

// The settings of testers are numbers of any size.
func TestDurations(t *testing.T) {
	require.Equal(t, 250*time.Millisecond, duration(0.25, time.Second))
	require.Equal(t, time.Duration(1<<63-1), duration(1e300, time.Second))
	require.Equal(t, defaultTimeout, settings{}.timeout())
	most := 1<<63 - 1
	require.Positive(t, settings{MaxRetries: &most}.attempts())
	require.Equal(t, "Segment.io", analytics.IntegrationSegment)
}
