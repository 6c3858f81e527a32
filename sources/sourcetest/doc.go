// Package sourcetest tests sources: HTTP handlers that receive what others send, such as
// clients and webhooks, and feed it into an [analytics.Client]; ours and those of others.
//
// A source is done when this passes, also with -race:
//
//	func TestConforms(t *testing.T) {
//		requests, err := sourcetest.Load(os.DirFS("testdata/recorded"), "*.json")
//		if err != nil {
//			t.Fatal(err)
//		}
//		sourcetest.Run(t, sourcetest.Setup{
//			New: func(t testing.TB, client *analytics.Client) http.Handler {
//				return &acme.Webhook{Client: client, Secret: "acme-secret"}
//			},
//			Requests: requests,
//			Sign: func(r *http.Request) {
//				body, _ := r.GetBody()
//				r.Header.Set("Acme-Signature", acme.Signature("acme-secret", body))
//			},
//			Secrets: []string{"acme-secret"},
//		})
//	}
//
// Each rule is a subtest that quotes it; [Rules] lists them. What a rule needs and the
// Setup does not give is skipped, with a sentence that says so: look at the run with -v
// once.
//
// # Requests
//
// The kit knows nothing about what a source receives. It is told by example: each
// [Recorded] is a request as the other side sends it and the messages that it has to
// become. At least one should become two messages or more, so that the kit can see what
// happens when there is room for some of them only.
//
// # The server
//
// Requests go through a real [http.Server] over connections in memory: time-outs of a
// handler (http.ResponseController), bodies that end early and connections that break are
// what they are in production.
//
// # Time
//
// Rules run in [testing/synctest] bubbles. A recorded request is sent at
// 2000-01-01T00:00:00Z, so that times that a source adds are known to the messages that
// are expected.
//
// # Logs
//
// What the source logs is searched for secrets and content. Give it a logger that writes
// to t.Output(), or let it use slog.Default().
package sourcetest
