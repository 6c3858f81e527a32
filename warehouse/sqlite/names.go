package sqlite

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// defaultSchema is the schema whose tables have plain names.
const defaultSchema = "main"

// between stands between schema and table. A name that this library makes has it only
// if it was cut.
const between = "__"

// tableName is the name in the file. The first "__" of a name with a schema ends the
// schema, whatever the table is called.
func tableName(schema, table string) string {
	if schema == defaultSchema && !ambiguous(table) {
		return table
	}
	return prefix(schema) + table
}

// tableOf is the name within the schema, if the table is of this one.
func tableOf(schema, name string) (table string, ok bool) {
	if schema == defaultSchema && !ambiguous(name) {
		return name, true
	}
	table, ok = strings.CutPrefix(name, prefix(schema))
	return table, ok && tableName(schema, table) == name
}

// ambiguous tells whether the name looks as if it had a schema, or like one of SQLite.
func ambiguous(table string) bool {
	return strings.Contains(table, between) || strings.HasPrefix(table, reserved)
}

// reserved begins the names that SQLite keeps for itself.
const reserved = "sqlite_"

// prefix is what the tables of a schema begin with.
func prefix(schema string) string {
	if plain := schema + between; !ambiguous(schema) && !strings.HasSuffix(schema, "_") && !strings.HasPrefix(plain, reserved) {
		return plain
	}
	h := fnv.New32a()
	h.Write([]byte(schema))
	plain := "x_" + schema
	for strings.Contains(plain, between) {
		plain = strings.ReplaceAll(plain, between, "_")
	}
	return fmt.Sprintf("%s_%08x%s", strings.TrimSuffix(plain, "_"), h.Sum32(), between)
}

// lower is the name that SQLite holds to be the same as the other ones of a name.
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name)
}

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// table is a table in a statement.
func table(name string) string { return "main." + quote(name) }
