package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
)

const eventName = "Order Completed"

// eventTable is the table of the event.
const eventTable = "order_completed"

// accepted is when the first event was.
var accepted = time.Date(2026, 5, 2, 18, 4, 5, 250e6, time.UTC)

// messageID is a UUIDv7 as the client makes them: in order, with a tail that does not
// compress.
func messageID(i int) string {
	at := uint64(accepted.UnixMilli()) + uint64(i/16)
	tail := (uint64(i) + 1) * 0x9e3779b97f4a7c15
	tail ^= tail >> 29
	return fmt.Sprintf("%08x-%04x-7%03x-8%03x-%012x", at>>16, at&0xffff, i%16<<8|int(tail>>60), tail>>48&0xfff, tail&0xffffffffffff)
}

// event is a track call of about 560 bytes, as the log has it: that of the benchmark of
// package warehouse.
func event(i int) []byte {
	return fmt.Appendf(nil, `{"type":"track","messageId":"%s","timestamp":"2026-05-02T18:04:05.250Z","userId":"u-%d",`+
		`"anonymousId":"9f3c1f9e-52b1-4c39-a1b4-1d3a6f0c7e55","event":"`+eventName+`","context":{"ip":"203.0.113.7","locale":"de-DE",`+
		`"library":{"name":"analytics","version":"1.0.0"},"page":{"path":"/checkout","url":"https://shop.example/checkout"}},`+
		`"properties":{"order_id":"o-%d","revenue":%d.95,"currency":"EUR","quantity":%d,"express":true,"coupon":"SPRING","store":{"city":"Berlin","floor":2}}}`,
		messageID(i), i%1000, i, i%90, i%7)
}

// batch is what a destination is given at a time: raw events, and what the client knows
// of them.
type batch struct {
	from    int
	raw     [][]byte
	headers []analytics.Header
	bytes   int
}

var logID = analytics.LogID{1}

// events makes a batch of n events, the first one with the number from.
func events(from, n int) *batch {
	b := &batch{from: from}
	for i := from; i < from+n; i++ {
		raw := event(i)
		b.raw, b.bytes = append(b.raw, raw), b.bytes+len(raw)
		b.headers = append(b.headers, analytics.Header{
			Type: analytics.CallTrack, MessageID: messageID(i), UserID: fmt.Sprint("u-", i%1000),
			AnonymousID: "9f3c1f9e-52b1-4c39-a1b4-1d3a6f0c7e55", Event: eventName,
			AcceptedAt: accepted.Add(time.Duration(i/16) * time.Millisecond), Log: logID, Seq: uint64(i),
		})
	}
	return b
}

// target is a destination that is fed without a client.
type target interface {
	analytics.Destination
	analytics.RawTranslator
}

// deliver does what a client does with a batch.
func (r *run) deliver(d target, b *batch) error {
	items := make([]analytics.Item, len(b.raw))
	for i := range items {
		var err error
		if items[i], err = d.TranslateRaw(&b.headers[i], b.raw[i]); err != nil {
			return err
		}
	}
	return d.Deliver(r.ctx, &analytics.Batch{Items: items, Log: logID, From: uint64(b.from), To: uint64(b.from + len(items))})
}

func median[T float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
