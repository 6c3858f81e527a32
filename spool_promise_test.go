package analytics

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// onDisk runs a test of one promise in a bubble, on a disk of its own.
func onDisk(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for seed := range uint64(10) {
		onDiskSeed(t, seed, test)
	}
}

func onDiskSeed(t *testing.T, seed uint64, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, t.Name(), seed, logSettings{mode: Never, interval: time.Second, unit: 4096, limit: 1 << 20})
		w.cursors = []*worldCursor{{name: "a"}}
		test(t, w)
		if w.running {
			w.shut()
		}
	})
}

// put accepts n events of 100 bytes.
func (w *world) put(n int) {
	w.t.Helper()
	for range n {
		if err := w.append(100); err != nil {
			w.fail("append: %v", err)
		}
	}
}

// all reads and finishes everything.
func (w *world) all() { w.t.Helper(); w.check() }

// failing injects an error into the operations that match, from now on or once.
func (w *world) failing(once bool, match func(op faultfs.Op) bool) {
	done := false
	w.faults.follow(func(op faultfs.Op) error {
		if once && done || !match(op) {
			return nil
		}
		done = true
		return syscall.EIO
	})
}

func (w *world) healed() { w.faults.set(0) }

func is(kind faultfs.Kind, suffix string) func(faultfs.Op) bool {
	return func(op faultfs.Op) bool { return op.Kind == kind && strings.HasSuffix(op.Name, suffix) }
}

// The identity says that everything is synced. If it cannot be changed when the log is
// opened, a loss of power must not go unnoticed.
func TestDiskIdentityThatCannotBeWritten(t *testing.T) {
	for _, match := range []func(faultfs.Op) bool{is(faultfs.Sync, "id.new"), is(faultfs.Rename, "id.new"), is(faultfs.Create, "id.new")} {
		onDisk(t, func(t *testing.T, w *world) {
			w.opts.mode = Interval
			w.open()
			w.put(3)
			w.shut()
			w.failing(true, match)
			w.open()
			w.healed()
			w.put(3) // given out under the id of the log, lost with the power
			w.kill(true)
			w.open()
			w.put(3)
		})
	}
}

// What a process left that could not say that it had opened the log is not synced.
func TestDiskIdentityStaysCleanAfterKill(t *testing.T) {
	onDisk(t, func(t *testing.T, w *world) {
		w.opts.mode = Interval
		w.open()
		w.put(3)
		w.shut()
		w.failing(false, is(faultfs.Create, "id.new"))
		w.open()
		w.put(3)
		w.sleep(100 * time.Millisecond)
		w.healed()
		w.kill(false)
		w.open()
		require.NoError(t, w.sync())
		w.kill(true)
		w.open()
		w.all()
	})
}

// Where the names could not be synced when the log was opened, a later sync must see
// to it, or fail.
func TestDiskNamesThatCannotBeSynced(t *testing.T) {
	for _, dir := range []string{"/spool", "/spool/p-0", "/spool/p-0/seg", "/spool/p-0/cur"} {
		t.Run(dir, func(t *testing.T) {
			onDisk(t, func(t *testing.T, w *world) {
				w.failing(false, func(op faultfs.Op) bool { return op.Kind == faultfs.SyncDir && op.Name == dir })
				w.open()
				w.healed()
				w.sleep(2 * time.Second) // it may refuse until the names are there
				w.put(3)
				_ = w.sync()
				w.kill(true)
				w.open()
				w.all()
			})
		})
	}
}

// The directory of the spool is made where it is missing, with its parents.
func TestDiskDirectorySurvivesPowerLoss(t *testing.T) {
	for seed := range uint64(20) {
		fsys := faultfs.New(seed)
		cfg := &Config{Spool: Spool{Dir: "/var/lib/shop/events", fsys: fsys}, Logger: quiet()}
		cfg.Spool = cfg.Spool.withDefaults()
		cfg.Spool.settings = func(o *logSettings) { o.ringSize = 0 }
		cfg.Spool.ID = "test"
		open := func() *diskLog {
			cfg.Spool.fsys = fsys
			s, err := openSpool(cfg, nil)
			require.NoError(t, err)
			return s.own
		}
		l := open()
		l.cursor("a", nil, make(chan struct{}, 1))
		require.NoError(t, l.append(1, 0, []byte("one")))
		require.NoError(t, l.sync(t.Context()))
		fsys = fsys.PowerLoss()
		_ = l.shut(t.Context())
		l = open()
		require.Equal(t, uint64(1), l.end(), "seed %d", seed)
		require.NoError(t, l.shut(t.Context()))
	}
}

// A clean end is no clean end if a sync has failed before.
func TestDiskFailedSyncIsNoCleanEnd(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, t.Name(), seed, logSettings{mode: Interval, interval: time.Second, unit: 4096, limit: 1 << 20})
			w.cursors = []*worldCursor{{name: "a"}}
			w.open()
			w.put(20)
			w.failing(true, is(faultfs.Sync, ".seg"))
			require.Error(t, w.sync())
			w.shut()
			w.healed()
			w.kill(true)
			w.open()
			w.put(20)
			w.shut()
		})
	}
}

// A cursor that cannot be written must not be the only one who knew the next number.
func TestDiskNumbersAreNotUsedTwice(t *testing.T) {
	for name, match := range map[string]func(faultfs.Op) bool{
		"no cursor file":          is(faultfs.Create, ".cur"),
		"a cursor is not written": is(faultfs.Write, ".cur"),
	} {
		t.Run(name, func(t *testing.T) {
			onDisk(t, func(t *testing.T, w *world) {
				w.failing(false, match)
				w.open()
				if w.append(100) != nil { // it may refuse until the cursor has a file
					w.shut()
					w.healed()
					w.open()
				}
				w.put(3)
				w.all()
				w.read(w.cursors[0], 10, 1000)
				w.finish(w.cursors[0], func(int) bool { return true })
				w.shut()
				w.healed()
				w.open()
				w.put(3)
			})
		})
	}
}

// A destination whose cursor could not be made at first must not begin at the end after
// a crash.
func TestDiskCursorIsMadeLater(t *testing.T) {
	onDisk(t, func(t *testing.T, w *world) {
		w.failing(false, is(faultfs.Create, ".cur"))
		w.open()
		w.healed()
		w.sleep(2 * time.Second)
		w.put(3)
		_ = w.sync()
		w.sleep(2 * time.Second)
		w.kill(false)
		w.open()
		w.all()
	})
}

// Files of segments go only when the cursors that have passed them are on the disk.
func TestDiskSegmentsStayUntilCursorsAreSynced(t *testing.T) {
	onDisk(t, func(t *testing.T, w *world) {
		w.opts.unit = 300
		w.open()
		w.put(10)
		require.NoError(t, w.sync())
		files := len(w.fs.Files())
		w.failing(false, is(faultfs.Sync, ".cur"))
		w.read(w.cursors[0], 8, 1<<20)
		w.finish(w.cursors[0], func(int) bool { return true })
		w.sleep(time.Second)
		require.Len(t, w.fs.Files(), files)
		w.healed()
		w.sleep(time.Second)
		_ = w.sync()
		w.sleep(time.Second)
		require.Less(t, len(w.fs.Files()), files)
	})
}

// A write to the ring that failed leaves nothing behind that counts as accepted.
func TestDiskRefusedEventIsNotFound(t *testing.T) {
	onDisk(t, func(t *testing.T, w *world) {
		w.opts.writeCall = true
		w.open()
		w.put(2)
		w.faults.follow(func(op faultfs.Op) error {
			if op.Kind == faultfs.Write && strings.HasSuffix(op.Name, "/ring") {
				return faultfs.ShortWrite{N: int(op.Length) - 1, Err: syscall.ENOSPC}
			}
			return nil
		})
		require.ErrorIs(t, w.append(101), ErrQueueFull)
		w.healed()
		w.kill(false)
		w.open()
		w.all()
	})
}

// A sync waits for what was accepted before it, even if a round is just about to begin.
func TestDiskSyncBeginsAfterTheCall(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, t.Name(), seed, logSettings{mode: Never, interval: time.Second, unit: 4096, limit: 1 << 20})
			w.cursors = []*worldCursor{{name: "a"}}
			synced, ready := make(chan error, 1), make(chan struct{})
			w.logger = slog.New(slog.NewTextHandler(writerFunc(func(b []byte) {
				if !strings.Contains(string(b), "takes what is written again") {
					return
				}
				// Now is between a drain and the round that it is for.
				<-ready
				_ = w.accept(100)
				go func() { synced <- w.log.sync(context.Background()) }()
				for waiting := false; !waiting; runtime.Gosched() {
					w.log.mu.Lock()
					waiting = w.log.round != nil
					w.log.mu.Unlock()
				}
			}), nil))
			w.open()
			w.failing(true, is(faultfs.Create, ".seg"))
			w.put(1)
			close(ready)
			require.NoError(t, <-synced)
			w.believe(func(*worldEvent) bool { return true })
			w.kill(true)
			w.open()
			w.all()
			w.shut()
		})
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

// A sync that comes while the log is shut returns.
func TestDiskSyncDuringShut(t *testing.T) {
	onDisk(t, func(t *testing.T, w *world) {
		w.opts.mode = Interval
		w.open()
		w.put(3)
		w.sleep(10 * time.Millisecond)
		synced := make(chan error, 1)
		w.fs.Inject(func(op faultfs.Op) error {
			if op.Kind == faultfs.Sync && strings.HasSuffix(op.Name, ".seg") && cap(synced) > len(synced) {
				go func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
					defer cancel()
					synced <- w.log.sync(ctx)
				}()
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		w.shut()
		require.NotErrorIs(t, <-synced, context.DeadlineExceeded)
	})
}

// Nothing that is as old as the interval is lost.
func TestDiskIntervalIsKept(t *testing.T) {
	onDisk(t, func(t *testing.T, w *world) {
		w.opts.mode = Interval
		w.open()
		w.put(1)
		w.sleep(w.opts.interval)
		w.believe(func(*worldEvent) bool { return true })
		w.kill(true)
		w.open()
		w.all()
	})
}

// What a dead process has left is synced although nothing comes.
func TestDiskIntervalAfterKill(t *testing.T) {
	onDisk(t, func(t *testing.T, w *world) {
		w.opts.mode = Interval
		w.open()
		w.put(3)
		w.kill(false)
		w.open()
		w.sleep(w.opts.interval)
		w.believe(func(*worldEvent) bool { return true })
		w.kill(true)
		w.open()
		w.all()
	})
}

// What could not be read when the log was opened is not lost.
func TestDiskReadFaultAtOpen(t *testing.T) {
	for name, match := range map[string]func(faultfs.Op) bool{
		"ring":            is(faultfs.Read, "/ring"),
		"segment":         is(faultfs.Open, ".seg"),
		"segment, read":   is(faultfs.Read, ".seg"),
		"cursor":          is(faultfs.Open, ".cur"),
		"cursor, read":    is(faultfs.Read, ".cur"),
		"ring, open":      is(faultfs.Open, "/ring"),
		"ring, map":       is(faultfs.Map, "/ring"),
		"identity":        is(faultfs.Read, "/id"),
		"list":            is(faultfs.ReadDir, "/seg"),
		"list of cursors": is(faultfs.ReadDir, "/cur"),
	} {
		for _, once := range []bool{true, false} {
			t.Run(name+map[bool]string{true: " once", false: ""}[once], func(t *testing.T) {
				onDisk(t, func(t *testing.T, w *world) {
					w.open()
					w.put(3)
					w.sleep(10 * time.Millisecond)
					w.put(3)
					w.kill(false)
					w.failing(once, match)
					if l, err := w.tryOpen(); err == nil { // or nothing happened
						w.log, w.running = l, true
						w.healed()
						for _, c := range w.cursors {
							c.c = l.cursor(c.name, nil, make(chan struct{}, 1)).(*diskCursor)
						}
						time.Sleep(2 * time.Second)
						w.shut()
					}
					w.healed()
					w.open()
					w.all()
				})
			})
		}
	}
}

// An open log that was bounded by a full disk grows again within two seconds.
func TestDiskGrowsAgainWhenThereIsSpace(t *testing.T) {
	onDisk(t, func(t *testing.T, w *world) {
		w.opts.unit = 4096
		w.open()
		w.fs.SetFree(0)
		for range 300 {
			w.sleep(100 * time.Millisecond)
			if w.append(1000) != nil {
				break
			}
		}
		require.ErrorIs(t, w.append(4000), ErrQueueFull)
		w.fs.SetFree(1 << 30)
		w.sleep(2 * time.Second)
		require.NoError(t, w.append(4000))
		w.all()
	})
}

// A log starts on a full disk, and works when there is space.
func TestDiskStartsOnAFullDisk(t *testing.T) {
	onDisk(t, func(t *testing.T, w *world) {
		w.fs.SetFree(0)
		w.open()
		require.ErrorIs(t, w.append(100), ErrQueueFull)
		w.fs.SetFree(1 << 30)
		w.sleep(2 * time.Second)
		w.put(3)
		w.kill(false)
		w.open()
		w.all()
	})
}

// A log whose directory is removed goes on, or says that it cannot.
func TestDiskDirectoryRemoved(t *testing.T) {
	for _, fallback := range []int64{0, 100 << 10} {
		onDisk(t, func(t *testing.T, w *world) {
			w.opts.fallback = fallback
			w.open()
			w.put(10)
			w.sleep(10 * time.Millisecond)
			w.fs.RemoveAll("/spool")
			for range 100 {
				_ = w.append(1000)
				w.sleep(20 * time.Millisecond)
			}
			w.all()
			w.sleep(20 * time.Second)
			_ = w.append(1000)
			w.all()
		})
	}
}

// What an earlier process left in the ring stays there until it is in files.
func TestDiskRingIsKeptUntilItIsInFiles(t *testing.T) {
	for _, byCall := range []bool{false, true} {
		onDisk(t, func(t *testing.T, w *world) {
			w.opts.writeCall = byCall
			w.open()
			w.put(1)
			w.sleep(10 * time.Millisecond)
			w.put(5)
			for range 3 {
				w.kill(false)
				w.failing(false, is(faultfs.Create, ".seg"))
				w.open()
				w.put(2)
				w.sleep(time.Second)
			}
			w.kill(false)
			w.healed()
			w.open()
			w.all()
		})
	}
}

// What the disk does not take stays in the ring, however full that is.
func TestDiskFullRingKeepsItsEvents(t *testing.T) {
	for _, byCall := range []bool{false, true} {
		onDisk(t, func(t *testing.T, w *world) {
			w.opts.writeCall = byCall
			w.open()
			w.failing(false, func(op faultfs.Op) bool {
				return op.Kind == faultfs.Write && op.Offset > 0 && strings.HasSuffix(op.Name, ".seg")
			})
			for range 3 {
				for w.append(5000) == nil {
				}
				w.sleep(time.Second)
			}
			w.healed()
			w.kill(false)
			w.open()
			w.all()
		})
	}
}
