package integration

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

// Event number n is always the same, so that what is to be in the tables follows from
// the numbers that were accepted. The further on, the more tables and columns there are;
// the types of some values change all the time; and the newest event of a user is not
// the last.

// data are properties or traits, by the names of their columns.
type data = map[string]any

// warehouseRow is what an event leaves in one table.
type warehouseRow struct {
	table, key string
	object     bool // the newest value of each column counts
	at         time.Time
	standard   data
	data       data
}

const warehousePage = 512 // so many events are not in the order of their timestamps

func warehouseTime(n int) time.Time {
	within := (n*205 + 77) % warehousePage
	return time.Date(2026, 5, 2, 8, 0, 0, 0, time.UTC).Add(time.Duration(n/warehousePage*warehousePage+within) * time.Millisecond)
}

func warehouseID(n int) string { return "e-" + strconv.Itoa(n) }

// warehouseNumber is the number in an id; false if nobody makes such an id.
func warehouseNumber(id string) (int, bool) {
	digits, ok := strings.CutPrefix(id, "e-")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && warehouseID(n) == id
}

func warehouseUser(n int) string { return fmt.Sprintf("u-%d", n%17) }

// drift is a value whose type depends on the number.
func drift(n int) any {
	switch {
	case n%7 == 0:
		return fmt.Sprintf("%d or so", n)
	case n%11 == 0:
		return n%2 == 0
	case n%3 == 0:
		return float64(n) + 0.5
	}
	return n
}

// warehouseData are the properties or traits of event n. A column is new every few events.
func warehouseData(n, every int) data {
	d := data{"number": n, "amount": drift(n), fmt.Sprintf("c%d", n/every): "x" + strconv.Itoa(n), "plan": nil}
	if n%5 != 0 {
		d["plan"] = "plan " + strconv.Itoa(n%4)
	}
	return d
}

// rich adds what only events may have, but not objects: lists, times, objects.
func rich(d data, n int) data {
	d["tags"] = []any{n, "x"}
	d["due"] = any("never")
	if n%13 != 0 {
		d["due"] = warehouseTime(n).Format(time.RFC3339)
	}
	d["deep_er_flag"] = n%2 == 0
	return d
}

// sent are the properties as they are sent.
func (r *warehouseRow) sent() map[string]any {
	m := make(map[string]any, len(r.data))
	for key, v := range r.data {
		m[key] = v
	}
	if flag, ok := m["deep_er_flag"]; ok {
		delete(m, "deep_er_flag")
		m["deep"] = map[string]any{"erFlag": flag}
	}
	return m
}

// warehouseEvent is event n, and the rows that it leaves.
func warehouseEvent(n int) (m analytics.Message, rows []warehouseRow) {
	id, user, at := warehouseID(n), warehouseUser(n), warehouseTime(n)
	row := func(table string, own data, d data) *warehouseRow {
		standard := data{"user_id": user, "timestamp": at.Format(time.RFC3339Nano)}
		for column, v := range own {
			standard[column] = v
		}
		rows = append(rows, warehouseRow{table: table, key: id, at: at, standard: standard, data: d})
		return &rows[len(rows)-1]
	}
	object := func(table, key string, d data) *warehouseRow {
		rows = append(rows, warehouseRow{table: table, key: key, object: true, at: at, data: d})
		return &rows[len(rows)-1]
	}
	switch n % 10 {
	case 0, 1, 2, 3, 4:
		name := fmt.Sprintf("Kind %d", n/200)
		own := data{"event": strings.ToLower(strings.ReplaceAll(name, " ", "_")), "event_text": name}
		row("tracks", own, nil)
		r := row(own["event"].(string), own, rich(warehouseData(n, 30), n))
		m = analytics.Track{MessageID: id, UserID: user, Timestamp: at, Event: name, Properties: r.sent()}
	case 5, 6:
		d := rich(warehouseData(n, 60), n)
		r := row("identifies", nil, d)
		m = analytics.Identify{MessageID: id, UserID: user, Timestamp: at, Traits: r.sent()}
		object("users", user, d)
	case 7:
		group, d := fmt.Sprintf("g-%d", n%7), rich(warehouseData(n, 150), n)
		r := row("groups", data{"group_id": group}, d)
		m = analytics.Group{MessageID: id, UserID: user, GroupID: group, Timestamp: at, Traits: r.sent()}
		object("accounts", group, d)
	case 8:
		key := fmt.Sprintf("t-%d", n%29)
		r := object("things", key, warehouseData(n, 150))
		m = analytics.Object{MessageID: id, Collection: "things", ID: key, Timestamp: at, Properties: r.sent()}
	default:
		name := fmt.Sprintf("Page %d", n%3)
		r := row("pages", data{"name": name}, data{"number": n, "amount": drift(n)})
		m = analytics.Page{MessageID: id, UserID: user, Timestamp: at, Name: name, Properties: r.sent()}
	}
	return m, rows
}

// hash63 is what the column uuid holds of a key.
func hash63(key string) int64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return int64(h.Sum64() &^ (1 << 63))
}

// kindOf is the kind of a value as it was sent.
func kindOf(v any) warehouse.Kind {
	switch v := v.(type) {
	case bool:
		return warehouse.Bool
	case int:
		return warehouse.Int
	case float64:
		return warehouse.Float
	case string:
		if _, err := time.Parse(time.RFC3339, v); err == nil {
			return warehouse.Time
		}
	}
	return warehouse.String
}

// placed is what a column of a kind holds of a value. ok is false where it cannot, and
// the value is to be in _unmapped.
func placed(v any, kind warehouse.Kind) (held warehouse.Value, ok bool) {
	text, isText := v.(string)
	switch {
	case kind == warehouse.String && isText:
		return warehouse.StringValue(text), true
	case kind == warehouse.String:
		b, err := json.Marshal(v)
		return warehouse.StringValue(string(b)), err == nil
	case kind == warehouse.Float && kindOf(v) == warehouse.Int:
		return warehouse.FloatValue(float64(v.(int))), true
	case kind != kindOf(v):
		return held, false
	}
	switch v := v.(type) {
	case bool:
		return warehouse.BoolValue(v), true
	case int:
		return warehouse.IntValue(int64(v)), true
	case float64:
		return warehouse.FloatValue(v), true
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return warehouse.TimeValue(at), err == nil
}
