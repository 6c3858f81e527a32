package warehousetest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

// run takes the steps of a case and compares what came of it.
func (c *goldenCase) run(t *testing.T, top *testing.T, g *goldenStore) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("rule: %s", c.Why)
		}
	})
	began := time.Now()
	l := &goldenLoader{t: t, source: c.Name, log: goldenLog, next: 1}
	l.open = func() warehouse.Store { return g.open(t, top) }
	defer l.close()
	l.settings(nil)
	if limit := l.store.Dialect().MaxRow; c.wide && limit > 0 {
		t.Skipf("a row of this database holds %d bytes", limit)
	}
	for _, s := range c.Steps {
		s.take(l)
	}
	ended := time.Now()

	for _, schema := range c.schemas() {
		got := readTables(context.Background(), t, l.store, c.Name, schema)
		compareTables(t, c.expected(schema), got, true)
		checkLoaded(t, got, began.Add(-time.Minute), ended.Add(time.Minute))
	}
	c.checkCounts(l)
	l.compareList("letters", c.Letters, l.letters)
	l.compareList("notices", c.Notices, noticesOf(l.syncs))
	l.compareHistory()
}

func (s goldenStep) take(l *goldenLoader) {
	ctx := context.Background()
	switch {
	case s.Settings != nil:
		l.settings(s.Settings)
	case s.Again:
		l.deliver(l.last)
	case s.Retype != nil:
		var k warehouse.Kind
		if err := k.UnmarshalText([]byte(s.Retype[2])); err != nil {
			l.t.Fatal(err)
		}
		got, err := l.dest.Retype(ctx, s.Retype[0], s.Retype[1], k)
		s.report(l.t, "Retype", got, err)
	case s.Forget != nil:
		got, err := l.dest.Forget(ctx, s.Forget...)
		s.report(l.t, "Forget", got, err)
	default:
		events := make([]goldenEvent, len(s.Load))
		for i, e := range s.Load {
			events[i] = e.encode()
		}
		l.load(events)
	}
}

// report compares what a call returned.
func (s goldenStep) report(t *testing.T, call string, got any, err error) {
	if (err != nil) != s.Fails {
		t.Fatalf("%s: error %v, want one: %t", call, err, s.Fails)
	}
	if s.Fails {
		return
	}
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	gotText, _ := jsonText(raw)
	if want, _ := jsonText(s.Report); want != gotText {
		t.Errorf("%s returned %s, want %s", call, gotText, want)
	}
}

// schemas are those that the case looks at: the source and what stands in front of the
// names of tables.
func (c *goldenCase) schemas() []string {
	all := []string{c.Name}
	for name := range c.tables {
		if schema, _, ok := strings.Cut(name, "."); ok && !slices.Contains(all, schema) {
			all = append(all, schema)
		}
	}
	return all
}

func (c *goldenCase) expected(schema string) map[string]*goldenTable {
	all := map[string]*goldenTable{}
	for name, table := range c.tables {
		of, rest, ok := strings.Cut(name, ".")
		if !ok {
			of, rest = c.Name, name
		}
		if of == schema {
			all[rest] = table
		}
	}
	return all
}

// checkCounts tells whether the loads have counted the rows of events. Those of objects
// are counted each time that they are written.
func (c *goldenCase) checkCounts(l *goldenLoader) {
	l.t.Helper()
	if slices.ContainsFunc(c.Steps, func(s goldenStep) bool { return s.Forget != nil }) {
		return
	}
	got := map[string]int64{}
	for _, s := range l.syncs {
		for name, n := range s.Tables {
			got[name] += n
		}
	}
	for name, table := range c.tables {
		want := int64(len(table.rows))
		if _, event := table.column("timestamp"); got[name] != want && (event || got[name] < want) {
			l.t.Errorf("the loads have counted %d rows of %s, want %d", got[name], name, want)
		}
	}
}

func (l *goldenLoader) compareList(what string, want, got []string) {
	l.t.Helper()
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if !slices.Equal(want, got) {
		l.t.Errorf("%s are %q, want %q", what, got, want)
	}
}

// noticesOf adds up the notices of loads.
func noticesOf(syncs []warehouse.Sync) (all []string) {
	counts := map[warehouse.Notice]int{}
	for _, s := range syncs {
		for _, n := range s.Notices {
			count := n.Count
			n.Count = 0
			counts[n] += count
		}
	}
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	for n, count := range counts {
		all = append(all, fmt.Sprintf("%s %s %s %d", n.Kind, dash(n.Table), dash(n.Column), count))
	}
	return all
}

// compareHistory tells whether Syncs returns what OnSync was told.
func (l *goldenLoader) compareHistory() {
	l.t.Helper()
	got, err := l.dest.Syncs(context.Background(), 0)
	if err != nil {
		l.t.Fatalf("Syncs: %v", err)
	}
	want := slices.Clone(l.syncs)
	slices.Reverse(want)
	if len(got) != len(want) {
		l.t.Fatalf("Syncs returns %d loads, OnSync was told of %d", len(got), len(want))
	}
	for i, s := range got {
		w := want[i]
		if s.ID != w.ID || s.Log != w.Log || s.From != w.From || s.To != w.To || s.Status != w.Status || s.Events != w.Events ||
			!maps.Equal(s.Tables, w.Tables) || !reflect.DeepEqual(orNone(s.Notices), orNone(w.Notices)) {
			l.t.Errorf("Syncs returns\n\t%+v\nOnSync was told\n\t%+v", s, w)
		}
		if s.Status != statusOf(s) {
			l.t.Errorf("the status of a load with %d notices is %s", len(s.Notices), s.Status)
		}
	}
}

func orNone(list []warehouse.Notice) []warehouse.Notice {
	return append([]warehouse.Notice{}, list...)
}

func statusOf(s warehouse.Sync) warehouse.Status {
	if len(s.Notices) > 0 {
		return warehouse.Partial
	}
	return warehouse.Success
}
