package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	workIfAsked()
	os.Exit(m.Run())
}

// all runs a check on every store.
func all(t *testing.T, check func(*testing.T, contender)) {
	for _, c := range contenders() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			check(t, c)
		})
	}
}

// events appends n events from number first on, in batches.
func events(t *testing.T, s store, first, n, batch int) {
	t.Helper()
	for end := first + n; first < end; first += batch {
		c := newChunk(min(batch, end-first))
		c.number(first)
		require.NoError(t, s.append(c))
		c.number(77_000_000) // the bytes are the caller's again
	}
}

// numbers reads until n events are out, or nothing comes any more. Where batches come
// one after another, it finishes one to get the next.
func numbers(t *testing.T, s store, n int) (got []int) {
	t.Helper()
	for idle := 0; len(got) < n && idle < 20; {
		batch, err := s.read(10)
		require.NoError(t, err)
		if len(batch) == 0 {
			if _, ok := s.(*ownStore); ok {
				require.NoError(t, s.commit())
			}
			idle++
			time.Sleep(5 * time.Millisecond)
			continue
		}
		for _, e := range batch {
			k, whole := check(e)
			require.True(t, whole, "event %d", len(got))
			got = append(got, k)
		}
	}
	return got
}

func upTo(first, n int) (all []int) {
	for i := range n {
		all = append(all, first+i)
	}
	return all
}

func TestOrderIsKeptOverBatchesAndReopening(t *testing.T) {
	all(t, func(t *testing.T, c contender) {
		o := options{dir: t.TempDir(), batch: 10}
		s, err := c.open(o)
		require.NoError(t, err)
		events(t, s, 0, 50, 10)
		require.Equal(t, upTo(0, 20), numbers(t, s, 20))
		require.NoError(t, s.commit())
		require.NoError(t, s.sync())
		events(t, s, 50, 7, 1)
		require.NoError(t, s.close())

		s, err = c.open(o)
		require.NoError(t, err)
		events(t, s, 57, 20, 10)
		require.Equal(t, upTo(20, 57), numbers(t, s, 57), "what is finished does not come again, all else does")
		require.NoError(t, s.commit())
		batch, err := s.read(10)
		require.NoError(t, err)
		require.Empty(t, batch)
		require.NoError(t, s.close())

		s, err = c.open(o)
		require.NoError(t, err)
		require.Empty(t, numbers(t, s, 1), "all is finished")
		events(t, s, 0, 10, 10)
		require.Equal(t, upTo(0, 10), numbers(t, s, 10), "an emptied store takes events again")
		require.NoError(t, s.close())
	})
}

func TestWhatWasReadAndNotFinishedComesAgain(t *testing.T) {
	all(t, func(t *testing.T, c contender) {
		if c.name == "nsqio/go-diskqueue" {
			t.Skip("what it hands out is finished")
		}
		o := options{dir: t.TempDir(), batch: 10, synced: true}
		s, err := c.open(o)
		require.NoError(t, err)
		events(t, s, 0, 30, 10)
		require.NoError(t, s.sync())
		require.Equal(t, upTo(0, 30), numbers(t, s, 30))
		require.NoError(t, s.close())
		s, err = c.open(o)
		require.NoError(t, err)
		require.Equal(t, upTo(0, 30), numbers(t, s, 30))
		require.NoError(t, s.close())
	})
}

func TestTasksInProcessesOfTheirOwn(t *testing.T) {
	all(t, func(t *testing.T, c contender) {
		for _, k := range []kind{appending, passing, backlog} {
			in := task{Kind: k, Store: c.name, Dir: t.TempDir(), Batch: 10, N: 500, Limit: 5 * time.Second}
			o, err := in.run(t.Context(), time.Minute, nil)
			require.NoError(t, err)
			require.Empty(t, o.Died)
			r := o.Result
			require.Empty(t, r.OpenErr+r.AppendErr+r.SyncErr+r.CloseErr)
			require.Equal(t, 500, r.Appended)
			require.Positive(t, r.PeakRSS)
			if k != appending {
				require.Equal(t, account{Whole: 500}, r.Account)
			}
		}
	})
}

// Little of everything, so that each fault is met; what comes of it is the table's.
func TestFaultsAreProvoked(t *testing.T) {
	c, err := find("file per batch")
	require.NoError(t, err)
	z := faultSizes{kills: 2, flips: 2, events: 200, alive: 20 * time.Millisecond, hang: time.Minute}
	f, err := provoke(t.Context(), c, t.TempDir(), z, t.Logf)
	require.NoError(t, err)
	require.Empty(t, f.Failed)
	require.Len(t, f.Killed, 2)
	require.Zero(t, add(f.Killed).lost)
	require.Equal(t, "lost 1, **hands out damaged**", damageCell(f.Cut))
	require.Equal(t, "lost up to 1, **hands out damaged 2/2**", damageCell(f.Flipped))
	if f.Skipped == "" {
		require.Contains(t, fullCell(f.Full[0]), "refuses, lost 0 of ")
	}
}

func TestAStoreThatCannotBeOpenedIsNotedAndTheOthersGoOn(t *testing.T) {
	broken := contender{name: "broken"} // no process finds it
	f, err := provoke(t.Context(), broken, t.TempDir(), usualFaults, t.Logf)
	require.NoError(t, err)
	require.Contains(t, f.Failed, `no store is named "broken"`)

	files, err := find("file per batch")
	require.NoError(t, err)
	z := speedSizes{events: 300, limit: 50 * time.Millisecond, reps: 2}
	by, failed, err := measure(t.Context(), []contender{broken, files}, t.TempDir(), z, t.Logf)
	require.NoError(t, err)
	require.Contains(t, failed["broken"], "one by one")
	require.Len(t, by[files.name], 2)
}

func TestEventsTellWhetherTheyAreWhole(t *testing.T) {
	c := newChunk(3)
	c.number(123_456)
	for i, e := range c {
		require.Len(t, e, eventSize)
		require.JSONEq(t, string(e), string(e))
		n, whole := check(e)
		require.True(t, whole)
		require.Equal(t, 123_456+i, n)
		require.Contains(t, string(e), string(idOf(n)))
	}
	for i := range c[0] {
		c[0][i] ^= 1
		_, whole := check(c[0])
		require.False(t, whole, "byte %d", i)
		c[0][i] ^= 1
	}
	_, whole := check(c[0][:eventSize-1])
	require.False(t, whole)
}

func TestTheAccountOfADrain(t *testing.T) {
	c := newChunk(6)
	c.number(0)
	d := newDrain(5)
	d.take(chunk{c[0], c[2], c[1], c[2], c[5], c[3][:10]})
	require.Equal(t, account{Whole: 4, Lost: 2, Damaged: 1, Twice: 1, Disorder: 1}, d.balance())
	require.Error(t, d.wrong())
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	c := newChunk(4)
	c.number(0)
	var data []byte
	for _, e := range c {
		data = append(data, e...)
	}
	path := filepath.Join(dir, "sub", "data")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, append(data, make([]byte, 200_000)...), 0o600))
	other := t.TempDir()
	require.NoError(t, copyFolder(other, dir))
	copied := filepath.Join(other, "sub", "data")
	got, err := os.ReadFile(copied)
	require.NoError(t, err)
	require.Equal(t, append(data, make([]byte, 200_000)...), got)

	require.NoError(t, flip(other, "ring", 0, 1, 4))
	got, err = os.ReadFile(copied)
	require.NoError(t, err)
	changed := 0
	for i := range data {
		if got[i] != data[i] {
			changed++
		}
	}
	require.Equal(t, 1, changed)

	require.NoError(t, cut(dir, "", 4))
	got, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, data[:len(data)-cutBytes], got)
}
