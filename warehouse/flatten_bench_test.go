package warehouse

import (
	"fmt"
	"testing"

	"github.com/tributary-dev/analytics"
)

// trackEvent is a track call that fills 24 columns of its table, of about 560 bytes, as
// the log has it.
func trackEvent(i int) []byte {
	return fmt.Appendf(nil, `{"type":"track","messageId":"01976e5c-7a3b-7c1d-8e2f-%012x","timestamp":"2026-05-02T18:04:05.250Z","userId":"u-%d",`+
		`"anonymousId":"9f3c1f9e-52b1-4c39-a1b4-1d3a6f0c7e55","event":"Order Completed","context":{"ip":"203.0.113.7","locale":"de-DE",`+
		`"library":{"name":"analytics","version":"1.0.0"},"page":{"path":"/checkout","url":"https://shop.example/checkout"}},`+
		`"properties":{"order_id":"o-%d","revenue":%d.95,"currency":"EUR","quantity":%d,"express":true,"coupon":"SPRING","store":{"city":"Berlin","floor":2}}}`,
		i, i%1000, i, i%90, i%7)
}

// BenchmarkFlatten makes the rows of a batch of track calls, two each, from raw JSON, and
// reads them as a store does.
func BenchmarkFlatten(b *testing.B) {
	d := &Destination{dialect: Dialect{MaxName: defaultName}, home: "shop"}
	items := make([]analytics.Item, 5000)
	bytes := 0
	for i := range items {
		items[i] = analytics.Item{Body: trackEvent(i), Data: &meta{accepted: 1, seq: uint64(i), known: true}}
		bytes += len(items[i].Body)
	}
	s := d.newSource("shop")
	work := batch{d: d, sources: map[string]*source{"shop": s}}
	b.ReportAllocs()
	b.SetBytes(int64(bytes))
	values := make([]Value, 64)
	for b.Loop() {
		if err := work.prepare(items, 0, leave); err != nil {
			b.Fatal(err)
		}
		for _, t := range work.touched {
			t.settle(&work)
			rows := work.kept(t)
			for i := range rows.Len() {
				rows.Row(i, values[:len(rows.columns)])
			}
			t.made()
		}
		work.release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(items)), "ns/event")
	b.ReportMetric(float64(len(s.tables["order_completed"].columns)), "columns")
	if len(work.invalid) > 0 || len(work.notices) > 0 {
		b.Fatal(work.invalid, work.notices)
	}
}
