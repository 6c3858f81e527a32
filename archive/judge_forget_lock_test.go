package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
)

// held is a context that stops whoever asks it for the n-th time whether it is over.
type held struct {
	context.Context
	n     int64
	asked atomic.Int64
	in    chan bool // closed when somebody is stopped
	on    chan bool // closed to let him go on
}

func newHeld(ctx context.Context, n int64) *held {
	return &held{Context: ctx, n: n, in: make(chan bool), on: make(chan bool)}
}

func (h *held) Err() error {
	if h.asked.Add(1) == h.n {
		close(h.in)
		<-h.on
	}
	return h.Context.Err()
}

// crowdIn is a folder with the crowd.
func crowdIn(t *testing.T, good *shelf) (*archive.Folder, string) {
	t.Helper()
	dir := quickDir(t)
	folder := &archive.Folder{Path: dir}
	for _, key := range good.keys("") {
		put(t, folder, key, string(good.files[key]))
	}
	return folder, dir
}

// middle is how often Forget asks before it is in the middle of the crowd's files.
func middle(t *testing.T, good *shelf) int64 {
	t.Helper()
	folder, _ := crowdIn(t, good)
	a, err := archive.Open(folder, "")
	require.NoError(t, err)
	ctx := newHeld(t.Context(), -1)
	_, err = a.Forget(ctx, goneIDs...)
	require.NoError(t, err)
	require.Greater(t, ctx.asked.Load(), int64(20), "nobody asks this context, so the test cannot hold a Forget")
	return ctx.asked.Load() / 2
}

// filesOf are the files of the bucket.
func filesOf(t *testing.T, b archive.Bucket) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, key := range listed(t, b, "") {
		found[key] = textOf(t, b, key)
	}
	return found
}

// requireBusy expects that Forget is refused, as another is at work, and that WouldForget is not.
func requireBusy(t *testing.T, dir string) {
	t.Helper()
	a, err := archive.Open(&archive.Folder{Path: dir}, "")
	require.NoError(t, err)
	before := filesOf(t, &archive.Folder{Path: dir})
	for _, who := range []archive.Identity{goneIDs[0], {UserID: "u-1"}, {UserID: "stranger"}} {
		report, err := a.Forget(t.Context(), who)
		require.ErrorContains(t, err, "another")
		require.NotErrorIs(t, err, archive.ErrDamaged)
		require.Zero(t, report.Events)
		require.Empty(t, report.Files)
		_, err = a.WouldForget(t.Context(), who)
		require.NoError(t, err, "who changes nothing needs no lock")
	}
	d := opened(t, &archive.Destination{Bucket: &archive.Folder{Path: dir}})
	_, err = d.Forget(t.Context(), archive.Identity{UserID: "u-1"})
	require.ErrorContains(t, err, "another")
	require.NoError(t, d.Close(t.Context()))
	require.Equal(t, before, filesOf(t, &archive.Folder{Path: dir}))
}

func TestJudgeOneForgetAtATime(t *testing.T) {
	good, all := crowd(t, "")
	n := middle(t, good)
	for _, ends := range []bool{true, false} { // or is cut off
		folder, dir := crowdIn(t, good)
		keys := listed(t, folder, "")
		a, err := archive.Open(folder, "")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		hold, first := newHeld(ctx, n), make(chan error, 1)
		go func() {
			_, err := a.Forget(hold, goneIDs...)
			first <- err
		}()
		select {
		case <-hold.in:
		case err := <-first:
			require.Fail(t, "it was not held", "%v", err)
		}
		func() {
			defer close(hold.on)
			requireBusy(t, dir)
			if !ends {
				cancel()
			}
		}()
		require.Equal(t, ends, <-first == nil)
		cancel()
		forgotten(t, &archive.Folder{Path: dir}, append(goneIDs, archive.Identity{UserID: "u-1"})...)
		requireVerified(t, folder, "", len(without(all, "gone", "u-1")))
		for _, key := range listed(t, folder, "") {
			require.Contains(t, keys, key, "a lock is no file of the bucket")
		}
	}
}

// holder is the other process of the next test.
const holder = "JUDGE_FORGET_HOLDER"

func TestJudgeTheLockGoesWithItsProcess(t *testing.T) {
	if dir := os.Getenv(holder); dir != "" {
		var n int64
		dir, number, _ := strings.Cut(dir, "|")
		_, _ = fmt.Sscan(number, &n)
		a, err := archive.Open(&archive.Folder{Path: dir}, "")
		require.NoError(t, err)
		hold := newHeld(t.Context(), n)
		go func() { _, _ = a.Forget(hold, goneIDs...) }()
		<-hold.in
		fmt.Println("holding")
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or nobody is there any more
		return
	}
	good, all := crowd(t, "")
	_, dir := crowdIn(t, good)
	command := exec.Command(os.Args[0], "-test.run=^TestJudgeTheLockGoesWithItsProcess$")
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", holder, dir, middle(t, good)))
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	in, err := command.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	require.NoError(t, command.Start())
	defer func() { _, _ = command.Process.Kill(), command.Wait() }()
	word := make([]byte, len("holding"))
	_, err = io.ReadFull(out, word)
	require.NoError(t, err)
	require.Equal(t, "holding", string(word))
	requireBusy(t, dir)
	require.NoError(t, command.Process.Kill())
	_ = command.Wait()
	folder := &archive.Folder{Path: dir}
	forgotten(t, folder, append(goneIDs, archive.Identity{UserID: "u-1"})...)
	requireVerified(t, folder, "", len(without(all, "gone", "u-1")))
}

// Many at once: each does all of its work or says that another is there.
func TestJudgeManyForgetsAtOnce(t *testing.T) {
	good, all := crowd(t, "")
	_, dir := crowdIn(t, good)
	people := []string{"u-1", "u-2", "u-3", "u-5", "u-8", "gone"}
	errs, wg := make([]error, len(people)), sync.WaitGroup{}
	for i, id := range people {
		wg.Go(func() {
			for range 10_000 {
				a, err := archive.Open(&archive.Folder{Path: dir}, "")
				if err == nil {
					_, err = a.Forget(context.Background(), archive.Identity{UserID: id, AnonymousID: map[string]string{"gone": "gone-a"}[id]})
				}
				if errs[i] = err; err == nil || !strings.Contains(err.Error(), "another") {
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	rest := without(all, people...)
	requireVerified(t, &archive.Folder{Path: dir}, "", len(rest))
}

// While Forget searches what is finished, the destination goes on.
func TestJudgeForgetHoldsNobodyUp(t *testing.T) {
	s, inside, searched := newShelf(), false, 0
	f := homeFeed('n', 300)
	var d *archive.Destination
	b := &got{s, func(key string) {
		if inside || isManifest(key) {
			return
		}
		inside = true
		defer func() { inside = false }()
		ctx, cancel := context.WithTimeout(t.Context(), 20e9) // a deadlock is an error
		defer cancel()
		at, _, err := d.Position(ctx, f.log)
		require.NoError(t, err)
		if at > 280 {
			return
		}
		require.NoError(t, d.Deliver(ctx, f.batch(t, d, at, at+5)))
		next, _, err := d.Position(ctx, f.log)
		require.NoError(t, err)
		require.Equal(t, at+5, next)
		if searched++; searched%2 == 0 {
			require.NoError(t, d.Rotate(ctx))
		}
	}}
	d = opened(t, &archive.Destination{Bucket: b, Dir: quickDir(t)})
	for to := uint64(7); to <= 28; to += 7 {
		inside = true
		require.NoError(t, f.run(t, d, 7, to))
		require.NoError(t, d.Rotate(t.Context()))
	}
	require.NoError(t, f.run(t, d, 7, 35))
	inside = false
	report, err := d.Forget(t.Context(), archive.Identity{UserID: "shop:1"})
	require.NoError(t, err)
	require.GreaterOrEqual(t, searched, 5)
	inside = true
	require.NoError(t, f.run(t, d, 7, 300))
	require.NoError(t, d.Close(t.Context()))
	rest := slices.DeleteFunc(f.all(), func(e *accepted) bool { return e.seq < 35 && userOf(e.raw) == "shop:1" })
	found := read(t, s, "", archive.Query{})
	for _, e := range rest {
		if e.seq < 35 || userOf(e.raw) != "shop:1" { // what comes meanwhile may be erased
			require.Equal(t, e.line(), found[e.id])
		}
	}
	for id := range found {
		require.Contains(t, idsOf(rest), id, "it was there before")
	}
	require.Empty(t, faultsOf(t, s))
	require.GreaterOrEqual(t, report.Events, int64(len(f.all())-len(rest)))
}

// got is a shelf that tells what is read.
type got struct {
	*shelf
	get func(key string)
}

func (g *got) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	g.get(key)
	return g.shelf.Get(ctx, key)
}
