package warehousetest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// goldenSizes are cases that are too long for a file. The rules are the same.
func goldenSizes() []*goldenCase {
	return []*goldenCase{manyProperties(), manyPropertiesInOneEvent(), dynamicKeys(), dynamicKeysOfTraits(), dynamicKeysDeep(),
		notQuiteDynamic(), seenTwice(), longTexts(), deepNesting(), largeLoads()}
}

// sized makes a case of JSON. What its events and rows do not say is as in the files.
func sized(name, why string, tables map[string]string, loads ...[]string) *goldenCase {
	f := &goldenFile{
		Event: parsedObject(`{"type": "track", "event": "Tested", "userId": "u1", "timestamp": "2026-05-02T10:00:00Z", "receivedAt": "2026-05-02T10:00:02Z"}`),
		Rows: map[string]object{
			"*": parsedObject(`{"user_id": "u1", "timestamp": "2026-05-02T10:00:00Z", "original_timestamp": "2026-05-02T10:00:00Z",
				"sent_at": "2026-05-02T10:00:02Z", "received_at": "2026-05-02T10:00:02Z"}`),
			"tested": parsedObject(`{"event": "tested", "event_text": "Tested"}`),
		},
	}
	c := &goldenCase{Name: name, Why: why, Tables: map[string]json.RawMessage{}}
	for table, text := range tables {
		c.Tables[table] = json.RawMessage(text)
	}
	for _, load := range loads {
		var events []object
		for _, text := range load {
			events = append(events, parsedObject(text))
		}
		c.Steps = append(c.Steps, goldenStep{Load: events})
	}
	if err := c.complete(f); err != nil {
		panic(fmt.Sprintf("warehousetest: case %s: %v", name, err)) // it is written here
	}
	return c
}

func parsedObject(text string) (o object) {
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(fmt.Sprintf("warehousetest: %v in %s", err, text)) // it is written here
	}
	return o
}

// each joins the texts of the numbers from to to.
func each(from, to int, text func(i int) string) string {
	return strings.Join(numbered(from, to, text), ", ")
}

func numbered(from, to int, text func(i int) string) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, text(i))
	}
	return all
}

// memberText writes `"p0001": true` and the like.
func memberText(format string) func(int) string {
	return func(i int) string { return fmt.Sprintf(format, i) }
}

const mostColumns = 1000 - 12 // of an event's own

// manyProperties has 1,500 properties in two events, so that no row is too wide for a
// database that keeps a row in a page.
func manyProperties() *goldenCase {
	p, column := memberText(`"p%04d": true`), memberText(`"p%04d bool"`)
	c := sized("many_properties",
		"A table has 1,000 columns at most; of 1,500 properties the first in byte order have one. Beyond 200 kinds of notices they are counted together.",
		map[string]string{"tracks": `"common"`, "tested": fmt.Sprintf(`{"also": [%s], "rows": [{"id": "m1", %s}, {"id": "m2", %s, "_unmapped": {%s}}]}`,
			each(0, mostColumns, column), each(0, 750, p), each(750, mostColumns, p), each(mostColumns, 1500, p))},
		[]string{
			fmt.Sprintf(`{"messageId": "m1", "properties": {%s}}`, each(0, 750, p)),
			fmt.Sprintf(`{"messageId": "m2", "properties": {%s}}`, each(750, 1500, p)),
		})
	c.Notices = limitNotices()
	return c
}

// limitNotices are those of 1,500 properties.
func limitNotices() []string {
	const named = 200
	return append(numbered(mostColumns, mostColumns+named, memberText("column_limit tested p%04d 1")),
		fmt.Sprintf("column_limit - - %d", 1500-mostColumns-named))
}

func manyPropertiesInOneEvent() *goldenCase {
	p, column := memberText(`"p%04d": %[1]d`), memberText(`"p%04d int"`)
	c := sized("many_properties_in_one_event", "The same where they are of one event: at the top of an event no number of keys is dynamic.",
		map[string]string{"tracks": `"common"`, "tested": fmt.Sprintf(`{"also": [%s], "rows": [{"id": "m1", %s, "_unmapped": {%s}}]}`,
			each(0, mostColumns, column), each(0, mostColumns, p), each(mostColumns, 1500, p))},
		[]string{fmt.Sprintf(`{"messageId": "m1", "properties": {%s}}`, each(0, 1500, p))})
	c.Notices = limitNotices()
	c.wide = true
	return c
}

func dynamicKeys() *goldenCase {
	event := memberText(`{"messageId": "m%03d", "properties": {"scores": {"user %[1]d": %[1]d}, "n": 1}}`)
	row := memberText(`{"id": "m%03d", "scores": {"user %[1]d": %[1]d}, "n": 1}`)
	c := sized("dynamic_keys",
		"An object that would bring more than 100 new columns, each with a value in one row only, becomes one JSON column, and later objects go there whole.",
		map[string]string{"tracks": `"common"`, "tested": fmt.Sprintf(
			`{"also": ["n int", "scores json"], "rows": [%s, {"id": "n1", "scores": {"new": {"x": [1]}}}, {"id": "n2"}, {"id": "n3", "scores": 5}]}`, each(0, 101, row))},
		numbered(0, 101, event),
		[]string{
			`{"messageId": "n1", "properties": {"scores": {"new": {"x": [1]}}}}`,
			`{"messageId": "n2", "properties": {"scores": null}}`,
			`{"messageId": "n3", "properties": {"scores": 5}}`,
		})
	c.Notices = []string{"dynamic_keys tested scores 1"}
	return c
}

func dynamicKeysOfTraits() *goldenCase {
	member := memberText(`"k%03d": true`)
	c := sized("dynamic_keys_of_traits", "The same for traits, in identifies and in users; all keys of one event count.",
		map[string]string{
			"identifies": fmt.Sprintf(`{"also": ["flags json", "plan string"], "rows": [{"id": "m1", "plan": "pro", "flags": {%s}}]}`, each(0, 101, member)),
			"users": fmt.Sprintf(`{"also": ["flags json", "plan string"], "rows": [{"id": "u1", "received_at": "2026-05-02T10:00:02Z", "plan": "pro", "flags": {%s}}]}`,
				each(0, 101, member)),
		},
		[]string{fmt.Sprintf(`{"type": "identify", "event": null, "messageId": "m1", "traits": {"plan": "pro", "flags": {%s}}}`, each(0, 101, member))})
	c.Notices = []string{"dynamic_keys identifies flags 1", "dynamic_keys users flags 1"}
	return c
}

func dynamicKeysDeep() *goldenCase {
	event := memberText(`{"messageId": "m%03d", "properties": {"quiz": {"round": 7, "answers": {"q%[1]d": {"points": %[1]d}}}}}`)
	row := memberText(`{"id": "m%03d", "quiz_round": 7, "quiz_answers": {"q%[1]d": {"points": %[1]d}}}`)
	c := sized("dynamic_keys_deep", "It is the object whose keys they are that becomes JSON; what is beside it stays a column.",
		map[string]string{"tracks": `"common"`, "tested": fmt.Sprintf(`{"also": ["quiz_answers json", "quiz_round int"], "rows": [%s]}`, each(0, 101, row))},
		numbered(0, 101, event))
	c.Notices = []string{"dynamic_keys tested quiz_answers 1"}
	return c
}

func notQuiteDynamic() *goldenCase {
	event := memberText(`{"messageId": "m%03d", "properties": {"scores": {"u%03[1]d": %[1]d}}}`)
	row := memberText(`{"id": "m%03d", "scores_u%03[1]d": %[1]d}`)
	return sized("not_quite_dynamic", "100 new columns are not more than 100.",
		map[string]string{"tracks": `"common"`, "tested": fmt.Sprintf(`{"also": [%s], "rows": [%s]}`, each(0, 100, memberText(`"scores_u%03d int"`)), each(0, 100, row))},
		numbered(0, 100, event))
}

func seenTwice() *goldenCase {
	member := memberText(`"u%03d": %[1]d`)
	event := func(i int) string {
		return fmt.Sprintf(`{"messageId": "m%d", "properties": {"scores": {%s}}}`, i, each(0, 150, member))
	}
	row := func(i int) string {
		return fmt.Sprintf(`{"id": "m%d", %s}`, i, each(0, 150, memberText(`"scores_u%03d": %[1]d`)))
	}
	return sized("seen_twice", "Keys that come in two rows are columns, however many.",
		map[string]string{"tracks": `"common"`, "tested": fmt.Sprintf(`{"also": [%s], "rows": [%s]}`, each(0, 150, memberText(`"scores_u%03d int"`)), each(1, 3, row))},
		numbered(1, 3, event))
}

func longTexts() *goldenCase {
	lengths := []int{0, 1, 511, 512, 513, 8191, 65536, 300_000}
	var members, columns []string
	for _, n := range lengths {
		members = append(members, fmt.Sprintf(`"t%06d": %q`, n, strings.Repeat("é", n/2)+strings.Repeat("x", n%2)))
		columns = append(columns, fmt.Sprintf(`"t%06d string"`, n))
	}
	slices.Sort(columns)
	return sized("long_texts", "A text is never cut.",
		map[string]string{"tracks": `"common"`, "tested": fmt.Sprintf(`{"also": [%s], "rows": [{"id": "m1", %s}]}`, strings.Join(columns, ", "), strings.Join(members, ", "))},
		[]string{fmt.Sprintf(`{"messageId": "m1", "properties": {%s}}`, strings.Join(members, ", "))})
}

func deepNesting() *goldenCase {
	const depth = 99 // an event of 100 levels is the deepest that a client takes
	name := strings.TrimSuffix(strings.Repeat("a_", depth), "_")
	h := fnv.New32a()
	h.Write([]byte(name))
	column := fmt.Sprintf("%s_%08x", name[:54], h.Sum32())
	return sized("deepest_nesting", "All levels that a client takes are flattened, and the name is cut as any other.",
		map[string]string{"tracks": `"common"`, "tested": fmt.Sprintf(`{"also": [%q], "rows": [{"id": "m1", %q: 7}]}`, column+" int", column)},
		[]string{fmt.Sprintf(`{"messageId": "m1", "properties": %s7%s}`, strings.Repeat(`{"a":`, depth), strings.Repeat("}", depth))})
}

// largeLoads has loads of which rows may be written while others are made: nothing in the
// first of them is new, and in the second a column is, in the middle.
func largeLoads() *goldenCase {
	const first, second, last, news = 10, 1510, 2500, 2000
	misfit := func(i int) bool { return i > first && i%500 == 7 }
	late := map[int]string{news: `, "late": 1`, news + 1: `, "late": 1.5`}
	event := func(i int) string {
		n := fmt.Sprint(i)
		if misfit(i) {
			n = fmt.Sprintf(`"misfit %d"`, i)
		}
		return fmt.Sprintf(`{"messageId": "m%04d", "properties": {"text": "t%d", "n": %s%s}}`, i, i, n, late[i])
	}
	row := func(i int) string {
		n := fmt.Sprintf(`"n": %d`, i)
		if misfit(i) {
			n = fmt.Sprintf(`"_unmapped": {"n": "misfit %d"}`, i)
		}
		return fmt.Sprintf(`{"id": "m%04d", "text": "t%d", %s%s}`, i, i, n, late[i])
	}
	c := sized("large_loads", "What is written while other rows are made is what would be written behind them.",
		map[string]string{"tracks": `"common"`, "tested": fmt.Sprintf(`{"also": ["n int", "text string", "late float"], "rows": [%s]}`, each(0, last, row))},
		numbered(0, first, event), numbered(first, second, event), numbered(second, last, event))
	c.Notices = []string{"misfit tested n 4"}
	return c
}
