package sqlite

import (
	"strings"

	"github.com/tributary-dev/analytics/warehouse"
)

// declared are the types of columns. JSON alone would be a number to SQLite, which then
// rounds what looks like a long one.
var declared = map[warehouse.Kind]string{
	warehouse.Bool:   "BOOLEAN",
	warehouse.Int:    "INTEGER",
	warehouse.Float:  "REAL",
	warehouse.Time:   "TIMESTAMP",
	warehouse.String: "TEXT",
	warehouse.JSON:   "JSON TEXT",
}

// kindOf is the kind that a column of a declared type can be written with so that it is
// read again as it was; Null if there is none. Behind our own types it follows the
// rules by which SQLite finds the affinity of a column.
func kindOf(typ string) warehouse.Kind {
	typ = strings.ToUpper(typ)
	switch typ {
	case "BOOLEAN", "BOOL":
		return warehouse.Bool
	case "TIMESTAMP", "DATETIME":
		return warehouse.Time
	case "JSON TEXT":
		return warehouse.JSON
	case "":
		return warehouse.String
	}
	has := func(part string) bool { return strings.Contains(typ, part) }
	switch {
	case has("INT"):
		return warehouse.Int
	case has("CHAR"), has("CLOB"), has("TEXT"):
		return warehouse.String
	case has("BLOB"):
		return warehouse.Null
	case has("REAL"), has("FLOA"), has("DOUB"):
		return warehouse.Float
	}
	return warehouse.Null // NUMERIC, JSON, DATE: texts that look like numbers become some
}
