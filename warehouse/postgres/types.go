package postgres

import "github.com/tributary-dev/analytics/warehouse"

// What PostgreSQL can bear. A table can have 1,600 columns, those that were dropped
// counted: 1,000 leave room for types that change.
const (
	maxName    = 63
	maxColumns = 1_000

	// pageRoom is the most bytes of a row: a page without its header and one item pointer.
	pageRoom = 8_160

	// rowHeader is what a row has before its values: 23 bytes and a bit for each of 1,600
	// columns, rounded up to 8.
	rowHeader = 224

	// maxRow is what is left for values, which Dialect.MaxRow counts in whole slots of 8
	// bytes, so that the gaps of alignment are in it.
	maxRow = pageRoom - rowHeader
)

// Object identifiers of types, which are the same in every database.
const (
	oidBool      = 16
	oidInt8      = 20
	oidText      = 25
	oidFloat8    = 701
	oidTextArray = 1009
	oidVarchar   = 1043
	oidTime      = 1184
	oidJSONB     = 3802
)

// binaryFormat is that of all parameters and results.
var binaryFormat = []int16{1}

// typeOf is the type of a column that Create makes.
func typeOf(k warehouse.Kind) string {
	switch k {
	case warehouse.Bool:
		return "boolean"
	case warehouse.Int:
		return "bigint"
	case warehouse.Float:
		return "double precision"
	case warehouse.Time:
		return "timestamp with time zone"
	case warehouse.JSON:
		return "jsonb"
	}
	return "text"
}

func oidOf(k warehouse.Kind) uint32 {
	switch k {
	case warehouse.Bool:
		return oidBool
	case warehouse.Int:
		return oidInt8
	case warehouse.Float:
		return oidFloat8
	case warehouse.Time:
		return oidTime
	case warehouse.JSON:
		return oidJSONB
	}
	return oidText
}

// kindOf is what a column can be written with: Null where its type is one whose binary
// form is another.
func kindOf(oid uint32) warehouse.Kind {
	switch oid {
	case oidBool:
		return warehouse.Bool
	case oidInt8:
		return warehouse.Int
	case oidFloat8:
		return warehouse.Float
	case oidTime:
		return warehouse.Time
	case oidText, oidVarchar:
		return warehouse.String
	case oidJSONB:
		return warehouse.JSON
	}
	return warehouse.Null
}
