// Package analyticstest helps to test code that tracks.
//
// Most tests want to know which events a piece of code makes. [Record] gives them a
// client and the [Recorder] behind it:
//
//	func TestCheckout(t *testing.T) {
//		client, rec := analyticstest.Record(t)
//
//		shop.Checkout(t.Context(), client, cart)
//
//		analyticstest.Flush(t, client)
//		orders := rec.Named("Order Completed")
//		require.Len(t, orders, 1)
//		require.Equal(t, "u-42", orders[0].UserID)
//	}
//
// Tests of what happens on the way, when the endpoint is slow, full or gone, take a
// client that sends to a [Server] in memory, which is scripted to fail. Inside
// testing/synctest the waits between tries take no time:
//
//	synctest.Test(t, func(t *testing.T) {
//		client, srv := analyticstest.NewClient(t)
//		srv.Script(analyticstest.Statuses(503, 503)...)
//		…
//	})
//
// Both close the client when the test ends, and fail the test if events were lost.
// Where a test is about loss, [Setup] says so.
package analyticstest
