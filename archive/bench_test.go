package archive_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// benchEvents are track calls of about 560 bytes.
func benchEvents(n int) (raws [][]byte, headers []analytics.Header) {
	random := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i := range n {
		h := analytics.Header{
			Type: analytics.CallTrack, MessageID: fmt.Sprintf("019ab%03x-%04x-7%03x-8%03x-%012x", i>>12, i&0xffff, random.IntN(4096), random.IntN(4096), random.Int64N(1<<47)),
			UserID: fmt.Sprint("user-", random.IntN(n/4)), AnonymousID: fmt.Sprintf("%016x-%016x", random.Uint64(), random.Uint64()),
			Event: fmt.Sprint("Step ", i%12), AcceptedAt: start.Add(time.Duration(i) * 100 * time.Microsecond), Seq: uint64(i),
		}
		raws = append(raws, fmt.Appendf(nil, `{"type":"track","messageId":%q,"timestamp":%q,"userId":%q,"anonymousId":%q,"event":%q,"context":{"ip":"203.0.113.%d","library":{"name":"tributary-go","version":"0.1.0"},"page":{"path":"/products/%d","url":"https://shop.example/products/%d"}},"properties":{"price":%d.%02d,"quantity":%d,"currency":"EUR","category":"Category %d","coupon":"%x","name":"Product %d","brand":"Brand %d","position":%d}}`,
			h.MessageID, h.AcceptedAt.Format("2006-01-02T15:04:05.000Z"), h.UserID, h.AnonymousID, h.Event, random.IntN(250), i%997, i%997,
			random.IntN(900), random.IntN(100), random.IntN(9), random.IntN(40), random.Uint32(), random.IntN(5000), random.IntN(90), random.IntN(50)))
		headers = append(headers, h)
	}
	return raws, headers
}

const benchBatch = 10_000

// BenchmarkDeliver writes events into one part, batches of 10,000.
func BenchmarkDeliver(b *testing.B) {
	raws, headers := benchEvents(benchBatch)
	dir := b.TempDir()
	d := &archive.Destination{Bucket: &archive.Folder{Path: dir}, MaxBytes: 1 << 40}
	require.NoError(b, d.Open(analytics.Env{}))
	b.SetBytes(benchBytes(raws))
	seq, items := uint64(0), make([]analytics.Item, 0, benchBatch)
	for b.Loop() {
		batch := &analytics.Batch{Log: analytics.LogID{1}, From: seq, To: seq + benchBatch, Items: items[:0]}
		for i := range raws {
			headers[i].Seq = seq + uint64(i)
			it, err := d.TranslateRaw(&headers[i], raws[i])
			if err != nil {
				b.Fatal(err)
			}
			batch.Items = append(batch.Items, it)
		}
		require.NoError(b, d.Deliver(b.Context(), batch))
		seq += benchBatch
	}
	b.StopTimer()
	require.NoError(b, d.Close(b.Context()))
}

func benchBytes(raws [][]byte) (n int64) {
	for _, raw := range raws {
		n += int64(len(raw) + len(`,"receivedAt":"2026-11-23T12:00:00.000Z"`+"\n"))
	}
	return n
}

// BenchmarkGzip compresses the same lines, and syncs as often.
func BenchmarkGzip(b *testing.B) {
	raws, headers := benchEvents(benchBatch)
	var lines []byte
	for i, raw := range raws {
		lines = fmt.Appendf(lines, "%s,\"receivedAt\":%q}\n", raw[:len(raw)-1], headers[i].AcceptedAt.Format("2006-01-02T15:04:05.000Z"))
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "x.gz"))
	require.NoError(b, err)
	defer f.Close()
	z, err := gzip.NewWriterLevel(nil, 6)
	require.NoError(b, err)
	b.SetBytes(int64(len(lines)))
	for b.Loop() {
		var out bytes.Buffer
		z.Reset(&out)
		_, err := z.Write(lines)
		require.NoError(b, err)
		require.NoError(b, z.Close())
		_, err = f.Write(out.Bytes())
		require.NoError(b, err)
		require.NoError(b, f.Sync())
	}
}
