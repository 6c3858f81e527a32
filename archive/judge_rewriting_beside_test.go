package archive_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
)

// hooked is a shelf that has something done before each call.
type hooked struct {
	*shelf
	before func()
}

func (h *hooked) Put(ctx context.Context, key string, r io.Reader, o archive.PutOptions) error {
	h.before()
	return h.shelf.Put(ctx, key, r, o)
}

func (h *hooked) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	h.before()
	return h.shelf.Get(ctx, key)
}

func (h *hooked) List(ctx context.Context, prefix string) iter.Seq2[archive.Object, error] {
	h.before()
	return h.shelf.List(ctx, prefix)
}

func (h *hooked) Stat(ctx context.Context, key string) (archive.Object, error) {
	h.before()
	return h.shelf.Stat(ctx, key)
}

func (h *hooked) Delete(ctx context.Context, key string) error {
	h.before()
	return h.shelf.Delete(ctx, key)
}

// requireReads reads in each way. Whatever happens meanwhile, nothing is damaged, and
// nothing that stays is left out.
func requireReads(t *testing.T, b archive.Bucket, rest []*accepted, way int) {
	t.Helper()
	a, err := archive.Open(b, "")
	require.NoError(t, err)
	found := map[string]string{}
	switch way {
	case 0:
		found = read(t, b, "", archive.Query{})
	case 1:
		report, err := a.Verify(t.Context(), nil)
		require.NoError(t, err)
		for _, f := range report.Faults {
			require.Contains(t, f.Problem, "Forget", "%s is called damaged", f.Key)
		}
		require.GreaterOrEqual(t, report.Events, int64(len(rest)))
		return
	default:
		to := newSink("Sink")
		_, err := a.Replay(t.Context(), archive.Query{}, archive.ToDestination(to), archive.ReplayOptions{})
		require.NoError(t, err)
		for _, line := range to.got {
			found[idOf(t, line)] = line
		}
		for _, e := range rest {
			was, _ := decoded(t, e.line())
			is, _ := decoded(t, cmp.Or(found[e.id], "{}"))
			require.Equal(t, was, is)
		}
		return
	}
	for _, e := range rest {
		require.Equal(t, e.line(), found[e.id])
	}
}

// A whole Forget, or some calls of one, before each call of somebody who reads.
func TestJudgeReadingBesideForget(t *testing.T) {
	var people []archive.Identity
	for _, id := range []string{"u-1", "u-3", "u-4", "u-5", "u-7", "gone", "u-8"} {
		people = append(people, archive.Identity{UserID: id})
	}
	good, all := crowd(t, "")
	rest := without(all, "gone", "u-1", "u-3", "u-4", "u-5", "u-7", "u-8")
	require.NotEmpty(t, rest)
	for way := range 3 {
		synctest.Test(t, func(t *testing.T) {
			for each := 0; each < 30; each += sparse(1, 4) { // one Forget after each so many calls
				s, calls, turn := good.copy(), 0, 0
				requireReads(t, &hooked{s, func() {
					if calls++; calls%(each+1) == 0 && turn < len(people) {
						forgotten(t, s, people[turn])
						turn++
					}
				}}, rest, way)
			}
			for first := 0; first < 30; first += sparse(1, 5) { // step by step: a call of the one, calls of the other
				for _, steps := range []int{1, 2, 3} {
					readBeside(t, good.copy(), rest, way, first, steps, people)
				}
			}
		})
	}
}

// readBeside lets Forget do some calls before each call of the reader, from one on.
func readBeside(t *testing.T, s *shelf, rest []*accepted, way, first, steps int, people []archive.Identity) {
	may, did, calls, ended := make(chan bool), make(chan bool), 0, false
	go func() {
		defer close(did)
		<-may
		a, err := archive.Open(&hooked{s, func() { did <- true; <-may }}, "")
		if err == nil {
			_, err = a.Forget(context.Background(), people...)
		}
		if err != nil {
			t.Error("Forget beside a reader: ", err)
		}
	}()
	step := func() {
		may <- true
		_, more := <-did
		ended = !more
	}
	defer func() {
		for !ended {
			step()
		}
	}()
	requireReads(t, &hooked{s, func() {
		calls++
		for i := 0; calls > first && i < steps && !ended; i++ {
			step()
		}
	}}, rest, way)
}

// The same at random, with several who read, in memory and in a folder.
func TestJudgeReadingBesideForgetAtRandom(t *testing.T) {
	good, all := crowd(t, "")
	folder := &archive.Folder{Path: quickDir(t)}
	for _, key := range good.keys("") {
		put(t, folder, key, string(good.files[key]))
	}
	rest := without(all, "gone", "u-1", "u-3", "u-4", "u-5", "u-7", "u-8")
	for _, b := range []archive.Bucket{good.copy(), folder} {
		a, err := archive.Open(b, "")
		require.NoError(t, err)
		stop, wg := make(chan bool), sync.WaitGroup{}
		for way := range 2 {
			wg.Go(func() {
				for n := 0; ; n++ {
					if err := readOnce(t.Context(), a, rest, way); err != nil {
						t.Error(err)
						return
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		for _, id := range []string{"u-1", "u-3", "u-4", "gone", "u-5", "u-7", "u-8", "nobody"} {
			if _, err = a.Forget(t.Context(), archive.Identity{UserID: id, AnonymousID: map[string]string{"gone": "gone-a"}[id]}); err != nil {
				break
			}
		}
		close(stop)
		wg.Wait()
		require.NoError(t, err)
		requireVerified(t, b, "", len(rest))
	}
}

// readOnce reads in one way, and says what is wrong.
func readOnce(ctx context.Context, a *archive.Archive, rest []*accepted, way int) error {
	if way == 1 {
		report, err := a.Verify(ctx, nil)
		for _, f := range report.Faults {
			if !strings.Contains(f.Problem, "Forget") {
				return fmt.Errorf("%s is called damaged: %s", f.Key, f.Problem)
			}
		}
		return err
	}
	found := map[string]string{}
	for e, err := range a.Events(ctx, archive.Query{}) {
		if err != nil {
			return err
		}
		if found[e.MessageID] != "" {
			return fmt.Errorf("%s is twice", e.MessageID)
		}
		found[e.MessageID] = string(e.Raw)
	}
	for _, e := range rest {
		if found[e.id] != e.line() {
			return fmt.Errorf("%s is missing or another: %s", e.id, found[e.id])
		}
	}
	return nil
}
