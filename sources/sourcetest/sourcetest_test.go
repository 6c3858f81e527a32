package sourcetest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/sourcetest"
)

func TestRun(t *testing.T) { sourcetest.Run(t, acmeSetup(nil)) }

func TestGoodSourcesPass(t *testing.T) {
	unsigned := acmeSetup(func(a *acme) { a.verify = func(*http.Request, []byte) bool { return true } })
	unsigned.Sign = nil
	for name, setup := range map[string]sourcetest.Setup{"signed": acmeSetup(nil), "unsigned": unsigned} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, sourcetest.Check(t, setup))
		})
	}
}

// broken is a source that breaks a rule, and the rules that cannot but fail with it.
type broken struct {
	rule, how    string
	setup        sourcetest.Setup
	consequences []string
}

func with(edit func(*sourcetest.Setup)) sourcetest.Setup {
	s := acmeSetup(nil)
	edit(&s)
	return s
}

func brokenOnes() []broken {
	return slices.Concat(brokenSetups(), brokenMessages(), brokenRoutes(), brokenBodies(), brokenClients(), brokenSafety())
}

func brokenSetups() []broken {
	return []broken{
		{rule: "setup", how: "has no New", setup: with(func(s *sourcetest.Setup) { s.New = nil })},
		{rule: "setup", how: "skips a rule that is none", setup: with(func(s *sourcetest.Setup) { s.Skip = map[string]string{"maybe": "who knows"} })},
		{rule: "setup", how: "skips without a reason", setup: with(func(s *sourcetest.Setup) { s.Skip = map[string]string{"again": " "} })},
		{rule: "setup", how: "has no requests", setup: with(func(s *sourcetest.Setup) { s.Requests = nil })},
		{rule: "setup", how: "has two of a name", setup: with(func(s *sourcetest.Setup) { s.Requests[1].Name = s.Requests[0].Name })},
		{rule: "setup", how: "has an empty secret", setup: with(func(s *sourcetest.Setup) { s.Secrets = []string{""} }), consequences: []string{"secrets"}},
	}
}

func brokenMessages() []broken {
	return []broken{
		{rule: "messages", how: "changes a value", setup: acmeSetup(func(a *acme) {
			a.decode = changed(func(i int, n *note) { n.User += "!" })
		})},
		{rule: "messages", how: "makes them twice", setup: acmeSetup(func(a *acme) {
			a.send = func(a *acme, ns []note) error { return a.sendAll(append(ns, ns...)) }
		})},
		{rule: "messages", how: "turns their order round", setup: acmeSetup(func(a *acme) {
			a.decode = func(body []byte) ([]note, error) {
				ns, err := decodeNotes(body)
				slices.Reverse(ns)
				return ns, err
			}
		})},
		{rule: "messages", how: "answers with 202", setup: acmeSetup(func(a *acme) {
			send := a.send
			a.send = func(a *acme, ns []note) error {
				if err := send(a, ns); err != nil {
					return err
				}
				return errAccepted
			}
			a.failed = func(w http.ResponseWriter, err error) {
				if errors.Is(err, errAccepted) {
					w.WriteHeader(http.StatusAccepted)
					return
				}
				answerFailure(w, err)
			}
		}), consequences: []string{"again", "concurrent", "full"}},
		{rule: "again", how: "makes up ids", setup: func() sourcetest.Setup {
			s := acmeSetup(func(a *acme) { a.decode = changed(func(_ int, n *note) { n.ID = "" }) })
			for i := range s.Requests {
				s.Requests[i].Messages = slices.Clone(s.Requests[i].Messages)
				for j, m := range s.Requests[i].Messages {
					var fields map[string]any
					_ = json.Unmarshal(m, &fields)
					fields["messageId"] = sourcetest.Any
					s.Requests[i].Messages[j], _ = json.Marshal(fields)
				}
			}
			return s
		}()},
		{rule: "concurrent", how: "takes one at a time", setup: acmeSetup(func(a *acme) {
			var busy sync.Mutex
			a.send = func(a *acme, ns []note) error {
				if !busy.TryLock() {
					return errors.New("busy")
				}
				defer busy.Unlock()
				err := a.sendAll(ns)
				time.Sleep(time.Millisecond)
				return err
			}
		})},
	}
}

var errAccepted = errors.New("accepted")

func changed(f func(i int, n *note)) func([]byte) ([]note, error) {
	return func(body []byte) ([]note, error) {
		ns, err := decodeNotes(body)
		for i := range ns {
			f(i, &ns[i])
		}
		return ns, err
	}
}

// instead answers some requests with a status and nothing else.
func instead(status int, when func(r *http.Request) bool) func(*acme) {
	return func(a *acme) {
		a.before = func(_ *acme, w http.ResponseWriter, r *http.Request) bool {
			if !when(r) {
				return false
			}
			w.WriteHeader(status)
			return true
		}
	}
}

func brokenRoutes() []broken {
	return []broken{
		{rule: "route-unknown", how: "answers for every path", setup: acmeSetup(instead(200, func(r *http.Request) bool {
			return r.Method == http.MethodPost && r.URL.Path != "/hook"
		}))},
		{rule: "route-unknown", how: "takes every path", setup: acmeSetup(func(a *acme) {
			a.before = func(_ *acme, _ http.ResponseWriter, r *http.Request) bool {
				r.URL.Path = "/hook"
				return false
			}
		})},
		{rule: "route-method", how: "has no Allow", setup: acmeSetup(instead(405, func(r *http.Request) bool { return r.Method != http.MethodPost }))},
		{rule: "route-method", how: "takes PUT", setup: acmeSetup(func(a *acme) {
			a.before = func(_ *acme, _ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut {
					r.Method = http.MethodPost
				}
				return false
			}
		})},
		{rule: "route-redirect", how: "is mounted on a ServeMux", setup: func() sourcetest.Setup {
			s := acmeSetup(nil)
			plain := s.New
			s.New = func(t testing.TB, client *analytics.Client) http.Handler {
				mux := http.NewServeMux()
				mux.Handle("/", plain(t, client))
				return mux
			}
			return s
		}()},
		{rule: "signature", how: "looks at none", setup: acmeSetup(func(a *acme) {
			a.verify = func(*http.Request, []byte) bool { return true }
		})},
		{rule: "signature", how: "wants any", setup: acmeSetup(func(a *acme) {
			a.verify = func(r *http.Request, _ []byte) bool { return r.Header.Get("Acme-Signature") != "" }
		})},
		{rule: "signature", how: "compares the beginning", setup: acmeSetup(func(a *acme) {
			a.verify = func(r *http.Request, wire []byte) bool {
				given := r.Header.Get("Acme-Signature")
				return len(given) > 8 && given[:8] == signature(wire)[:8]
			}
		})},
		{rule: "signature", how: "refuses with 500", setup: acmeSetup(func(a *acme) {
			a.before = func(_ *acme, w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/hook" || r.Method != http.MethodPost || r.Header.Get("Acme-Signature") != "" {
					return false
				}
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
		})},
	}
}

func brokenBodies() []broken {
	return []broken{
		{rule: "body-unreadable", how: "takes what there is", setup: acmeSetup(func(a *acme) {
			a.decode = func(body []byte) (notes []note, err error) {
				d := json.NewDecoder(bytes.NewReader(body))
				if _, err := d.Token(); err != nil {
					return nil, err
				}
				for d.More() {
					var n note
					if err := d.Decode(&n); err != nil {
						break
					}
					notes = append(notes, n)
				}
				return notes, nil
			}
		})},
		{rule: "body-unreadable", how: "takes what is followed by more", setup: acmeSetup(func(a *acme) {
			a.decode = func(body []byte) (notes []note, err error) {
				return notes, json.NewDecoder(bytes.NewReader(body)).Decode(&notes)
			}
		})},
		{rule: "body-oversize", how: "has no limit", setup: acmeSetup(func(a *acme) { a.read = io.ReadAll }), consequences: []string{"body-bomb"}},
		{rule: "body-oversize", how: "reads all before it refuses", setup: acmeSetup(func(a *acme) {
			a.read = func(r io.Reader) ([]byte, error) {
				b, err := io.ReadAll(r)
				if err == nil && len(b) > acmeLimit {
					err = errors.New("too much")
				}
				return b, err
			}
		}), consequences: []string{"body-bomb"}},
		{rule: "body-bomb", how: "limits what is on the wire only", setup: acmeSetup(func(a *acme) {
			a.read = func(r io.Reader) ([]byte, error) {
				if isGzip(r) {
					return io.ReadAll(r)
				}
				return readBounded(r)
			}
		})},
		{rule: "body-slow", how: "waits for ever", setup: acmeSetup(func(a *acme) { a.timeout = 0 })},
		{rule: "body-broken", how: "takes what has come", setup: acmeSetup(func(a *acme) {
			a.read = func(r io.Reader) ([]byte, error) {
				b, err := readBounded(r)
				if errors.Is(err, io.ErrUnexpectedEOF) && len(b) > 0 {
					return append(b, ']'), nil
				}
				return b, err
			}
		})},
	}
}

func isGzip(r io.Reader) bool {
	_, ok := r.(*gzip.Reader)
	return ok
}

func brokenClients() []broken {
	lossy := func(a *acme, ns []note) error {
		for _, n := range ns {
			if err := a.sendOne(n); errors.Is(err, analytics.ErrClosed) {
				return err
			}
		}
		return nil
	}
	var seen sync.Map
	forgetful := func(a *acme, ns []note) error { // notes what it has seen before it is safe
		for _, n := range ns {
			if _, dup := seen.LoadOrStore([2]any{a.client, n.ID}, true); dup && n.ID != "" {
				continue
			}
			if err := a.sendOne(n); err != nil {
				return err
			}
		}
		return nil
	}
	return []broken{
		{rule: "full", how: "answers 200", setup: acmeSetup(func(a *acme) { a.send = lossy })},
		{rule: "full", how: "says not when to come back", setup: acmeSetup(func(a *acme) {
			a.failed = func(w http.ResponseWriter, _ error) { w.WriteHeader(http.StatusServiceUnavailable) }
		})},
		{rule: "full", how: "answers 500", setup: acmeSetup(func(a *acme) {
			a.failed = func(w http.ResponseWriter, err error) {
				if errors.Is(err, analytics.ErrQueueFull) {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				answerFailure(w, err)
			}
		})},
		{rule: "full", how: "takes what it has lost for a duplicate", setup: acmeSetup(func(a *acme) { a.send = forgetful })},
		{rule: "closed", how: "answers 200", setup: acmeSetup(func(a *acme) {
			a.send = func(a *acme, ns []note) error {
				err := a.sendAll(ns)
				if errors.Is(err, analytics.ErrClosed) {
					return nil
				}
				return err
			}
		})},
	}
}

func brokenSafety() []broken {
	return []broken{
		{rule: "secrets", how: "logs its secret", setup: acmeSetup(func(a *acme) {
			a.log.Info("ready", "secret", acmeSecret)
		})},
		{rule: "secrets", how: "logs content", setup: acmeSetup(func(a *acme) {
			a.send = func(a *acme, ns []note) error {
				for _, n := range ns {
					a.log.Info("a note", "text", n.Text)
				}
				return a.sendAll(ns)
			}
		})},
		{rule: "secrets", how: "logs content by default", setup: acmeSetup(func(a *acme) {
			a.send = func(a *acme, ns []note) error {
				for _, n := range ns {
					slog.Debug("a note", "text", n.Text)
				}
				return a.sendAll(ns)
			}
		})},
		{rule: "secrets", how: "quotes the body", setup: acmeSetup(func(a *acme) {
			a.send = func(a *acme, ns []note) error {
				if err := a.sendAll(ns); err != nil {
					return &quoting{err, ns[0].Text}
				}
				return nil
			}
			a.failed = func(w http.ResponseWriter, err error) {
				answerFailure(w, err)
				_, _ = io.WriteString(w, err.(*quoting).text)
			}
		})},
		{rule: "secrets", how: "says what the signature should be", setup: acmeSetup(func(a *acme) {
			a.before = func(_ *acme, w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Acme-Hint", acmeSecret)
				return false
			}
		})},
		{rule: "panics", how: "trusts what it reads", setup: acmeSetup(func(a *acme) {
			a.decode = func(body []byte) ([]note, error) {
				ns, err := decodeNotes(body)
				if err == nil && string(body) == "null" {
					return ns[:1:1], nil
				}
				return ns, err
			}
		})},
		{rule: "panics", how: "hangs up", setup: acmeSetup(func(a *acme) {
			a.before = func(_ *acme, _ http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Content-Encoding") == "br" {
					panic(http.ErrAbortHandler)
				}
				return false
			}
		})},
	}
}

// quoting is an error that knows too much.
type quoting struct {
	error
	text string
}

func (q *quoting) Unwrap() error { return q.error }

func TestBrokenSourcesFail(t *testing.T) {
	if underRace {
		t.Skip("each source is used as by TestRun, dozens of times over")
	}
	for _, b := range brokenOnes() {
		t.Run(b.rule+" "+b.how, func(t *testing.T) {
			t.Parallel()
			found := map[string][]string{}
			for _, v := range sourcetest.Check(t, b.setup) {
				require.NotEmpty(t, v.Detail)
				require.Contains(t, v.String(), v.Rule.Sentence)
				found[v.Rule.Name] = append(found[v.Rule.Name], v.Detail)
			}
			require.Contains(t, found, b.rule, "the rule does not notice")
			t.Log(found[b.rule][0])
			want := slices.Sorted(slices.Values(append(b.consequences, b.rule)))
			require.Equal(t, want, slices.Sorted(maps.Keys(found)), "%s", found)
		})
	}
}

func TestEveryRuleHasABrokenSource(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range brokenOnes() {
		seen[b.rule] = true
	}
	for _, r := range sourcetest.Rules() {
		require.True(t, seen[r.Name], "no broken source breaks %s", r.Name)
		delete(seen, r.Name)
	}
	require.Empty(t, seen, "rules that do not exist")
}

func TestRulesAreSentences(t *testing.T) {
	names := map[string]bool{}
	for _, r := range sourcetest.Rules() {
		require.False(t, names[r.Name], r.Name)
		names[r.Name] = true
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, r.Name)
		require.Regexp(t, `^[A-Z].*\.$`, r.Sentence)
	}
}

func TestASkippedRuleIsNotTested(t *testing.T) {
	s := acmeSetup(func(a *acme) { a.timeout = 0 })
	s.Skip = map[string]string{"body-slow": "the server has a time-out of its own"}
	require.Empty(t, sourcetest.Check(t, s))
}

func TestLoad(t *testing.T) {
	files := fstest.MapFS{
		"a/one.json": {Data: []byte(`[{"name": "x", "path": "/hook", "header": {"content-type": "text/plain"}, "body": {"n": 1.0}, "gzip": true, "messages": [{"a": 1}]}]`)},
		"a/two.json": {Data: []byte(`[{"name": "y", "method": "GET", "path": "/p", "body": "plain\n", "status": 404, "fresh": true}]`)},
		"bad.json":   {Data: []byte(`[{"nmae": "x"}]`)},
	}
	all, err := sourcetest.Load(files, "a/*.json")
	require.NoError(t, err)
	require.Equal(t, []sourcetest.Recorded{
		{Name: "one: x", Path: "/hook", Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(`{"n": 1.0}`), Gzip: true, Messages: []json.RawMessage{[]byte(`{"a": 1}`)}},
		{Name: "two: y", Method: "GET", Path: "/p", Header: http.Header{}, Body: []byte("plain\n"), Status: 404, Fresh: true},
	}, all)
	_, err = sourcetest.Load(files, "bad.json")
	require.ErrorContains(t, err, "bad.json")
	_, err = sourcetest.Load(files, "none/*.json")
	require.ErrorContains(t, err, "no file")
}

// TestAcme shows that what the kit passes works without it too.
func TestAcme(t *testing.T) {
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{
		analytics.DestinationFunc("none", func(context.Context, []*analytics.Event) error { return nil }),
	}})
	require.NoError(t, err)
	defer client.Close(t.Context()) //nolint:errcheck // nothing is in it
	r := httptest.NewRequest(http.MethodPost, "/hook", bytes.NewReader(notesJSON("n-1")))
	r.Header.Set("Acme-Signature", signature(notesJSON("n-1")))
	w := httptest.NewRecorder()
	newAcme(t, client).ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, uint64(1), client.Stats().Accepted)
}
