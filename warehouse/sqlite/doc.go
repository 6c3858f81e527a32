// Package sqlite is a [warehouse.Store] in one file, without a server and without cgo:
//
//	d := &warehouse.Destination{Store: &sqlite.Store{Path: "shop.db"}, Source: "shop"}
//
// Any tool that reads SQLite reads the tables, also while events are loaded: the file
// is in WAL mode, where readers see the last load that was committed and nobody waits
// for them. Programs that write wait for each other, loaders too, whatever their source.
//
// # Names
//
// SQLite has no schemas. The tables of the schema "main", which is that of a destination
// without a source, have their plain names. Those of another schema have it in front
// with two underscores: the table orders of the source shop is shop__orders. Where that
// could be read in two ways there is more: a table of main whose name has two underscores
// in a row, or begins with sqlite_, which SQLite keeps for itself, has main__ in front; a
// schema of such a name, or with that of SQLite, has x_ in front and ends in a hash.
//
// A view or an index has its name alone, and so has a table: a destination finds another
// name for its table if yours are in the way.
//
// # Types
//
//	Bool    BOOLEAN         0 or 1
//	Int     INTEGER
//	Float   REAL            -0 becomes 0
//	Time    TIMESTAMP       text, 2026-05-02 18:04:05.250000Z: sorts, and date() reads it
//	String  TEXT
//	JSON    JSON TEXT       what json_extract and -> take; a column that is declared JSON
//	                        only would turn long numbers into rounded ones
//
// Columns of other types, which somebody else has made, are written if that loses
// nothing; a DATE, a DECIMAL or a BLOB is not.
//
// SQLite lets anybody write a text into a column of numbers. A row in which somebody did
// is not read: what needs it fails, says where to look, and goes on when it was mended.
//
// Indexes of your own stay when the type of a column is changed. A view or a trigger that
// names the column has to be dropped before, and made again.
//
// # Files
//
// Beside shop.db there are shop.db-wal with the latest loads, which belongs to the
// database and must not be removed, and shop.db-shm. They are folded in and removed when
// the last program closes the database. Files are made for their owner only; who may
// read a file is up to its owner from then on.
//
// Keys stand in an index of their own instead of ordering the table (WITHOUT ROWID):
// rows whose ids are not in order of time are loaded at more than twice the speed that
// way, others equally fast.
//
// A load that was committed survives the end of the process, and of power unless NoSync
// is set; the file is whole in any case.
//
// If the file is removed, or replaced by another one that gets its name, the next load
// finds that out and goes to the file that is there, and a commit into a file that is
// gone fails. A file must not be overwritten in place while a program has it open.
package sqlite
