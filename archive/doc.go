// Package archive keeps every event in compressed files, from which everything can be
// rebuilt: one event a line, as it is in the log.
//
//	client, err := analytics.New(analytics.Config{
//		Spool: analytics.Spool{Dir: "/var/lib/shop/events"},
//		Destinations: []analytics.Destination{
//			&archive.Destination{Bucket: &archive.Folder{Path: "/var/lib/shop/archive"}},
//		},
//	})
//
// A batch is appended to local parts, one for each source and period, and is on disk
// before the log lets go of it. A part that is large or old enough is finished: it gets
// its place in a [Bucket], whole or not at all, and beside it a [Manifest] that says what
// is in it. Each event is in one file once, whenever the process dies.
//
// [Open] reads an archive: [Archive.Files] and [Archive.Events] find events by time,
// source, name and person, [Archive.Verify] checks every byte, [Archive.Replay] sends
// events again to a client or into a fresh destination, and [Archive.Forget] erases
// somebody.
package archive
