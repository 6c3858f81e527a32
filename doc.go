// Package analytics collects customer data with Segment's six calls and delivers it,
// at least once, to every place that needs it. A call encodes its event, appends it
// to a bounded queue in memory and returns; it never waits for the network. Each
// destination reads that queue at its own pace, and a dead or slow one delays
// nobody else.
//
// # Configuration
//
// A client is made of one struct. Set WriteKey or at least one of Destinations; the
// zero of everything else is a good default. New reports all faults at once, each
// with its field:
//
//	client, err := analytics.New(analytics.Config{
//		WriteKey: os.Getenv("SEGMENT_WRITE_KEY"),
//		Context:  &analytics.Context{App: analytics.App{Name: "shop", Version: "1.4.2"}},
//	})
//
// WriteKey stands for a [Cloud] with defaults, which posts to Segment; Endpoint names
// any other receiver that speaks its HTTP Tracking API. [OAuth] authorizes a Cloud
// by bearer tokens.
//
// # The calls
//
// [Client.Identify], [Client.Track], [Client.Page], [Client.Screen], [Client.Group]
// and [Client.Alias] each take a struct of that name:
//
//	err := client.Track(ctx, analytics.Track{
//		UserID:     "u-42",
//		Event:      "Order Completed",
//		Properties: analytics.Properties{"orderId": "o-1"}.SetRevenue(39.95).SetCurrency("EUR"),
//	})
//
// [Client.Enqueue] takes any of them, and [Event], which has every field, and
// [Object], a row for warehouses. See [Message] for what they share. Properties and
// Traits are maps, structs with json tags, or types that append their own JSON;
// numbers keep every digit. Nothing is added that nobody gave but type, messageId,
// timestamp and context.library.
//
// nil means accepted. Otherwise the error names what is wrong, an [InvalidError] for
// each fault, or is [ErrQueueFull] (see Config.WhenFull) or [ErrClosed], and nothing
// has happened. A [Plugin] sees each event before it is accepted, and may change it
// or [Drop] it.
//
// # The context of a request
//
// What a request knows travels on its ctx. [Middleware] puts it there: address, user
// agent, locale, page, referrer, campaign, and the anonymousId of analytics.js.
// [RequestFacts] says which proxies to believe:
//
//	http.ListenAndServe(":8080", analytics.Middleware(mux))
//	…
//	client.Track(r.Context(), analytics.Track{UserID: user.ID, Event: "Cart Viewed"})
//
// [NewContext] and [NewIdentity] do the same by hand. A field of the message wins over
// the ctx, and the ctx over Config.Context.
//
// # Destinations
//
// Beside or instead of the cloud mode, adapters and funcs get the events directly:
//
//	client, err := analytics.New(analytics.Config{
//		WriteKey: key,
//		Destinations: []analytics.Destination{
//			&acme.Destination{APIKey: "…"},
//			analytics.DestinationFunc("CRM", func(ctx context.Context, events []*analytics.Event) error {
//				return crm.Import(ctx, events)
//			}),
//		},
//	})
//
// [With] puts plugins in front of one destination, [Named] makes a second instance
// of one. The integrations object of an event chooses among them, by their names:
//
//	Integrations: analytics.Integrations{}.DisableAll().Enable("CRM")
//
// All:false stops neither the cloud mode, whose name is "Segment.io", nor warehouses.
// Config.Consent names the categories of consent that a destination needs.
// docs/writing-a-destination.md tells how to write a [Destination].
//
// # What became of an event
//
// Each event has one outcome at each destination: delivered, filtered, or dropped,
// the latter two with a [Reason]. Three places tell: [Client.Stats] counts, and for
// each destination accepted = delivered + filtered + dropped + pending at every
// moment; Config.OnOutcome is told of each; Config.DeadLetters gets every event that
// was dropped, but for those that made room in the queue. A [DeadLetterFile] keeps them:
//
//	letters := &analytics.DeadLetterFile{Path: "dead.ndjson"}
//	client, err := analytics.New(analytics.Config{WriteKey: key, DeadLetters: letters.Write})
//
// [ReadDeadLetters] reads them back, and [Client.Replay] sends an event again to the
// destination that did not take it.
//
// docs/delivery.md has retries, pauses, order, and every reason with its remedy.
//
// # Flush and Close
//
// [Client.Flush] waits until all that was accepted before has an outcome. Close the
// client before the program ends: the queue is in memory. Give both a deadline:
//
//	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
//	defer cancel()
//	err := client.Close(ctx) // nil, or with a *PendingError in it: what is left
//
// # Testing
//
// Package analyticstest has a client for tests with a recorder behind it, and a
// scripted server that judges requests as Segment does. Package
// destinations/destinationtest tests adapters.
//
// # Limits
//
// A call and an object may have 32,000 bytes of JSON, an [Event] 32,768; a messageId
// 100 characters; values 100 levels of nesting. Timestamps lie in the years 1 to
// 9999. NaN, infinities, channels, funcs and cycles are errors; bytes that are not
// UTF-8 become U+FFFD. The queue holds 32 MiB (Config.MaxMemory), and an event is
// tried for 4 hours (Config.MaxAge).
package analytics
