package warehousetest_test

import (
	"context"
	"slices"

	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// columnsOf returns the columns of a table, none if it is not there.
func (x *twistedTx) columnsOf(ctx context.Context, schema, table string) warehouse.Table {
	tables, _ := x.Tx.Tables(ctx, schema)
	i := slices.IndexFunc(tables, func(t warehouse.Table) bool { return t.Name == table })
	if i < 0 {
		return warehouse.Table{}
	}
	return tables[i]
}

// converting makes stores that make values of columns of other kinds fit.
func converting(convert func(v warehouse.Value, to warehouse.Kind, r *rows, on warehouse.Conflict) (warehouse.Value, bool)) warehousetest.Setup {
	return inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
		have := x.columnsOf(ctx, schema, table)
		r.columns = slices.Clone(r.columns)
		for i, c := range r.columns {
			to, _ := have.Column(c.Name)
			if to.Kind == warehouse.Null || to.Kind == c.Kind {
				continue
			}
			for _, values := range r.values {
				if v, ok := convert(values[i], to.Kind, r, on); ok && values[i].Kind != warehouse.Null {
					values[i], r.columns[i] = v, to
				}
			}
		}
		return x.Tx.Write(ctx, schema, table, r, on)
	})
}

func brokenKinds() []broken {
	return []broken{
		{rule: "kinds", how: "makes floats of ints", setup: converting(func(v warehouse.Value, to warehouse.Kind, _ *rows, _ warehouse.Conflict) (warehouse.Value, bool) {
			return warehouse.FloatValue(float64(v.N)), v.Kind == warehouse.Int && to == warehouse.Float
		})},
		{rule: "kinds", how: "makes texts of JSON where there are many", setup: converting(func(v warehouse.Value, to warehouse.Kind, r *rows, on warehouse.Conflict) (warehouse.Value, bool) {
			return warehouse.StringValue(v.S), v.Kind == warehouse.JSON && to == warehouse.String && r.Len() > 100 && on == warehouse.Replace
		})},
		{rule: "kinds", how: "takes a time for a number", setup: converting(func(v warehouse.Value, to warehouse.Kind, _ *rows, on warehouse.Conflict) (warehouse.Value, bool) {
			return warehouse.IntValue(v.N), v.Kind == warehouse.Time && to == warehouse.Int && on == warehouse.Keep
		})},
		{rule: "kinds", how: "passes over columns that are not there where there are many", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			have := x.columnsOf(ctx, schema, table)
			for i := len(r.columns) - 1; i > 0 && r.Len() > 100; i-- {
				if _, ok := have.Column(r.columns[i].Name); !ok {
					r.columns = slices.Delete(slices.Clone(r.columns), i, i+1)
					for j := range r.values {
						r.values[j] = slices.Delete(r.values[j], i, i+1)
					}
				}
			}
			return x.Tx.Write(ctx, schema, table, r, on)
		})},
		{rule: "kinds-of-values", how: "does not look at the kind of a number", setup: writing(func(r *rows, _ warehouse.Conflict) {
			number := func(k warehouse.Kind) bool { return k == warehouse.Int || k == warehouse.Time }
			for _, values := range r.values {
				for i := range values {
					if number(values[i].Kind) && number(r.columns[i].Kind) {
						values[i].Kind = r.columns[i].Kind
					}
				}
			}
		})},
		{rule: "kinds-of-values", how: "keeps the rows that come before it", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			good := slices.IndexFunc(r.values, func(values []warehouse.Value) bool {
				return slices.ContainsFunc(values, func(v warehouse.Value) bool {
					i := slices.Index(values, v)
					return v.Kind != warehouse.Null && v.Kind != r.columns[i].Kind
				})
			})
			if good < 0 {
				return x.Tx.Write(ctx, schema, table, r, on)
			}
			if _, err := x.Tx.Write(ctx, schema, table, &rows{r.columns, r.values[:good]}, on); err != nil {
				return 0, err
			}
			if err := x.again(ctx); err != nil {
				return 0, err
			}
			return x.Tx.Write(ctx, schema, table, r, on)
		})},
	}
}
