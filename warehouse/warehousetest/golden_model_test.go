package warehousetest_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// model makes tables of events, as the specification says it and with no thought of
// speed: an event is a map, a table a list of maps. It knows nothing of package
// warehouse, and has only those rules that the day of the shop needs; for the others
// there are the cases that were written by hand.
type model struct {
	tables map[string]*modelTable
}

type modelTable struct {
	standard []string
	rows     map[string]cells // by id
	newest   map[string]map[string][3]string
}

// cells are the values of a row as JSON; an empty one is a null.
type cells map[string]json.RawMessage

type fields map[string]json.RawMessage

var moments = []string{"original_timestamp time", "sent_at time", "received_at time", "timestamp time", "uuid int", "uuid_ts time", "_unmapped json"}

// add adds an event that was accepted at some time.
func (m *model) add(accepted time.Time, raw []byte) {
	var e fields
	if err := json.Unmarshal(raw, &e); err != nil {
		panic(err)
	}
	receivedAt := quoted(accepted.UTC().Format(time.RFC3339Nano))
	row := cells{"id": e["messageId"], "anonymous_id": e["anonymousId"], "user_id": e["userId"], "timestamp": e["timestamp"],
		"original_timestamp": e["timestamp"], "sent_at": receivedAt, "received_at": receivedAt}
	context := flat("context", e["context"])
	properties := flat("", e["properties"])
	traits := flat("", e["traits"])
	switch typ := e.text("type"); typ {
	case "identify":
		m.event("identifies", nil, row, traits, context)
		m.object("users", e.text("userId"), row, traits, context)
	case "group":
		m.event("groups", cells{"group_id": e["groupId"]}, row, traits, context)
		m.object("accounts", e.text("groupId"), row, traits, context)
	case "track":
		own := cells{"event": quoted(snake(e.text("event"))), "event_text": e["event"]}
		m.event("tracks", own, row, context)
		m.event(snake(e.text("event")), own, row, properties, context)
	case "alias":
		m.event("aliases", cells{"previous_id": e["previousId"]}, row, context)
	default:
		m.event(typ+"s", cells{"name": e["name"], "category": e["category"]}, row, properties, context)
	}
}

// event adds a row to a table of events. The later parts win.
func (m *model) event(table string, own, row cells, parts ...cells) {
	standard := []string{"id string", "anonymous_id string", "user_id string"}
	for _, name := range []string{"group_id", "previous_id", "event", "event_text", "name", "category"} {
		if _, ok := own[name]; ok {
			standard = append(standard, name+" string")
		}
	}
	t := m.table(table, append(standard, moments...))
	all := cells{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	maps.Copy(all, own) // a property named like a standard column is discarded
	maps.Copy(all, row)
	t.rows[(fields)(row).text("id")] = all
}

// object merges what is newer into the row of a user or an account.
func (m *model) object(table, id string, row cells, parts ...cells) {
	if id == "" {
		return
	}
	t := m.table(table, []string{"id string", "received_at time", "uuid int", "uuid_ts time", "_unmapped json", "_newest json"})
	if t.rows[id] == nil {
		t.rows[id] = cells{"id": quoted(id)}
		t.newest[id] = map[string][3]string{}
	}
	r := fields(row)
	at := [3]string{sortable(r.text("timestamp")), sortable(r.text("received_at")), r.text("id")}
	for _, part := range append(parts, cells{"received_at": row["received_at"]}) {
		for name, value := range part {
			before, ok := t.newest[id][name]
			if isNull(value) || name == "id" || ok && slices.Compare(before[:], at[:]) > 0 {
				continue
			}
			t.rows[id][name], t.newest[id][name] = value, at
		}
	}
}

func (m *model) table(name string, standard []string) *modelTable {
	if m.tables == nil {
		m.tables = map[string]*modelTable{}
	}
	if m.tables[name] == nil {
		m.tables[name] = &modelTable{standard: standard, rows: map[string]cells{}, newest: map[string]map[string][3]string{}}
	}
	return m.tables[name]
}

// sortable is a time in UTC with all digits of a microsecond.
func sortable(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return at.UTC().Format("2006-01-02T15:04:05.000000")
}

// flat is an object with its columns by name.
func flat(prefix string, raw json.RawMessage) cells {
	all := cells{}
	var object fields
	if len(raw) == 0 || json.Unmarshal(raw, &object) != nil {
		return all
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		name := snake(key)
		if prefix != "" {
			name = prefix + "_" + name
		}
		switch value := object[key]; value[0] {
		case '{':
			maps.Copy(all, flat(name, value))
		default:
			all[name] = value
		}
	}
	return all
}

var (
	pieces = regexp.MustCompile(`[A-Za-z0-9]+`)
	words  = regexp.MustCompile(`[A-Z0-9]*[a-z0-9]*`)
)

func snake(name string) string {
	var all []string
	for _, piece := range pieces.FindAllString(name, -1) {
		for _, word := range words.FindAllString(piece, -1) {
			if word != "" {
				all = append(all, strings.ToLower(word))
			}
		}
	}
	return strings.Join(all, "_")
}

// file is the tables in the format of the cases.
func (m *model) file() map[string]any {
	all := map[string]any{}
	for name, t := range m.tables {
		kinds := map[string]string{}
		for _, row := range t.rows {
			for column, value := range row {
				if !isNull(value) {
					kinds[column] = together(kinds[column], kindOf(value))
				}
			}
		}
		columns := slices.Clone(t.standard)
		for _, column := range slices.Sorted(maps.Keys(kinds)) {
			if !slices.ContainsFunc(t.standard, func(s string) bool { return strings.HasPrefix(s, column+" ") }) {
				kind := kinds[column]
				if kind == "int" && slices.Contains(strings.Fields(alwaysFloat), column) {
					kind = "float"
				}
				columns = append(columns, column+" "+kind)
			}
		}
		rows := []cells{}
		for _, id := range slices.Sorted(maps.Keys(t.rows)) {
			row := t.rows[id]
			maps.DeleteFunc(row, func(_ string, v json.RawMessage) bool { return isNull(v) })
			for _, c := range columns {
				if column, ok := strings.CutSuffix(c, " string"); ok && row[column] != nil && row[column][0] != '"' {
					row[column] = quoted(string(row[column]))
				}
			}
			rows = append(rows, row)
		}
		all[name] = map[string]any{"columns": columns, "rows": rows}
	}
	return all
}

// alwaysFloat are columns that are float also if their first values are whole.
const alwaysFloat = `revenue price value total subtotal tax shipping discount
	context_location_latitude context_location_longitude context_location_speed context_screen_density`

func isNull(value json.RawMessage) bool { return len(value) == 0 || string(value) == "null" }

// kindOf is that of a value alone.
func kindOf(value json.RawMessage) string {
	switch {
	case value[0] == 't', value[0] == 'f':
		return "bool"
	case value[0] == '"':
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			panic(err)
		}
		if fullTime.MatchString(text) {
			return "time"
		}
		return "string"
	case value[0] == '[':
		return "string"
	case bytes.ContainsAny(value, ".eE"):
		return "float"
	}
	return "int"
}

// fullTime is enough for times that exist.
var fullTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$`)

// together is the kind of a column of both.
func together(a, b string) string {
	switch {
	case a == "" || a == b:
		return b
	case a == "int" && b == "float", a == "float" && b == "int":
		return "float"
	}
	return "string"
}

func quoted(text string) json.RawMessage {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return raw
}

func (f fields) text(key string) string {
	text, _ := strconv.Unquote(string(f[key])) // ids and names of the shop have no escape that Go does not know
	return text
}
