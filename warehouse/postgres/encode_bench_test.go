package postgres

import (
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

// orders are rows of an event with 24 columns.
func orders(n int) *table {
	text, number, float := warehouse.StringValue, warehouse.IntValue, warehouse.FloatValue
	at := warehouse.TimeValue(time.Date(2026, 5, 2, 18, 4, 5, 0, time.UTC))
	t := &table{}
	for i := range n {
		t.rows = append(t.rows, []warehouse.Value{
			text("01970f3c-8a4e-7c11-9d3b-" + strconv.Itoa(100_000_000_000+i)), text("anon-" + strconv.Itoa(i)), text("user-" + strconv.Itoa(i)),
			text("order_completed"), text("Order Completed"), at, at, at, at, number(int64(i) * 7919), at, {},
			text("203.0.113.7"), text("analytics-go"), text("1.2.3"), text("/checkout"),
			text("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"), text("EUR"),
			warehouse.BoolValue(i%2 == 0), text("o-" + strconv.Itoa(i)),
			text(`[{"product_id":"p-1","price":12.5,"quantity":2}]`), number(3), float(float64(i) / 7), float(1.9),
		})
	}
	for i, v := range t.rows[0] {
		t.columns = append(t.columns, warehouse.Column{Name: "c" + strconv.Itoa(i), Kind: v.Kind})
	}
	return t
}

// BenchmarkEncode makes the stream of 10,000 rows.
func BenchmarkEncode(b *testing.B) {
	rows := orders(10_000)
	var buf []byte
	into := make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		e := newEncoder(rows, 0, rows.Len(), nil, buf)
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, e, into)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
		buf = e.stop()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows.Len()), "ns/row")
}
