package warehousetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// inserting makes stores that write in another way.
func inserting(write func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error)) warehousetest.Setup {
	return tx(func(x *twistedTx) {
		x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
			return write(x, ctx, schema, table, copyOf(r), on)
		}
	})
}

func brokenWrites() []broken {
	return []broken{
		{rule: "keep", how: "lets the last of two count", setup: writing(func(r *rows, on warehouse.Conflict) {
			if on == warehouse.Keep {
				slices.Reverse(r.values)
			}
		})},
		{rule: "keep", how: "counts all rows", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			n, err := x.Tx.Write(ctx, schema, table, r, on)
			if on == warehouse.Keep {
				n = int64(r.Len())
			}
			return n, err
		}), consequences: []string{"empty-key", "keys", "writes"}},
		{rule: "replace", how: "counts what it replaces", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			n, err := x.Tx.Write(ctx, schema, table, r, on)
			if on == warehouse.Replace {
				n = int64(r.Len())
			}
			return n, err
		}), more: true},
		{rule: "replace", how: "keeps values for which NULL is written", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			if on == warehouse.Keep {
				return x.Tx.Write(ctx, schema, table, r, on)
			}
			inserted := int64(0)
			for _, values := range r.values {
				one := &rows{}
				for i, v := range values {
					if v.Kind != warehouse.Null {
						one.columns = append(one.columns, r.columns[i])
					}
				}
				one.values = [][]warehouse.Value{slices.DeleteFunc(slices.Clone(values), func(v warehouse.Value) bool { return v.Kind == warehouse.Null })}
				n, err := x.Tx.Write(ctx, schema, table, one, on)
				if err != nil {
					return 0, err
				}
				inserted += n
			}
			return inserted, nil
		}), consequences: []string{"null"}},
		{rule: "replace", how: "deletes and inserts", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			if on == warehouse.Keep {
				return x.Tx.Write(ctx, schema, table, r, on)
			}
			var keys []string
			for _, values := range r.values {
				keys = append(keys, values[0].S)
			}
			deleted, err := x.Tx.Delete(ctx, schema, table, r.columns[0].Name, keys)
			if err != nil {
				return 0, err
			}
			n, err := x.Tx.Write(ctx, schema, table, r, on)
			return n - deleted, err
		}), consequences: []string{"add-columns", "own-writes", "writes"}},
		{rule: "columns-written", how: "takes columns in the order of the table", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			tables, err := x.Tx.Tables(ctx, schema)
			if err != nil {
				return 0, err
			}
			i := slices.IndexFunc(tables, func(t warehouse.Table) bool { return t.Name == table })
			if i >= 0 && len(r.columns) < len(tables[i].Columns) {
				for j := range r.columns {
					r.columns = slices.Clone(r.columns)
					r.columns[j] = tables[i].Columns[j]
				}
			}
			return x.Tx.Write(ctx, schema, table, r, on)
		}), more: true},
		{rule: "nothing-written", how: "cannot write no rows", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			if r.Len() == 0 {
				return 0, errors.New("syntax error at end of input")
			}
			return x.Tx.Write(ctx, schema, table, r, on)
		})},
		{rule: "nothing-written", how: "cannot replace nothing", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			if len(r.columns) == 1 && on == warehouse.Replace {
				return 0, errors.New("syntax error at end of input")
			}
			return x.Tx.Write(ctx, schema, table, r, on)
		})},
		{rule: "writes", how: "makes its temporary table twice", setup: tx(func(x *twistedTx) {
			made := map[string]string{}
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
				name, columns := schema+"."+table, fmt.Sprint(r.Columns())
				if before, ok := made[name]; ok && before != columns {
					return 0, errors.New("the temporary table has other columns")
				}
				made[name] = columns
				return x.Tx.Write(ctx, schema, table, r, on)
			}
		}), consequences: []string{"add-columns", "columns-written", "nothing-written", "own-writes", "replace"}},
		{rule: "keys", how: "does not look at case", setup: folding(strings.ToLower), consequences: []string{"columns-written", "nothing-written", "read-keys", "read-order", "split"}},
		{rule: "keys", how: "leaves blanks out", setup: folding(func(s string) string { return strings.TrimRight(s, " ") }), consequences: []string{"read-order"}},
		{rule: "nothing-kept", how: "keeps strings", setup: keeping()},
	}
}

// folding makes stores whose keys are changed.
func folding(fold func(string) string) warehousetest.Setup {
	return tx(func(x *twistedTx) {
		x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
			c, seen := copyOf(r), map[string]bool{}
			c.values = slices.DeleteFunc(c.values, func(values []warehouse.Value) bool {
				values[0].S = fold(values[0].S)
				again := seen[values[0].S]
				seen[values[0].S] = true
				return again
			})
			return x.Tx.Write(ctx, schema, table, c, on)
		}
		x.read = func(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			q.Keys = slices.Clone(q.Keys)
			for i := range q.Keys {
				q.Keys[i] = fold(q.Keys[i])
			}
			return x.Tx.Read(ctx, schema, table, columns, q, f)
		}
	})
}

// keeping makes stores that do not copy strings.
func keeping() warehousetest.Setup {
	kept := map[string]string{}
	s := tx(func(x *twistedTx) {
		x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
			for _, values := range copyOf(r).values {
				for _, v := range values {
					if len(v.S) < 100 {
						kept[strings.Clone(v.S)] = v.S
					}
				}
			}
			return x.Tx.Write(ctx, schema, table, r, on)
		}
		x.read = func(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			return x.Tx.Read(ctx, schema, table, columns, q, func(values []warehouse.Value) error {
				for i, v := range values {
					if s, ok := kept[v.S]; ok {
						values[i].S = s
					}
				}
				return f(values)
			})
		}
	})
	s.Skip = map[string]string{"loaders": "the broken store has a map without a lock"}
	return s
}

func brokenReads() []broken {
	collected := func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query) (all [][]warehouse.Value, err error) {
		err = read(ctx, schema, table, columns, q, func(values []warehouse.Value) error {
			all = append(all, slices.Clone(values))
			return nil
		})
		return all, err
	}
	return []broken{
		{rule: "read-order", how: "sorts as people do", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			all, err := collected(read, ctx, schema, table, columns, q)
			if err != nil {
				return err
			}
			if columns[0] == "id" && q.Limit == 0 {
				slices.SortStableFunc(all, func(a, b []warehouse.Value) int {
					return strings.Compare(strings.ToLower(a[0].S), strings.ToLower(b[0].S))
				})
			}
			for _, values := range all {
				if err := f(values); err != nil {
					return err
				}
			}
			return nil
		}), consequences: []string{"nothing-written"}},
		{rule: "read-order", how: "gives the order of the keys in the query", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			if q.Keys == nil {
				return read(ctx, schema, table, columns, q, f)
			}
			for i, key := range q.Keys {
				if slices.Contains(q.Keys[:min(i, 100)], key) {
					continue
				}
				if err := read(ctx, schema, table, columns, warehouse.Query{Keys: []string{key}}, f); err != nil {
					return err
				}
			}
			return nil
		}), consequences: []string{"read-keys"}},
		{rule: "read-keys", how: "gives a row as often as it is named", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			if q.Keys == nil {
				return read(ctx, schema, table, columns, q, f)
			}
			keys := slices.Sorted(slices.Values(q.Keys))
			for i := range keys {
				if err := read(ctx, schema, table, columns, warehouse.Query{Keys: keys[i : i+1]}, f); err != nil {
					return err
				}
			}
			return nil
		})},
		{rule: "read-keys", how: "takes no keys for all", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			if len(q.Keys) == 0 {
				q.Keys = nil
			}
			return read(ctx, schema, table, columns, q, f)
		})},
		{rule: "read-pages", how: "begins with the key", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			if q.After != "" {
				q.After = q.After[:len(q.After)-1] + string(q.After[len(q.After)-1]-1) + "\U0010ffff"
			}
			return read(ctx, schema, table, columns, q, f)
		}), consequences: []string{"empty-key", "read-order"}},
		{rule: "read-pages", how: "knows no limit", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			q.Limit = 0
			return read(ctx, schema, table, columns, q, f)
		}), consequences: []string{"empty-key"}},
		{rule: "empty-key", how: "takes the beginning for a key", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			if q.Keys == nil && q.After == "" {
				q.After = "\x00" // behind the empty key and before all others
			}
			return read(ctx, schema, table, columns, q, f)
		})},
		{rule: "empty-key", how: "reads it with every page", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			if q.Keys == nil {
				if err := read(ctx, schema, table, columns, warehouse.Query{Keys: []string{""}}, f); err != nil {
					return err
				}
			}
			return read(ctx, schema, table, columns, q, f)
		})},
		{rule: "read-columns", how: "gives columns in the order of their names", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			if len(columns) == 2 {
				columns = slices.Sorted(slices.Values(columns))
			}
			return read(ctx, schema, table, columns, q, f)
		}), consequences: []string{"quoting"}},
		{rule: "read-stopped", how: "goes on", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			var first error
			err := read(ctx, schema, table, columns, q, func(values []warehouse.Value) error {
				if err := f(values); first == nil {
					first = err
				}
				return nil
			})
			return errors.Join(first, err)
		})},
		{rule: "read-stopped", how: "says nothing", setup: reading(func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			stopped := false
			err := read(ctx, schema, table, columns, q, func(values []warehouse.Value) error {
				err := f(values)
				stopped = err != nil
				return err
			})
			if stopped {
				return nil
			}
			return err
		})},
		{rule: "read-stopped", how: "leaves rows unread", setup: tx(func(x *twistedTx) {
			busy := false
			x.read = func(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
				return x.Tx.Read(ctx, schema, table, columns, q, func(values []warehouse.Value) error {
					err := f(values)
					busy = busy || err != nil
					return err
				})
			}
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
				if busy {
					return 0, errors.New("the connection is busy")
				}
				return x.Tx.Write(ctx, schema, table, r, on)
			}
		})},
		{rule: "delete", how: "counts values", setup: tx(func(x *twistedTx) {
			x.delete = func(ctx context.Context, schema, table, column string, values []string) (int64, error) {
				_, err := x.Tx.Delete(ctx, schema, table, column, values)
				return int64(len(values)), err
			}
		}), consequences: []string{"cancelled", "quoting"}},
		{rule: "delete", how: "does not look at case", setup: tx(func(x *twistedTx) {
			x.delete = func(ctx context.Context, schema, table, column string, values []string) (int64, error) {
				var more []string
				for _, v := range values {
					more = append(more, v, strings.ToUpper(v[:min(len(v), 1)])+v[min(len(v), 1):])
				}
				return x.Tx.Delete(ctx, schema, table, column, more)
			}
		}), consequences: []string{"keys"}},
		{rule: "delete", how: "cannot delete nothing", setup: tx(func(x *twistedTx) {
			x.delete = func(ctx context.Context, schema, table, column string, values []string) (int64, error) {
				if len(values) == 0 {
					return 0, errors.New("syntax error at or near )")
				}
				return x.Tx.Delete(ctx, schema, table, column, values)
			}
		})},
	}
}
