package warehouse

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// A Store is a database that a [Destination] loads into: SQLite, PostgreSQL. All that
// is common to them (names, types, what an event becomes, which rows win) is decided
// before a Store is asked; what is left to it are tables, rows and transactions.
// Package warehousetest judges an implementation.
//
// A Store and its transactions are used by one goroutine at a time, but for Close; not
// always by the same: rows are written while others are made.
type Store interface {
	// Dialect states what the database can bear. It depends on the settings only.
	Dialect() Dialect

	// Open checks the settings, all of them, each fault as an
	// [*analytics.InvalidError] with its field. It may connect, but a database that
	// cannot be reached is not a fault: Begin says so.
	Open(ctx context.Context) error

	// Begin starts a transaction. It waits until no other loader of the schema home
	// has one, also in other processes, and fails when ctx ends. The ctx of a
	// transaction's later calls may be another one. Everything that is written becomes
	// visible at Commit, changes of tables included, and nothing of it if the process
	// dies before.
	Begin(ctx context.Context, home string) (Tx, error)

	// Close gives everything back, also what open transactions hold: they can only be
	// rolled back. A second Close does nothing. Open may open the store again.
	Close() error
}

// A Tx is a transaction of a [Store]. After an error of any method but Read it is only
// rolled back. Names have the form that this package gives them (lower case, a-z, 0-9
// and _, at most Dialect.MaxName bytes); a Store quotes them all the same.
//
// An error never contains a value of a row, since it is logged. An error of the network
// or a full disk is a plain one; credentials and permissions that are refused are
// [analytics.Unauthorized]; rows that the database will never take are
// [analytics.Split], so that the one that is at fault is found.
type Tx interface {
	// Tables returns the tables of a schema with their columns in the order of the
	// database, sorted by name; none if there is no such schema. A column of a type
	// that Create does not make has the Kind that it can be written with, else Null.
	// A name that Create could not use, because a view, an index or the like has it, is
	// there without columns.
	Tables(ctx context.Context, schema string) ([]Table, error)

	// Create makes a table, and its schema where it is missing. The first column is
	// its primary key, a String.
	Create(ctx context.Context, schema string, t Table) error

	// AddColumns adds columns to a table, in this order.
	AddColumns(ctx context.Context, schema, table string, columns []Column) error

	// SwapColumn drops the column old and gives its name to the column by.
	SwapColumn(ctx context.Context, schema, table, old, by string) error

	// Write inserts rows and returns how many were new. Columns that rows do not name
	// are NULL in new rows. The first column is the key; two rows of one call never
	// have the same under Replace, and may under Keep, where the first one counts. Rows
	// whose kinds are not those of the columns are an error, and nothing of them is
	// written. A panic of Row arrives at the caller, and the transaction can be rolled
	// back.
	Write(ctx context.Context, schema, table string, rows Rows, on Conflict) (inserted int64, err error)

	// Read calls f for each row that q describes, in the byte order of the key, with
	// the values of the named columns; the slice and its strings are valid during the
	// call only. An error of f ends the reading and is returned. f does not use the
	// transaction.
	Read(ctx context.Context, schema, table string, columns []string, q Query, f func([]Value) error) error

	// Delete removes the rows whose column, a String, has one of the values.
	Delete(ctx context.Context, schema, table, column string, values []string) (deleted int64, err error)

	Commit(ctx context.Context) error

	// Rollback undoes everything. After Commit, or when the store was closed, it does
	// nothing.
	Rollback() error
}

// Conflict says what happens to a row whose key is in the table already.
type Conflict uint8

const (
	// Keep leaves the row of the table as it is.
	Keep Conflict = iota

	// Replace sets the columns that are written, also to NULL, and no others.
	Replace
)

// A Query selects rows by their keys.
type Query struct {
	// Keys are those of the rows. Nil means all rows with a key behind After, at most
	// Limit; zero is no limit. An empty After means from the beginning, the empty key
	// included.
	Keys  []string
	After string
	Limit int
}

// Rows are what Write inserts. Row may be called for any row any number of times.
type Rows interface {
	Columns() []Column
	Len() int

	// Row sets into, which is as long as Columns, to the values of row i: each of the
	// kind of its column, or Null. Their strings are valid until Write returns.
	Row(i int, into []Value)
}

// A Table is one of a schema. The first column is its primary key, "id". Without columns
// it is none: something else has the name.
type Table struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
}

// Column returns the column of that name.
func (t *Table) Column(name string) (Column, bool) {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return t.Columns[i], true
}

// A Column has a name and holds values of one kind, or NULL.
type Column struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
}

// Kind is what a column holds.
type Kind uint8

const (
	// Null is no kind of a column, but of a value that is not there.
	Null Kind = iota

	// Bool is true or false.
	Bool

	// Int is a whole number of 64 bits.
	Int

	// Float is a number of 64 bits, IEEE 754; no infinity and no NaN.
	Float

	// Time is a moment, to the microsecond, in the years 1 to 9999.
	Time

	// String is UTF-8 without NUL, of any length.
	String

	// JSON is a JSON text, UTF-8, in which no string has a NUL.
	JSON
)

var kinds = [...]string{"null", "bool", "int", "float", "time", "string", "json"}

func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// MarshalText makes "bool", "int", "float", "time", "string" or "json".
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText makes.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kinds[:], string(text))
	if i <= 0 {
		return fmt.Errorf("no such kind: want bool, int, float, time, string or json")
	}
	*k = Kind(i)
	return nil
}

// A Value is one of a row. Which field counts depends on the kind.
type Value struct {
	Kind Kind
	N    int64  // Bool: 0 or 1; Int; Float: its bits; Time: microseconds since 1970
	S    string // String, JSON
}

// BoolValue makes a Bool.
func BoolValue(b bool) Value {
	if b {
		return Value{Kind: Bool, N: 1}
	}
	return Value{Kind: Bool}
}

// IntValue makes an Int.
func IntValue(n int64) Value { return Value{Kind: Int, N: n} }

// FloatValue makes a Float.
func FloatValue(f float64) Value { return Value{Kind: Float, N: int64(math.Float64bits(f))} }

// TimeValue makes a Time.
func TimeValue(t time.Time) Value { return Value{Kind: Time, N: t.UnixMicro()} }

// StringValue makes a String.
func StringValue(s string) Value { return Value{Kind: String, S: s} }

// JSONValue makes a JSON.
func JSONValue(s string) Value { return Value{Kind: JSON, S: s} }

// Bool is the value of a Bool.
func (v Value) Bool() bool { return v.N != 0 }

// Float is the value of a Float.
func (v Value) Float() float64 { return math.Float64frombits(uint64(v.N)) }

// Time is the value of a Time, in UTC.
func (v Value) Time() time.Time { return time.UnixMicro(v.N).UTC() }

// Dialect is what a database can bear, and how it is called.
type Dialect struct {
	// Name is that of the database, for messages: "sqlite".
	Name string

	// Schema is where tables go if the destination names no source.
	Schema string

	// MaxName is the longest name of a schema, table or column in bytes. Zero: 63.
	MaxName int

	// MaxColumns is the most columns of a table. Zero: 1,000, which no setting exceeds.
	MaxColumns int

	// MaxRow is the most bytes of a row that cannot be stored elsewhere, where the
	// database has such a limit: 8 for a Bool, a number or a time, 24 for JSON, for a
	// String its length and 1 rounded up to 8, at most 24. What is over goes to _unmapped.
	// Zero: no limit.
	MaxRow int
}
