// Package destinationtest tests implementations of [analytics.Destination]: ours and
// those of others.
//
// A destination is done when this passes, also with -race:
//
//	func TestConforms(t *testing.T) {
//		destinationtest.Run(t, destinationtest.Setup{
//			New: func(s *destinationtest.Service) analytics.Destination {
//				return &acme.Destination{APIKey: "acme-secret"}
//			},
//			Seen: func(r *destinationtest.Request) []string {
//				var body struct{ Batch []struct{ ID string } }
//				_ = json.Unmarshal(r.Body, &body)
//				var ids []string
//				for _, item := range body.Batch {
//					ids = append(ids, item.ID)
//				}
//				return ids
//			},
//			Secrets: []string{"acme-secret"},
//		})
//	}
//
// Each rule of the contract is a subtest that quotes it; [Rules] lists them. What a
// rule needs and the Setup does not give is skipped, with a sentence that says so:
// look at the run with -v once.
//
// # The service
//
// The kit plays the tool. Env.HTTP reaches its [Service] whatever the host, so that
// an adapter with a fixed address is tested as it is. Where the tool answers success
// with more than an empty object, say what in Setup.Answer; it is asked for each
// request, so a login and a lookup can have answers of their own. Rules of failure
// let the service refuse, hang, stall, break off and quote the request.
//
// # The events
//
// The kit translates ordinary events of every call and nasty ones. A destination
// that only takes events of certain names or traits needs some in Setup.Events, at
// least two for each of its lanes. The rules about Deliver use batches made of what
// Translate returned, within the limits of the description.
//
// # Waiting
//
// Rules run in [testing/synctest] bubbles: time-outs pass at once and are exact. A
// destination with real connections gives Setup.RealTime its reason, and does without
// the rules about waiting.
//
// # Without HTTP
//
// Leave Seen nil. The fake behind the destination calls [Service.Receive] with the
// ids that came in and returns its error:
//
//	New: func(s *destinationtest.Service) analytics.Destination {
//		return &acme.Destination{Publish: func(ctx context.Context, messages []acme.Message) error {
//			return s.Receive(ctx, idsOf(messages)...)
//		}}
//	},
//
// A destination that writes where it can be read, such as a file below
// [Service.Dir], gives Stored. One that owns its cursor keeps what it stores per
// Service, so that a second value from New is the first one after a restart.
//
// # Exceptions
//
// A tool whose documentation asks for another word on some status says so in
// Setup.Words, with the reason; a rule that cannot apply is named in Setup.Skip, with
// the reason. Both are read by whoever reviews the adapter.
package destinationtest
