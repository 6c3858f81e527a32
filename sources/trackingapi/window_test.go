package trackingapi_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

func openWindow(t testing.TB, cfg trackingapi.WindowConfig) *trackingapi.Window {
	t.Helper()
	w, err := trackingapi.OpenWindow(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func TestWindowClaimsOnce(t *testing.T) {
	w := openWindow(t, trackingapi.WindowConfig{})
	require.True(t, w.Claim("web", "m-1"))
	require.False(t, w.Claim("web", "m-1"))
	require.True(t, w.Claim("app", "m-1"), "another source")
	require.True(t, w.Claim("we", "bm-1"), "the same bytes divided otherwise")
	require.True(t, w.Claim("", "webm-1"))
	require.True(t, w.Claim("web", "m-1\x00"))
	require.True(t, w.Claim("web", ""))
	require.False(t, w.Claim("web", ""))

	w.Release("web", "m-1")
	w.Release("web", "never seen")
	require.True(t, w.Claim("web", "m-1"), "released")
	require.False(t, w.Claim("web", "m-1"))

	s := w.Stats()
	require.Equal(t, 6, s.IDs)
	require.EqualValues(t, 7, s.Claims)
	require.EqualValues(t, 3, s.Duplicates)
	require.Zero(t, s.Evicted)
}

func TestWindowRefusesWrongConfig(t *testing.T) {
	_, err := trackingapi.OpenWindow(trackingapi.WindowConfig{Span: -1, IDs: -1})
	var invalid *analytics.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.ErrorContains(t, err, "Span")
	require.ErrorContains(t, err, "IDs")
	_, err = trackingapi.OpenWindow(trackingapi.WindowConfig{Span: 100 * 366 * 24 * time.Hour, IDs: 2_000_000_000})
	require.ErrorContains(t, err, "Span")
	require.ErrorContains(t, err, "IDs")
}

func TestWindowForgetsAfterSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openWindow(t, trackingapi.WindowConfig{})
		time.Sleep(40 * time.Minute)
		require.True(t, w.Claim("web", "m-1"))
		time.Sleep(24 * time.Hour)
		require.False(t, w.Claim("web", "m-1"), "remembered for the whole span")
		time.Sleep(19 * time.Minute)
		require.False(t, w.Claim("web", "m-1"), "its generation is not over, and asking does not prolong it")
		time.Sleep(time.Minute)
		require.Zero(t, w.Stats().IDs, "at most a twenty-fourth longer")
		require.True(t, w.Claim("web", "m-1"))
		require.Zero(t, w.Stats().Evicted)
	})
}

func TestWindowEvictsTheOldest(t *testing.T) {
	w := openWindow(t, trackingapi.WindowConfig{IDs: 100})
	for i := range 100 {
		require.True(t, w.Claim("web", strconv.Itoa(i)))
	}
	w.Release("web", "50")
	require.True(t, w.Claim("web", "100"), "takes the room that was released")
	require.Zero(t, w.Stats().Evicted)
	require.True(t, w.Claim("web", "101"))
	require.EqualValues(t, 1, w.Stats().Evicted)
	require.False(t, w.Claim("web", "1"))
	require.True(t, w.Claim("web", "0"), "the oldest has gone")
	require.Equal(t, 100, w.Stats().IDs)
}

// In parts, each forgets its own oldest: no more than were asked for, not many fewer.
func TestWindowInPartsKeepsMostOfItsIDs(t *testing.T) {
	const ids = 1 << 16
	w := openWindow(t, trackingapi.WindowConfig{IDs: ids})
	for i := range 2 * ids {
		require.True(t, w.Claim("web", strconv.Itoa(i)))
	}
	s := w.Stats()
	require.Equal(t, ids, s.IDs)
	require.EqualValues(t, ids, s.Evicted)
	for i := 2*ids - ids*9/10; i < 2*ids; i++ {
		require.False(t, w.Claim("web", strconv.Itoa(i)), "id %d of the last nine tenths", i)
	}
}

// The bound of the doc comment, by the window's own account and by that of the heap.
func TestWindowMemoryIsBounded(t *testing.T) {
	for _, ids := range []int{60_000, 100_000, 1_000_000} {
		t.Run(strconv.Itoa(ids), func(t *testing.T) {
			before := heap()
			w := openWindow(t, trackingapi.WindowConfig{IDs: ids})
			for i := range ids * 5 / 4 {
				w.Claim("web", strconv.Itoa(i))
			}
			grown := heap() - before
			s := w.Stats()
			require.Equal(t, ids, s.IDs)
			require.LessOrEqual(t, s.Bytes, int64(64*ids))
			require.Less(t, grown, int64(64*ids), "%d bytes per id", grown/int64(ids))
			require.InEpsilon(t, s.Bytes, grown, 0.1, "the account is right")
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestWindowClaimAllocatesNothing(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		w := openWindow(t, trackingapi.WindowConfig{IDs: 1000, Dir: dir})
		ids := make([]string, 5000)
		for i := range ids {
			ids[i] = "claim-allocates-nothing-" + strconv.Itoa(i)
			w.Claim("web", ids[i])
		}
		n := 0
		require.Less(t, testing.AllocsPerRun(len(ids)-1, func() {
			w.Claim("web", ids[n])
			w.Release("web", ids[n])
			w.Claim("web", ids[n])
			n++
		}), 0.1)
	}
}

// Of all who claim an id at the same time one has it, also when others release theirs.
func TestWindowIsSafeForConcurrentUse(t *testing.T) {
	const ids, claimants = 2000, 8
	for _, cfg := range []trackingapi.WindowConfig{{}, {IDs: 2 * ids, Dir: t.TempDir()}} {
		w := openWindow(t, cfg)
		var won [ids]atomic.Int32
		var all sync.WaitGroup
		for c := range claimants {
			all.Go(func() {
				for i := range ids {
					i := (i + c*7) % ids
					own := strconv.Itoa(c) + "-" + strconv.Itoa(i)
					if w.Claim("web", strconv.Itoa(i)) {
						won[i].Add(1)
					}
					if !w.Claim("own", own) {
						t.Errorf("%s is nobody else's", own)
					}
					w.Release("own", own)
					if i%100 == 0 {
						w.Stats()
					}
				}
			})
		}
		all.Wait()
		for i := range won {
			require.EqualValues(t, 1, won[i].Load(), "id %d", i)
		}
		require.Equal(t, ids, w.Stats().IDs)
		require.NoError(t, w.Close())
	}
}

// windowModel is what a window should be: a list in the order of the claims.
type windowModel struct {
	ids  int
	list []modelID
}

type modelID struct {
	name string
	ends time.Time
}

func (m *windowModel) expire() {
	for len(m.list) > 0 && !time.Now().Before(m.list[0].ends) {
		m.list = m.list[1:]
	}
}

func (m *windowModel) claim(name string) bool {
	m.expire()
	for _, id := range m.list {
		if id.name == name {
			return false
		}
	}
	if len(m.list) == m.ids {
		m.list = m.list[1:]
	}
	m.list = append(m.list, modelID{name, time.Now().Truncate(time.Hour).Add(25 * time.Hour)})
	return true
}

func (m *windowModel) release(name string) {
	for i, id := range m.list {
		if id.name == name {
			m.list = append(m.list[:i:i], m.list[i+1:]...)
			return
		}
	}
}

// Whatever is claimed, released, awaited, closed and killed, the window answers as the
// model does.
func TestWindowIsLikeItsModel(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { likeModel(t, rand.New(rand.NewPCG(seed, 1)), faultfs.New(seed)) })
		})
	}
}

func likeModel(t *testing.T, rng *rand.Rand, fsys *faultfs.FS) {
	ids := 1 + rng.IntN(60)
	model := windowModel{ids: ids}
	open := func() *trackingapi.Window {
		w, err := trackingapi.OpenWindowFS(trackingapi.WindowConfig{IDs: ids, Dir: "/window"}, fsys)
		require.NoError(t, err)
		require.Zero(t, w.Stats().Damaged)
		return w
	}
	w := open()
	defer func() { _ = w.Close() }()
	for step := range 2000 {
		name := strconv.Itoa(rng.IntN(2 * ids))
		switch p := rng.IntN(1000); {
		case p < 700:
			require.Equal(t, model.claim(name), w.Claim("web", name), "step %d, id %s", step, name)
		case p < 850:
			model.release(name)
			w.Release("web", name)
		case p < 980:
			time.Sleep(time.Duration(rng.IntN(5)) * 10 * time.Minute)
		case p < 984:
			time.Sleep(time.Duration(rng.IntN(30)) * time.Hour)
		case p < 990:
			require.NoError(t, w.Close())
			w = open()
		case p < 996:
			time.Sleep(100 * time.Millisecond) // then all is written
			synctest.Wait()
			fsys = fsys.Kill()
			_ = w.Close() // it is dead, and cannot write any more
			w = open()
			time.Sleep(10*time.Minute - 100*time.Millisecond)
		}
		model.expire()
		require.Equal(t, len(model.list), w.Stats().IDs, "step %d", step)
	}
	require.NoError(t, w.Close())
}

// changingID is a messageId in memory that the processor has at hand, as that of a message
// that was just read.
type changingID []byte

func newChangingID() changingID { return changingID("00000000-7c1d-4d5f-9b5e-0123456789ab") }

func (c changingID) set(n uint32) string {
	for i := 7; i >= 0; i-- {
		c[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
	return unsafe.String(&c[0], len(c))
}

// The window is full, so that each new id makes the oldest go.
func BenchmarkWindowClaim(b *testing.B) {
	for _, bb := range []struct {
		name      string
		ids       int
		duplicate bool
		disk      bool
	}{
		{name: "new/ids=10000", ids: 10_000},
		{name: "new/ids=100000", ids: 100_000},
		{name: "new/ids=1000000", ids: 1_000_000},
		{name: "new with Dir/ids=1000000", ids: 1_000_000, disk: true},
		{name: "duplicate/ids=10000", ids: 10_000, duplicate: true},
		{name: "duplicate/ids=1000000", ids: 1_000_000, duplicate: true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			cfg := trackingapi.WindowConfig{IDs: bb.ids}
			if bb.disk {
				cfg.Dir = b.TempDir()
			}
			w, id := openWindow(b, cfg), newChangingID()
			n := uint32(0)
			for range 2 * bb.ids {
				n++
				w.Claim("web", id.set(n))
			}
			last := n
			if bb.duplicate {
				n -= uint32(bb.ids * 8 / 10)
			}
			first := n
			b.ReportAllocs()
			for b.Loop() {
				if n++; bb.duplicate && n > last {
					n = first + 1
				}
				w.Claim("web", id.set(n))
			}
		})
	}
	b.Run("new in parallel/ids=1000000", func(b *testing.B) {
		w := openWindow(b, trackingapi.WindowConfig{})
		var workers atomic.Uint32
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			id := newChangingID()
			for n := workers.Add(1) << 24; pb.Next(); n++ {
				w.Claim("web", id.set(n))
			}
		})
	})
}
