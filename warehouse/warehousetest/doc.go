// Package warehousetest tests databases that a warehouse can load into, ours and those of
// others, and has one in memory.
//
// A [warehouse.Store] is done when this passes, also with -race:
//
//	func TestConforms(t *testing.T) {
//		warehousetest.Run(t, warehousetest.Setup{
//			New: func(t *testing.T) warehouse.Store {
//				return &acme.Store{Database: newDatabase(t)}
//			},
//			Again: func(_ *testing.T, first warehouse.Store) warehouse.Store {
//				return &acme.Store{Database: first.(*acme.Store).Database}
//			},
//		})
//	}
//
// Each rule is a subtest that quotes it; [Rules] lists them. Each one gets databases of
// its own. What cannot be tested with the Setup is skipped, with a sentence that says so:
// look at the run with -v once.
//
// [Golden] then loads recorded events and compares all tables with expected ones.
//
// Rules run in real time, since a database is somewhere else. A rule about waiting takes a
// second or two.
//
// [NewStore] is a store in memory, for tests of those who use a warehouse:
//
//	store := warehousetest.NewStore()
//	client, err := analytics.New(analytics.Config{
//		Destinations: []analytics.Destination{&warehouse.Destination{Store: store}},
//	})
//	…
//	rows := store.Rows("events", "tracks")
//
// # What cannot be tested here
//
// That nothing is half written when the process is killed or the power fails, and that
// the home is then free again, depends on the database. Kill a process that loads and
// look at what is left.
package warehousetest
