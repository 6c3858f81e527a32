package archive_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// TestPowerLoss drives destinations through random batches, rotations, faults of the disk
// and of the bucket, deaths and losses of power. In the end each event is in one file.
func TestPowerLoss(t *testing.T) {
	deaths, faults := 0, 0
	for seed := range uint64(powerRuns) {
		w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), fs: faultfs.New(seed), bucket: newMemory()}
		w.run()
		deaths, faults = deaths+w.deaths, faults+w.faults
	}
	t.Logf("%d deaths, %d faults", deaths, faults)
	require.Greater(t, deaths, powerRuns)
	require.Greater(t, faults, powerRuns)
}

// world is one schedule.
type world struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	fs     *faultfs.FS
	bucket *memory
	d      *archive.Destination
	next   uint64 // all before is promised

	deaths, faults int
}

const worldEvents = 60

func (w *world) run() {
	w.open()
	for w.next < worldEvents {
		switch w.rng.IntN(12) {
		case 0:
			w.die()
		case 1:
			_ = w.d.Rotate(w.t.Context()) // it may fail, and is tried again
		case 2: // the file may be there when nobody knows
			w.bucket.loses = true
			_ = w.d.Rotate(w.t.Context())
			w.bucket.loses = false
			if w.rng.IntN(2) == 0 {
				w.die()
			}
		case 3:
			w.bucket.setDown(errDown)
			_ = w.d.Rotate(w.t.Context())
			w.bucket.setDown(nil)
		default:
			w.damage()
			w.deliver()
			w.fs.Inject(nil)
		}
	}
	w.die()
	require.NoError(w.t, w.d.Close(w.t.Context()), "seed %d", w.seed)
	found := eventsIn(w.t, w.bucket, archive.Query{})
	require.Equal(w.t, worldEvents, len(found), "seed %d", w.seed)
	requireSound(w.t, w.bucket, worldEvents)
}

var errDown = errors.New("the bucket is out of reach")

func (w *world) open() {
	w.d = &archive.Destination{Bucket: w.bucket, Dir: "/parts", MaxBytes: []int64{400, 1 << 20}[w.rng.IntN(2)],
		SourceOf: func(event []byte) string { return fmt.Sprint("s", len(event)%2) }}
	w.d.UseFS(w.fs)
	require.NoError(w.t, w.d.Open(analytics.Env{}), "seed %d", w.seed)
	next, ok, err := w.d.Position(w.t.Context(), analytics.LogID{7})
	require.NoError(w.t, err)
	require.GreaterOrEqual(w.t, next, w.next, "seed %d: a promise was broken", w.seed)
	require.True(w.t, ok || w.next == 0)
	w.next = next // it may know more than was answered
}

// die ends the process, or the power.
func (w *world) die() {
	w.deaths++
	old, before := w.d, w.fs
	if w.rng.IntN(2) == 0 {
		w.fs = before.Kill()
	} else {
		w.fs = before.PowerLoss()
	}
	w.bucket.setDown(errDown)
	_ = old.Close(w.t.Context()) // its goroutine; nothing of it reaches anybody any more
	w.bucket.setDown(nil)
	w.open()
}

// damage makes one of the next operations fail, now and then.
func (w *world) damage() {
	if w.rng.IntN(2) == 0 {
		return
	}
	left := w.rng.IntN(8)
	w.fs.Inject(func(op faultfs.Op) error {
		if left--; left >= 0 {
			return nil
		}
		w.faults++
		if op.Kind == faultfs.Write && op.Length > 1 {
			return faultfs.ShortWrite{N: int(op.Length / 2), Err: syscall.ENOSPC}
		}
		return syscall.EIO
	})
}

// deliver sends a batch until it is taken or the process is to die.
func (w *world) deliver() {
	n := min(uint64(w.rng.IntN(6)), worldEvents-w.next)
	var raws []string
	for i := range n {
		raws = append(raws, fmt.Sprintf(`{"type":"track","messageId":"m-%d","timestamp":"2026-11-23T11:00:00.000Z","userId":"u","event":"E","x":%q}`,
			w.next+i, fmt.Sprint(w.rng.Uint64()>>w.rng.IntN(60))))
	}
	if deliver(w.t, w.d, w.next, raws...) == nil {
		w.next += n
	}
}
