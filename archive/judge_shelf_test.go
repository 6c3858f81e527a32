package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/archive"
)

// shelf is a bucket in memory. It notes what should never happen to a file.
type shelf struct {
	mu      sync.Mutex
	files   map[string][]byte
	options map[string]archive.PutOptions
	changed []string // files of events that were written again with other bytes
	halves  []string // files of events that could not be read to their end when they were written
}

func newShelf() *shelf {
	return &shelf{files: map[string][]byte{}, options: map[string]archive.PutOptions{}}
}

func isManifest(key string) bool { return strings.Contains(key, "archive/_manifest/") }

func (s *shelf) Put(_ context.Context, key string, r io.Reader, o archive.PutOptions) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, there := s.files[key]
	if there && o.IfAbsent {
		return archive.ErrExists
	}
	if !isManifest(key) {
		if there && !bytes.Equal(old, data) {
			s.changed = append(s.changed, key)
		}
		if _, err := unpack(key, data); err != nil {
			s.halves = append(s.halves, fmt.Sprintf("%s: %v", key, err))
		}
	}
	s.files[key], s.options[key] = data, o
	return nil
}

func (s *shelf) Get(_ context.Context, key string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.files[key]
	if !ok {
		return nil, archive.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (s *shelf) List(ctx context.Context, prefix string) iter.Seq2[archive.Object, error] {
	return func(yield func(archive.Object, error) bool) {
		for _, key := range s.keys(prefix) {
			o, err := s.Stat(ctx, key)
			if errors.Is(err, archive.ErrNotFound) {
				continue // it went meanwhile
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (s *shelf) Stat(_ context.Context, key string) (archive.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.files[key]
	if !ok {
		return archive.Object{}, archive.ErrNotFound
	}
	return archive.Object{Key: key, Size: int64(len(data)), Modified: time.Unix(1, 0)}, nil
}

func (s *shelf) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, key)
	return nil
}

// keys lists in byte order.
func (s *shelf) keys(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(s.files)) {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// data lists the files of events.
func (s *shelf) data() []string { return slices.DeleteFunc(s.keys(""), isManifest) }

// copy is a shelf with the same files.
func (s *shelf) copy() *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &shelf{files: maps.Clone(s.files), options: maps.Clone(s.options)}
}

// failure is what happens at one call of a bucket.
type failure int

const (
	refuses    failure = iota // nothing is done, and an error comes
	readsHalf                 // the same, but half of what Put was to store has been read
	loses                     // it is done, and an error comes
	diesBefore                // the process dies
	diesBehind                // it is done, and the process dies
	truncates                 // Get yields half of the file, as if that were all
	breaksOff                 // Get yields half of the file and then an error; List the first entry
	cutsClean                 // Get yields the first of the members of a file, as if those were all
)

func (f failure) String() string {
	return [...]string{"refuses", "reads half", "loses the answer", "dies before", "dies behind", "truncates", "breaks off", "cuts between members"}[f]
}

// concerns tells whether a call can fail in this way.
func (f failure) concerns(call string) bool {
	op, _, _ := strings.Cut(call, " ")
	switch f {
	case readsHalf:
		return op == "Put"
	case truncates:
		return op == "Get"
	case cutsClean:
		return op == "Get" && !isManifest(call)
	case breaksOff:
		return op == "Get" || op == "List"
	}
	return true
}

var errBroken = errors.New("the bucket is broken")

// door is the way of one process to a shelf.
type door struct {
	*shelf
	gate  sync.Mutex
	calls []string // "Put key"
	at    int      // the call that fails, counted from 0; -1: none
	on    []string // or those that are one of these: calls at the same time come in any order
	how   failure
	dead  bool
	died  func() // called at the moment of death
}

func (s *shelf) door() *door { return &door{shelf: s, at: -1} }

// enter tells what happens to a call, and why it cannot even begin.
func (d *door) enter(call string) (fails bool, err error) {
	d.gate.Lock()
	defer d.gate.Unlock()
	if d.dead {
		return false, errBroken
	}
	fails = len(d.calls) == d.at || slices.Contains(d.on, call)
	d.calls = append(d.calls, call)
	if fails && d.how == diesBefore {
		d.die()
		return true, errBroken
	}
	if fails && d.how == refuses {
		return true, errBroken
	}
	return fails, nil
}

func (d *door) die() {
	d.dead = true
	if d.died != nil {
		d.died()
	}
}

// leave is the end of a call that was done.
func (d *door) leave(fails bool, err error) error {
	if !fails {
		return err
	}
	switch d.how {
	case loses:
		return errBroken
	case diesBehind:
		d.gate.Lock()
		defer d.gate.Unlock()
		d.die()
		return errBroken
	}
	return err
}

func (d *door) Put(ctx context.Context, key string, r io.Reader, o archive.PutOptions) error {
	fails, err := d.enter("Put " + key)
	if err != nil {
		return err
	}
	if fails && d.how == readsHalf {
		_, _ = io.CopyN(io.Discard, r, 100)
		return errBroken
	}
	return d.leave(fails, d.shelf.Put(ctx, key, r, o))
}

func (d *door) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	fails, err := d.enter("Get " + key)
	if err != nil {
		return nil, err
	}
	r, err := d.shelf.Get(ctx, key)
	if fails && err == nil && (d.how == truncates || d.how == breaksOff || d.how == cutsClean) {
		all, _ := io.ReadAll(r)
		if d.how == cutsClean {
			ends := append(cleanCuts(key, all), len(all)) // one member cannot be cut
			return io.NopCloser(bytes.NewReader(all[:ends[(len(ends)-1)/2]])), nil
		}
		half := io.Reader(bytes.NewReader(all[:len(all)/2]))
		if d.how == breaksOff {
			half = io.MultiReader(half, brokenReader{})
		}
		return io.NopCloser(half), nil
	}
	if err := d.leave(fails, err); err != nil {
		return nil, err
	}
	return r, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func (d *door) List(ctx context.Context, prefix string) iter.Seq2[archive.Object, error] {
	return func(yield func(archive.Object, error) bool) {
		fails, err := d.enter("List " + prefix)
		if err != nil {
			yield(archive.Object{}, err)
			return
		}
		for o, err := range d.shelf.List(ctx, prefix) {
			if !yield(o, err) {
				return
			}
			if fails && d.how == breaksOff {
				break
			}
		}
		if fails && d.how == breaksOff {
			err = errBroken
		}
		if err := d.leave(fails, err); err != nil {
			yield(archive.Object{}, err)
		}
	}
}

func (d *door) Stat(ctx context.Context, key string) (archive.Object, error) {
	fails, err := d.enter("Stat " + key)
	if err != nil {
		return archive.Object{}, err
	}
	o, err := d.shelf.Stat(ctx, key)
	return o, d.leave(fails, err)
}

func (d *door) Delete(ctx context.Context, key string) error {
	fails, err := d.enter("Delete " + key)
	if err != nil {
		return err
	}
	return d.leave(fails, d.shelf.Delete(ctx, key))
}

// eachFailure calls test for each failure at each call that a run without failures makes.
// A run tells how often its bucket was called.
func eachFailure(t *testing.T, run func(t *testing.T, at int, how failure) (calls []string), failures ...failure) {
	calls := run(t, -1, refuses)
	if len(calls) == 0 {
		t.Fatal("the bucket was never called")
	}
	step := 1
	if raced {
		step = 4
	}
	for at := 0; at < len(calls); at += step {
		call := calls[at]
		for _, how := range failures {
			if !how.concerns(call) {
				continue
			}
			t.Run(fmt.Sprintf("call %d %s %s", at, call[:strings.IndexByte(call, ' ')], how), func(t *testing.T) { run(t, at, how) })
		}
	}
}
