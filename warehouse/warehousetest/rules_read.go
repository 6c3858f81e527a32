package warehousetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tributary-dev/analytics/warehouse"
)

func readRules() []rule {
	return []rule{
		{
			name:     "read-order",
			sentence: "Read gives rows in the byte order of their keys, whatever the language of the database.",
			test:     testReadOrder,
		},
		{
			name:     "read-keys",
			sentence: "With Query.Keys it gives the rows that are there, each once; keys that are not nil and none are no rows.",
			test:     testReadKeys,
		},
		{
			name:     "read-pages",
			sentence: "With Query.After and Limit it gives the rows behind a key, whether there is a row of it or not, and no more than Limit.",
			test:     testReadPages,
		},
		{
			name:     "empty-key",
			sentence: "A key may be empty: it is the first one, and a Query whose After is empty begins with it.",
			test:     testEmptyKey,
		},
		{
			name:     "read-columns",
			sentence: "It gives the columns that are named, in that order.",
			test:     testReadColumns,
		},
		{
			name:     "read-stopped",
			sentence: "An error of f ends the reading and is returned, and the transaction goes on.",
			test:     testReadStopped,
		},
		{
			name:     "delete",
			sentence: "Delete removes the rows whose column has one of the values, byte by byte, no others, and counts them.",
			test:     testDelete,
		},
	}
}

// filled makes a table of those keys; n is their place.
func (s *store) filled(table string, keys ...string) (cols []warehouse.Column) {
	cols = columns("id", "n:int", "s")
	r := rowsOf(cols)
	for i, key := range keys {
		r.values = append(r.values, row(key, i, "text"))
	}
	s.do(func(x *tx) {
		x.create(home, table, cols...)
		x.write(home, table, r, warehouse.Keep, int64(len(keys)))
	})
	return cols
}

func (x *tx) keys(table string, q warehouse.Query) []string {
	var keys []string
	for _, values := range x.read(home, table, []string{"id"}, q) {
		keys = append(keys, values[0].S)
	}
	return keys
}

// sameKeys reports the first difference.
func (t *trial) sameKeys(when string, got, want []string) {
	if slices.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.errorf("%s: Read gives %d keys, want %d, which differ from number %d on: %q, want %q",
		when, len(got), len(want), i, got[i:min(len(got), i+3)], want[i:min(len(want), i+3)])
}

func testReadOrder(t *trial) {
	s := t.open()
	s.filled("orders", shortStrings...)
	want := slices.Sorted(slices.Values(shortStrings))
	s.look(func(x *tx) {
		t.sameKeys("all", x.keys("orders", warehouse.Query{}), want)
		t.sameKeys("by keys", x.keys("orders", warehouse.Query{Keys: shortStrings}), want)
		for i, key := range want {
			t.sameKeys(fmt.Sprintf("after %q", key), x.keys("orders", warehouse.Query{After: key}), want[i+1:])
		}
	})
}

func testReadKeys(t *trial) {
	s := t.open()
	cols := s.filled("orders", "a", "b", "c", "it's")
	s.look(func(x *tx) {
		x.expect("two of them", home, "orders", names(cols), warehouse.Query{Keys: []string{"c", "a"}}, row("a", 0, "text"), row("c", 2, "text"))
		for _, c := range []struct {
			what       string
			keys, want []string
		}{
			{"one that is there and one that is not", []string{"b", "missing"}, []string{"b"}},
			{"none that is there", []string{"missing", "A", "'", `\`, "a' OR 'a'='a"}, nil},
			{"one with a quote", []string{"it's"}, []string{"it's"}},
			{"one key twice", []string{"b", "a", "b"}, []string{"a", "b"}},
			{"no keys", []string{}, nil},
		} {
			t.sameKeys(c.what, x.keys("orders", warehouse.Query{Keys: c.keys}), c.want)
		}
	})
}

func testReadPages(t *trial) {
	s := t.open()
	var want []string
	for i := range 100 {
		want = append(want, padded(2*i))
	}
	s.filled("orders", want...)
	s.look(func(x *tx) {
		for _, limit := range []int{1, 7, 50, 99, 100, 101} {
			var got []string
			q := warehouse.Query{Limit: limit}
			for {
				page := x.keys("orders", q)
				if len(page) > limit {
					t.fatalf("Limit %d: %d rows", limit, len(page))
				}
				if len(page) == 0 || len(got) > len(want) {
					break
				}
				got = append(got, page...)
				q.After = page[len(page)-1]
			}
			t.sameKeys(fmt.Sprintf("pages of %d", limit), got, want)
		}
		t.sameKeys("after a key without a row", x.keys("orders", warehouse.Query{After: padded(101), Limit: 2}), want[51:53])
		t.sameKeys("after all", x.keys("orders", warehouse.Query{After: "z"}), nil)
		t.sameKeys("without a limit", x.keys("orders", warehouse.Query{After: padded(0)}), want[1:])
	})
}

func testEmptyKey(t *trial) {
	s := t.open()
	cols := s.filled("orders", "b", "", "a")
	s.do(func(x *tx) {
		x.expect("all", home, "orders", names(cols), warehouse.Query{}, row("", 1, "text"), row("a", 2, "text"), row("b", 0, "text"))
		for _, c := range []struct {
			what string
			q    warehouse.Query
			want []string
		}{
			{"the first one", warehouse.Query{Limit: 1}, []string{""}},
			{"the first two", warehouse.Query{Limit: 2}, []string{"", "a"}},
			{"after the first letter", warehouse.Query{After: "a"}, []string{"b"}},
			{"after what comes before all letters", warehouse.Query{After: "\x01"}, []string{"a", "b"}},
			{"the empty key", warehouse.Query{Keys: []string{""}}, []string{""}},
			{"the empty key and another one", warehouse.Query{Keys: []string{"", "b"}}, []string{"", "b"}},
			{"another key", warehouse.Query{Keys: []string{"a"}}, []string{"a"}},
		} {
			t.sameKeys(c.what, x.keys("orders", c.q), c.want)
		}
		x.write(home, "orders", rowsOf(cols, row("", 3, "text")), warehouse.Keep, 0)
		x.write(home, "orders", rowsOf(cols, row("", 4, "text")), warehouse.Replace, 0)
	})
	s.do(func(x *tx) {
		x.expect("after Replace", home, "orders", names(cols), warehouse.Query{Limit: 1}, row("", 4, "text"))
		x.delete(home, "orders", "id", 1, "")
		t.sameKeys("after Delete", x.keys("orders", warehouse.Query{}), []string{"a", "b"})
	})
}

func testReadColumns(t *trial) {
	s := t.open()
	values := row("a", true, 1, 0.5, value(times()[5]), "x", text("{}"))
	all := every()
	s.do(func(x *tx) {
		x.create(home, "orders", all...)
		x.write(home, "orders", rowsOf(all, values), warehouse.Keep, 1)
		for i := range all {
			x.expect("one column", home, "orders", []string{all[i].Name}, warehouse.Query{}, []warehouse.Value{values[i]})
			for j := range all {
				if i != j {
					x.expect("two columns", home, "orders", []string{all[i].Name, all[j].Name}, warehouse.Query{}, []warehouse.Value{values[i], values[j]})
				}
			}
		}
	})
}

var errEnough = errors.New("enough")

func testReadStopped(t *trial) {
	s := t.open()
	var keys []string
	for i := range 3000 {
		keys = append(keys, padded(i))
	}
	cols := s.filled("orders", keys...)
	s.do(func(x *tx) {
		for _, stop := range []int{1, 2, 1500, 3000} {
			calls := 0
			err := t.try("Read", func() error {
				return x.Read(bg, home, "orders", names(cols), warehouse.Query{}, func([]warehouse.Value) error {
					if calls++; calls == stop {
						return errEnough
					}
					return nil
				})
			})
			if !errors.Is(err, errEnough) {
				t.errorf("Read whose f returns an error at row %d returns %v", stop, err)
			}
			if calls != stop {
				t.errorf("f has returned an error at row %d and was called %d times", stop, calls)
			}
			x.write(home, "orders", rowsOf(cols, row(fmt.Sprint("new ", stop), stop, nil)), warehouse.Keep, 1)
		}
	})
	s.look(func(x *tx) {
		x.expect("after Commit", home, "orders", names(cols), warehouse.Query{After: "new"},
			row("new 1", 1, nil), row("new 1500", 1500, nil), row("new 2", 2, nil), row("new 3000", 3000, nil))
	})
}

func testDelete(t *trial) {
	s := t.open()
	cols := columns("id", "user_id")
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "orders", rowsOf(cols, row("1", "ann"), row("2", "ann"), row("3", "Ann"), row("4", "ann "), row("5", nil), row("6", ""),
			row("7", "it's"), row("8", "bob"), row("9", "ann' OR 'a'='a")), warehouse.Keep, 9)
	})
	s.do(func(x *tx) {
		x.delete(home, "orders", "user_id", 0)
		x.delete(home, "orders", "user_id", 0, "missing", "an_", "%", "NULL", "'")
		x.delete(home, "orders", "user_id", 2, "ann")
		x.delete(home, "orders", "user_id", 0, "ann")
		x.delete(home, "orders", "user_id", 2, "it's", "missing", "bob", "it's")
		x.delete(home, "orders", "user_id", 1, "")
		x.delete(home, "orders", "id", 1, "9", "ann")
	})
	s.look(func(x *tx) {
		x.expect("after Commit", home, "orders", names(cols), warehouse.Query{}, row("3", "Ann"), row("4", "ann "), row("5", nil))
	})
}
