package archive_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
)

// forge puts other bytes under a key, and makes the manifest true of them.
func forge(t *testing.T, s *shelf, key string, data []byte, count, rawBytes int64) {
	t.Helper()
	for _, manifest := range s.keys("archive/_manifest/") {
		var members map[string]any
		require.NoError(t, json.Unmarshal(s.files[manifest], &members))
		if members["key"] != key {
			continue
		}
		sum := sha256.Sum256(data)
		members["count"], members["bytes"], members["rawBytes"], members["sha256"] = count, len(data), rawBytes, hex.EncodeToString(sum[:])
		text, err := json.Marshal(members)
		require.NoError(t, err)
		s.files[manifest], s.files[key] = text, data
		return
	}
	t.Fatal("no manifest of ", key)
}

// bomb is a small file of size zeros, or of empty lines.
func bomb(t *testing.T, size int64, of byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.CopyN(w, repeated(of), size)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

type repeated byte

func (r repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// peak is how much the heap grows at the most while f runs.
func peak(f func()) uint64 {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	stop, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most.Store(max(most.Load(), now.HeapAlloc))
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(stop)
	<-gone
	return most.Load() - min(before.HeapAlloc, most.Load())
}

// A small file that inflates to 200 MB is not held in memory.
func TestJudgeBombs(t *testing.T) {
	for name, of := range map[string]byte{"zeros": 0, "lines": '\n', "spaces": ' ', "brackets": '['} {
		t.Run(name, func(t *testing.T) {
			size := int64(20_000_000)
			if of == 0 && !raced {
				size = 200_000_000
			}
			s := healthy(t, archive.Gzip)
			key := s.data()[0]
			data := bomb(t, size, of)
			require.Less(t, len(data), 1<<20)
			forge(t, s, key, data, 1, size)
			a, err := archive.Open(s, "")
			require.NoError(t, err)
			grown := peak(func() {
				report, err := a.Verify(t.Context(), nil)
				require.NoError(t, err)
				require.NotEmpty(t, report.Faults)
				require.Less(t, len(report.Faults), 1001)
				for _, f := range report.Faults {
					require.Less(t, len(f.Problem), 1000)
				}
			})
			require.Less(t, grown, uint64(40<<20), "Verify")
			grown = peak(func() {
				var failed error
				for _, err := range a.Events(t.Context(), archive.Query{}) {
					if failed = err; err != nil {
						break
					}
				}
				require.Error(t, failed)
				_, err := a.Forget(t.Context(), archive.Identity{UserID: "u"})
				require.Error(t, err, "what cannot be read is not erased")
			})
			require.Less(t, grown, uint64(40<<20), "Events and Forget")
		})
	}
}

// An archive of many events needs no more memory than one of few.
func TestJudgeReadingStreams(t *testing.T) {
	s, events := newShelf(), 20_000
	if raced {
		events = 5000
	}
	padding := strings.Repeat("x", 2000)
	written(t, s, 'm', events, func(i int) string {
		return `{"type":"track","messageId":"m-` + padded(i) + `","timestamp":"2026-11-23T00:00:00.000Z","userId":"u-` + padded(i) + `","event":"E","properties":{"x":"` + padding + `"}}`
	})
	grown := peak(func() { requireVerified(t, s, "", events) })
	require.Less(t, grown, uint64(16<<20))
}

// padded is a number of six digits.
func padded(i int) string { return fmt.Sprintf("%06d", i) }
