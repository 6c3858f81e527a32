// Package postgres is a [warehouse.Store] in PostgreSQL 12 or later; its tests run with 15:
//
//	client, err := analytics.New(analytics.Config{
//		Destinations: []analytics.Destination{&warehouse.Destination{
//			Store: &postgres.Store{URL: os.Getenv("WAREHOUSE_URL")},
//		}},
//	})
//
// A source is a schema, an event a table, a property a column of type boolean, bigint,
// double precision, timestamptz, text or jsonb. The key of a table is text in byte order
// (COLLATE "C"). Indexes and views of your own are fine; a view keeps a column that it
// shows from getting another type.
//
// The role needs CONNECT, TEMPORARY and CREATE in the database, or instead of the last
// CREATE and USAGE in the schema if it is there already; it owns the tables. Say sslmode=verify-full in the URL if the network is not
// yours: the driver's default takes what the server offers.
//
// # How it loads
//
// One connection, one transaction for each load: new tables, new columns, rows and the
// position in the log become visible together. An advisory lock of the transaction keeps
// a second loader of the same source waiting, in whatever process it is. Rows go to the
// server by COPY in binary format, straight into the table; which of them are there
// already was asked before. Rows that replace others go through a temporary table.
// All of it works behind a pooler that lends connections for a transaction.
//
// A change of a table waits for queries that read it, at most 30 seconds, and is tried
// again with the load: a long query delays loads, and other queries no longer than that.
package postgres
