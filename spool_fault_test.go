package analytics

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// TestDiskFaultAnywhere makes each operation of a scenario fail in turn: once, or for as
// long as the scenario takes.
func TestDiskFaultAnywhere(t *testing.T) {
	for _, f := range []struct {
		name string
		err  error
		once bool
	}{
		{"EIO once", syscall.EIO, true},
		{"ENOSPC once", syscall.ENOSPC, true},
		{"a short write", faultfs.ShortWrite{N: 40, Err: syscall.EIO}, true},
		{"EIO from then on", syscall.EIO, false},
		{"EROFS from then on", syscall.EROFS, false},
	} {
		for _, opts := range []logSettings{{}, {writeCall: true}, {fallback: 4 << 10}} {
			t.Run(fmt.Sprintf("%s, by call %v, fallback %d", f.name, opts.writeCall, opts.fallback), func(t *testing.T) {
				step := 1
				if underRace {
					step = 10
				}
				for n, more := 0, true; more; n += step {
					synctest.Test(t, func(t *testing.T) { more = faultAt(t, opts, n, f.err, f.once) })
				}
			})
		}
	}
}

// faultAt runs the scenario with a fault at its n-th operation. It returns false if it
// has no so many.
func faultAt(t *testing.T, opts logSettings, n int, fault error, once bool) (reached bool) {
	opts.mode, opts.interval, opts.unit, opts.limit = Interval, 100*time.Millisecond, 600, 1<<20
	w := newWorld(t, fmt.Sprintf("%s: a fault at operation %d", t.Name(), n), uint64(n), opts)
	w.cursors = []*worldCursor{{name: "a"}, {name: "b"}}
	count := 0
	w.faults.follow(func(op faultfs.Op) error {
		count++
		if count-1 < n || once && count-1 > n {
			return nil
		}
		reached = true
		return fault
	})
	w.scenario()
	w.faults.set(0)
	if !w.running {
		w.open()
	}
	w.sleep(2 * time.Second)
	if err := w.append(100); err != nil {
		w.fail("two seconds after the fault: %v", err)
	}
	for _, c := range w.cursors {
		for w.read(c, 100, 1<<20) > 0 {
		}
		for seq, f := range c.fates {
			if f == isUnread {
				w.fail("%s: event %d is not handed out two seconds after the fault", c.name, seq)
			}
		}
	}
	w.kill(false)
	w.open()
	w.check()
	w.shut()
	return reached
}

// scenario does everything that a log does.
func (w *world) scenario() {
	w.open()
	a, b := w.cursors[0], w.cursors[1]
	for range 8 {
		_ = w.append(100)
	}
	w.sleep(10 * time.Millisecond)
	w.read(a, 3, 1<<20)
	w.read(b, 5, 1<<20)
	w.finish(b, func(i int) bool { return i > 1 })
	_ = w.sync()
	for range 6 {
		_ = w.append(100)
		w.sleep(5 * time.Millisecond)
	}
	w.finish(a, func(int) bool { return true })
	w.read(a, 20, 1<<20)
	w.finish(a, func(int) bool { return true })
	w.finish(b, func(int) bool { return true })
	w.sleep(200 * time.Millisecond)
	w.read(b, 7, 1<<20)
	w.finish(b, func(int) bool { return true })
	w.sleep(20 * time.Millisecond)
	w.shut()
	w.open()
	_ = w.append(100)
	w.read(b, 2, 1<<20)
	w.sleep(200 * time.Millisecond)
}

// TestDiskReadsFromTheRing delivers without a disk that takes anything.
func TestDiskReadsFromTheRing(t *testing.T) {
	for name, err := range map[string]error{"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "EROFS": syscall.EROFS} {
		t.Run(name, func(t *testing.T) {
			onDisk(t, func(t *testing.T, w *world) {
				w.open()
				w.put(3)
				w.sleep(10 * time.Millisecond)
				w.faults.follow(func(op faultfs.Op) error {
					if op.Kind == faultfs.Write || op.Kind == faultfs.Create || op.Kind == faultfs.Sync || op.Kind == faultfs.SyncDir {
						return err
					}
					return nil
				})
				c := w.cursors[0]
				for range 50 {
					for range 20 {
						if err := w.append(300); err != nil {
							w.fail("append: %v", err)
						}
					}
					got := 0
					for n := 1; n > 0; got += n {
						n = w.read(c, 100, 1<<20)
					}
					require.GreaterOrEqual(t, got, 20)
					w.finish(c, func(int) bool { return true })
					w.sleep(50 * time.Millisecond)
				}
				w.healed()
				w.sleep(2 * time.Second)
				w.put(3)
				_ = w.sync()
				w.kill(false)
				w.open()
				w.all()
			})
		})
	}
}

// TestDiskFull fills the disk to the last byte: nothing that was accepted is lost.
func TestDiskFull(t *testing.T) {
	for free := int64(0); free < 200<<10; free += 12 << 10 {
		for _, byCall := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, fmt.Sprintf("%s: %d bytes free", t.Name(), free), uint64(free), logSettings{mode: Interval, interval: time.Second, unit: 4096, limit: 1 << 20, writeCall: byCall})
				w.cursors = []*worldCursor{{name: "a"}}
				w.fs.SetFree(free)
				w.open()
				for range 200 {
					if err := w.append(1000); err != nil && !errors.Is(err, ErrQueueFull) {
						w.fail("append: %v", err)
					}
					w.sleep(10 * time.Millisecond)
				}
				w.read(w.cursors[0], 10, 1<<20)
				w.finish(w.cursors[0], func(int) bool { return true })
				w.kill(false)
				w.open()
				w.fs.SetFree(1 << 30)
				w.sleep(11 * time.Second)
				w.put(1)
				w.all()
				w.shut()
			})
		}
	}
}

// TestDiskUse bounds what the files of a log take.
func TestDiskUse(t *testing.T) {
	const small = 64 << 10  // lock, identity, cursors
	const faulty = 64 << 10 // what faults leave: half of a write, a file that could not be removed
	seeds := uint64(20)
	if underRace {
		seeds = 4 // with and without faults, oldest dropped or newest
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, fmt.Sprintf("%s: seed %d", t.Name(), seed), seed, logSettings{mode: Interval, interval: time.Second, unit: 16 << 10, limit: 128 << 10, oldest: seed%2 == 0})
			w.cursors = []*worldCursor{{name: "a"}, {name: "b"}}
			spare := int64(small)
			if seed%4 > 1 {
				w.faults.set(10 * int(seed))
				spare += faulty
			}
			w.open()
			for range 300 {
				for range 5 {
					_ = w.append(w.rng.IntN(2000))
				}
				w.sleep(7 * time.Millisecond)
				c := w.cursors[w.rng.IntN(2)]
				w.read(c, 5, 1<<20)
				w.finish(c, func(int) bool { return true })
				var use int64
				for _, name := range w.fs.Files() {
					b, err := w.fs.ReadFile(name)
					require.NoError(t, err)
					use += (int64(len(b)) + 4095) &^ 4095
				}
				if most := w.opts.limit + (128 << 10) + 4096 + w.opts.unit + spare; use > most {
					w.fail("%d bytes are in use, of at most %d: %s", use, most, strings.Join(w.fs.Files(), " "))
				}
			}
			w.faults.set(0)
			w.kill(false)
			w.open()
			w.all()
			w.shut()
		})
	}
}
