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
// (COLLATE "C"). Indexes of your own are fine: one on a column that gets another type is
// made again, unless the new type has no such index, and then the column keeps its type.
// A unique index that a row does not fit has the row refused. Views are fine, too, but
// a view keeps a column that it shows from getting another type, and so does a constraint
// on it. The name of a view or an index is taken: no table of an event gets it.
//
// The role needs CONNECT, TEMPORARY and CREATE in the database, or instead of the last
// CREATE and USAGE in the schema if it is there already; it owns the tables. Say
// sslmode=verify-full in the URL if the network is not yours: the driver's default takes
// what the server offers. With several hosts in it say target_session_attrs=read-write: a
// connection to a server that no longer takes changes is given up.
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
// Rows alone keep no query waiting. A new column or another type of one locks the table:
// it waits for the queries that read it, at most 30 seconds, and is tried again with the
// load; queries that come meanwhile wait behind it, and once it is made until the load is
// committed. Retype keeps the lock while it rewrites the rows. What a load has written to
// is not changed by others, such as ALTER TABLE, before it is committed.
package postgres
