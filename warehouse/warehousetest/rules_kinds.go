package warehousetest

import (
	"fmt"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

func kindRules() []rule {
	return []rule{
		{
			name:     "kinds",
			sentence: "Rows whose columns have other kinds than those of the table, or are not there, are an error, and nothing of them is written: what looks alike is not converted.",
			test:     testKinds,
		},
		{
			name:     "kinds-of-values",
			sentence: "A value of another kind than its column is an error, and nothing of the rows of that call is written.",
			test:     testKindsOfValues,
		},
	}
}

// few and some are how many rows are written where that may make a difference: a
// database may have one way for a few and another one for more.
const few, some = 1, 101

// lookalike is a value of a kind that a column of another kind could be talked into.
func lookalike(kind, of warehouse.Kind) warehouse.Value {
	text, quoted := "1", "1"
	switch of {
	case warehouse.Bool:
		text, quoted = "true", "true"
	case warehouse.Time:
		text, quoted = "2026-05-02T18:04:05Z", `"2026-05-02T18:04:05Z"`
	}
	switch kind {
	case warehouse.Bool:
		return warehouse.BoolValue(true)
	case warehouse.Int:
		return warehouse.IntValue(1)
	case warehouse.Float:
		return warehouse.FloatValue(1)
	case warehouse.Time:
		return warehouse.TimeValue(time.Unix(1, 0))
	case warehouse.String:
		return warehouse.StringValue(text)
	}
	return warehouse.JSONValue(quoted)
}

// otherKinds are all but one.
func otherKinds(than warehouse.Kind) (kinds []warehouse.Kind) {
	for kind := warehouse.Bool; kind <= warehouse.JSON; kind++ {
		if kind != than {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// refusal is about a table with a column of every kind and one row, which stays alone.
type refusal struct {
	*store
	there []warehouse.Value
}

func (t *trial) refusal() *refusal {
	r := &refusal{t.open(), row("there", true, 7, 0.5, times()[5], "text", text("[]"))}
	r.do(func(x *tx) {
		x.create(home, "every", every()...)
		x.write(home, "every", rowsOf(every(), r.there), warehouse.Keep, 1)
	})
	return r
}

// refuses wants that rows are an error and leave nothing behind.
func (s *refusal) refuses(what string, r *rows, on warehouse.Conflict) {
	what = fmt.Sprintf("%s, %s, %d rows", what, conflict(on), r.Len())
	x := s.begin(home)
	if err := s.t.try(what, func() error { return second(x.Write(bg, home, "every", r, on)) }); err == nil {
		s.t.errorf("%s: no error", what)
	}
	x.rollback()
	s.look(func(x *tx) {
		x.expect("after Rollback of "+what, home, "every", names(every()), warehouse.Query{}, s.there)
	})
}

// lastOf makes n rows whose second column is NULL but for the last row. Under Replace one
// of them has the key of the row that is there.
func lastOf(n int, second warehouse.Column, last warehouse.Value, on warehouse.Conflict) *rows {
	r := rowsOf([]warehouse.Column{column("id"), second})
	for i := range n {
		r.values = append(r.values, row(padded(i), nil))
	}
	if on == warehouse.Replace {
		r.values[n/2][0] = warehouse.StringValue("there")
	}
	r.values[n-1][1] = last
	return r
}

// ways calls f with all ways to write.
func ways(f func(n int, on warehouse.Conflict)) {
	for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
		f(few, on)
		f(some, on)
	}
}

func testKinds(t *trial) {
	s := t.refusal()
	for _, c := range every()[1:] {
		for _, kind := range otherKinds(c.Kind) {
			ways(func(n int, on warehouse.Conflict) {
				r := lastOf(n, warehouse.Column{Name: c.Name, Kind: kind}, lookalike(kind, c.Kind), on)
				s.refuses(fmt.Sprintf("Write of a column %s to a column %s", kind, c.Kind), r, on)
			})
		}
	}
	for _, kind := range otherKinds(warehouse.String) {
		for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
			cols := []warehouse.Column{{Name: "id", Kind: kind}, column("s")}
			s.refuses(fmt.Sprintf("Write of a key %s", kind), rowsOf(cols, row(lookalike(kind, warehouse.String), "text")), on)
		}
	}
	for _, kind := range otherKinds(warehouse.Null) {
		ways(func(n int, on warehouse.Conflict) {
			r := lastOf(n, warehouse.Column{Name: "missing", Kind: kind}, lookalike(kind, kind), on)
			s.refuses(fmt.Sprintf("Write of a column %s that is not there", kind), r, on)
		})
	}
}

func testKindsOfValues(t *trial) {
	s := t.refusal()
	for _, c := range every()[1:] {
		for _, kind := range otherKinds(c.Kind) {
			ways(func(n int, on warehouse.Conflict) {
				s.refuses(fmt.Sprintf("Write of a value %s to a column %s", kind, c.Kind), lastOf(n, c, lookalike(kind, c.Kind), on), on)
			})
		}
	}
	for _, kind := range otherKinds(warehouse.String) {
		ways(func(n int, on warehouse.Conflict) {
			r := lastOf(n, column("s"), value("text"), on)
			r.values[n-1][0] = lookalike(kind, warehouse.String)
			s.refuses(fmt.Sprintf("Write of a value %s as a key", kind), r, on)
		})
	}
}
