// Package warehouse loads events into a database: one table per event, one for each
// call, and the newest traits of each user.
//
//	client, err := analytics.New(analytics.Config{
//		Spool: analytics.Spool{Dir: "/var/lib/shop/events"},
//		Destinations: []analytics.Destination{
//			&warehouse.Destination{Store: &sqlite.Store{Path: "/var/lib/shop/shop.db"}},
//		},
//	})
//
// A load runs on a schedule ([Destination.Every], a minute) and now ([Destination.SyncNow]).
// Between two of them no event is held in memory: they are in the client's log. A load
// takes at most 10,000 events or 8 MiB into one transaction, together with up to
// where it has read the log. So the process can die at any moment, and each event is in
// each of its tables once.
//
// Tables and columns come from the events: see docs/warehouse.md of the repository. A
// value that has no place in its column is never lost: it stands in the column _unmapped
// of its row, and [Destination.Retype] brings it back. [Destination.Syncs] is the history
// of loads, with a notice for each thing that did not go into its place.
//
// Databases are modules of their own, so that nobody links a driver that is not used:
// warehouse/sqlite and warehouse/postgres. Another one is a [Store], and is done when
// package warehousetest says so.
package warehouse
