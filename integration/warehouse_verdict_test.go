package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/warehouse"
)

// mostFaults is how many faults a verdict tells.
const mostFaults = 20

// verdict compares tables with what was sent through several logs, and finds all that
// should not be.
type verdict struct {
	tables    map[string]*warehouseTable
	sent      sentEvents // through all logs
	there     map[int]bool
	undecided int // objects of which nothing is left that could tell
	faults    []string
}

// judge returns what is wrong with the tables, nothing if they have exactly what was sent.
func judge(tables map[string]*warehouseTable, logs ...sentEvents) []string {
	v := &verdict{tables: tables, sent: sentEvents{}, there: map[int]bool{}}
	for _, sent := range logs {
		for n, accepted := range sent {
			v.sent[n] = v.sent[n] || accepted
		}
	}
	v.find()
	v.compare()
	v.journal(logs)
	return v.faults
}

func (v *verdict) fault(format string, args ...any) {
	if len(v.faults) < mostFaults {
		v.faults = append(v.faults, fmt.Sprintf(format, args...))
	}
}

// find looks for each event, and whether anybody sent it. Of an object whose call did
// not return, only what it has set can tell; where nothing is left of it, it makes no
// difference.
func (v *verdict) find() {
	add := func(table, id string) {
		n, ok := warehouseNumber(id)
		if _, sent := v.sent[n]; !ok || !sent {
			v.fault("%s has %q, which nobody sent", table, id)
			return
		}
		v.there[n] = true
	}
	for name, t := range v.tables {
		for key, row := range t.rows {
			switch newest, object := row["_newest"]; {
			case strings.HasPrefix(name, "_"):
			case object:
				for _, id := range newestIDs(newest.S) {
					add(name, id)
				}
			default:
				add(name, key)
			}
		}
	}
	for n, accepted := range v.sent {
		if accepted {
			v.there[n] = true // must be: compare finds out
		} else if _, rows := warehouseEvent(n); rows[0].object && !v.there[n] {
			v.undecided++
		}
	}
}

// expected are the rows of the events that are there.
func (v *verdict) expected() map[string]map[string]*warehouseRow {
	all := map[string]map[string]*warehouseRow{}
	newest := map[string]*warehouseRow{} // by table, key and column
	for n := range v.there {
		_, rows := warehouseEvent(n)
		for i := range rows {
			r := &rows[i]
			if all[r.table] == nil {
				all[r.table] = map[string]*warehouseRow{}
			}
			if !r.object {
				all[r.table][r.key] = r
				continue
			}
			if all[r.table][r.key] == nil {
				all[r.table][r.key] = &warehouseRow{table: r.table, key: r.key, object: true, data: data{}}
			}
			for column, value := range r.data {
				place := r.table + " " + r.key + " " + column
				if had := newest[place]; value != nil && (had == nil || r.at.After(had.at)) {
					newest[place] = r
					all[r.table][r.key].data[column] = value
				}
			}
		}
	}
	return all
}

// compare looks at each row that is there or should be.
func (v *verdict) compare() {
	expected := v.expected()
	for name, t := range v.tables {
		if name == "_positions" || name == "_syncs" {
			continue
		}
		for key := range t.rows {
			if expected[name][key] == nil {
				v.fault("%s: %s should not be there", name, key)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		t := v.tables[name]
		if t == nil {
			v.fault("the table %s is missing", name)
			continue
		}
		for key, want := range expected[name] {
			if row := t.rows[key]; row != nil {
				v.row(t, row, want)
			} else {
				v.fault("%s: %s is missing", name, key)
			}
		}
	}
}

// row compares the values of a row.
func (v *verdict) row(t *warehouseTable, row map[string]warehouse.Value, want *warehouseRow) {
	fault := func(column, format string, args ...any) {
		v.fault("%s: %s: %s: "+format, append([]any{want.table, want.key, column}, args...)...)
	}
	unmapped, known := data{}, data{}
	for _, values := range []data{want.standard, want.data} {
		for column, value := range values {
			known[column] = value
			held, ok := placed(value, t.kinds[column])
			if value != nil && !ok {
				unmapped[column] = value
			}
			if value == nil || !ok {
				held = warehouse.Value{}
			}
			if got := row[column]; got != held {
				fault(column, "is %v, want %v", got, held)
			}
		}
	}
	for column, got := range row {
		if _, ok := known[column]; !ok && !bystander(column) {
			fault(column, "is %v, which nobody sent", got)
		}
	}
	for _, column := range []string{"received_at", "uuid_ts"} {
		if row[column].Kind != warehouse.Time {
			fault(column, "is missing")
		}
	}
	if got := row["uuid"]; got != warehouse.IntValue(hash63(want.key)) {
		fault("uuid", "is %v", got)
	}
	if got := row["_unmapped"].S; !sameJSON(got, unmapped) {
		fault("_unmapped", "is %s, want %v", got, unmapped)
	}
}

// bystander tells whether a column is none that a caller fills.
func bystander(column string) bool {
	switch column {
	case "id", "original_timestamp", "sent_at", "received_at", "uuid", "uuid_ts", "_unmapped", "_newest":
		return true
	}
	return strings.HasPrefix(column, "context_library_")
}

func sameJSON(text string, want data) bool {
	if text == "" || len(want) == 0 {
		return text == "" && len(want) == 0
	}
	b, err := json.Marshal(want)
	var x, y any
	return err == nil && json.Unmarshal(b, &x) == nil && json.Unmarshal([]byte(text), &y) == nil && reflect.DeepEqual(x, y)
}

// journal checks that the positions are the ends of the logs, and that each event of a
// log was loaded by one sync.
func (v *verdict) journal(logs []sentEvents) {
	if v.tables["_positions"] == nil || v.tables["_syncs"] == nil {
		v.fault("there is no journal")
		return
	}
	ends, loaded := map[string]int64{}, map[string]int64{}
	for id, row := range v.tables["_positions"].rows {
		if id != "version" {
			ends[id] = row["next"].N
		}
	}
	for _, row := range v.tables["_syncs"].rows {
		if row["status"].S != string(warehouse.Failure) {
			loaded[row["log"].S] += row["events"].N
		}
	}
	if !maps.Equal(ends, loaded) {
		v.fault("positions are %v, events of all syncs %v", ends, loaded)
	}
	if len(ends) != len(logs) {
		v.fault("there are positions of %d logs, want %d", len(ends), len(logs))
	}
	least, most, total := 0, 0, int64(0)
	for _, end := range ends {
		total += end
	}
	for _, sent := range logs {
		least, most = least+sent.accepted(), most+len(sent)
	}
	if len(logs) == 1 {
		least, most = len(v.there), len(v.there)+v.undecided
	}
	if total < int64(least) || total > int64(most) {
		v.fault("the logs end at %v, want %d to %d in all", ends, least, most)
	}
}
