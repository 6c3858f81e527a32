package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// An Identity is somebody whose events are to be erased: by either id.
type Identity struct {
	UserID      string `json:"userId,omitempty"`
	AnonymousID string `json:"anonymousId,omitempty"`
}

// Forgotten says what Forget has done.
type Forgotten struct {
	// Files are those that were rewritten or, where nothing was left, deleted.
	Files []ForgottenFile `json:"files,omitempty"`

	// Searched are the files that were read: those of which the manifest could not tell
	// that they have nothing of whom.
	Searched int `json:"searched"`

	// Unread are manifests and files that could not be read, at most 1,000: somebody may
	// still be in them.
	Unread []string `json:"unread,omitempty"`

	// Events is how many were erased.
	Events int64 `json:"events"`

	// Parts are unfinished files, beside a [Folder] or in Dir, which were not looked into:
	// finish them with Destination.Rotate, or use Destination.Forget. Those whose names end
	// in ".damaged" stay until somebody removes them.
	Parts int `json:"parts,omitempty"`
}

// A ForgottenFile is a file from which events were erased.
type ForgottenFile struct {
	Key     string `json:"key"`
	Events  int64  `json:"events"`
	Deleted bool   `json:"deleted,omitempty"`
}

// Forget erases the events of somebody: those with the user id or the anonymous id, and
// alias calls that name it as the former id. Files in which there are some are written
// again without them, under the same key; the others are not touched. A manifest says so
// while its file is written. If Forget ends early, run it again for the same people: it
// finishes what it has begun. A file that cannot be read is an error behind all others. One
// Forget runs at a time, of this process or another: two bring back what the other erased.
//
// Copies that the bucket keeps of older versions are its operator's.
func (a *Archive) Forget(ctx context.Context, who ...Identity) (Forgotten, error) {
	var report Forgotten
	f := forget{a: a, users: make(map[string]bool), visitors: make(map[string]bool), parts: make(map[string]bool)}
	for i, w := range who {
		if w == (Identity{}) {
			return report, &analytics.InvalidError{Field: fmt.Sprintf("who[%d]", i), Reason: "has neither UserID nor AnonymousID"}
		}
		f.users[jsontext.Plain(w.UserID)], f.visitors[jsontext.Plain(w.AnonymousID)] = true, true
	}
	delete(f.users, "")
	delete(f.visitors, "")
	if len(who) == 0 {
		return report, nil
	}
	if err := f.unfinished(); err != nil { // before what is finished: they may become that meanwhile
		return report, err
	}
	places, err := a.places(ctx, &Query{}, func(err error) bool { return f.unread(&report, err) })
	for i := 0; i < len(places) && err == nil; i++ {
		if err = f.file(ctx, places[i].manifest, &report); f.unread(&report, err) {
			err = nil
		}
	}
	err = cmp.Or(err, f.unfinished())
	report.Parts = len(f.parts)
	return report, errors.Join(append(f.damaged, err)...)
}

// unfinished collects the names of unfinished files.
func (f *forget) unfinished() error {
	sound, damaged, err := f.a.parts()
	for _, name := range slices.Concat(sound, damaged) {
		f.parts[name] = true
	}
	return err
}

// unread notes that a file is damaged, which is no reason to leave somebody in the others;
// false if err is another one.
func (f *forget) unread(report *Forgotten, err error) bool {
	const most, mostErrors = 1000, 20
	var bad *fault
	if !errors.As(err, &bad) {
		return false
	}
	if len(report.Unread) < most {
		report.Unread = append(report.Unread, bad.key)
	}
	if len(f.damaged) < mostErrors {
		f.damaged = append(f.damaged, err)
	}
	return true
}

type forget struct {
	a               *Archive
	users, visitors map[string]bool
	parts           map[string]bool // unfinished, by name
	damaged         []error
}

func (f *forget) mayBeIn(m *Manifest) bool {
	for id := range f.users {
		if m.IDs.HasUser(id) {
			return true
		}
	}
	for id := range f.visitors {
		if m.IDs.HasAnonymous(id) {
			return true
		}
	}
	return false
}

func (f *forget) is(v *fields) bool {
	return f.users[v.user] || f.visitors[v.anonymous] || f.users[v.former] || f.visitors[v.former]
}

// file rewrites a file if somebody is in it. First the manifest says that, then comes the
// file, then the manifest of the new one.
func (f *forget) file(ctx context.Context, manifest string, report *Forgotten) error {
	m, err := f.a.manifest(ctx, manifest)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || !m.Rewriting && !f.mayBeIn(m) {
		return err
	}
	report.Searched++
	left, found := newStats(), int64(0)
	err = f.a.read(ctx, m, func(_ int64, _ []byte, v *fields) error {
		if f.is(v) {
			found++
		} else {
			left.count++
		}
		return nil
	})
	if err != nil || found == 0 && !m.Rewriting {
		return err
	}
	if !m.Rewriting {
		marked := *m // m still tells how long the file is
		marked.Rewriting = true
		if err := putManifest(ctx, f.a.bucket, manifest, &marked, false); err != nil {
			return err
		}
	}
	if left.count == 0 {
		err = f.a.bucket.Delete(ctx, m.Key)
		if err == nil {
			err = f.a.bucket.Delete(ctx, manifest)
		}
	} else {
		err = f.rewrite(ctx, m, manifest)
	}
	if err != nil {
		return fmt.Errorf("archive: forget: %s: %w", m.Key, err)
	}
	if found > 0 {
		report.Files = append(report.Files, ForgottenFile{m.Key, found, left.count == 0})
		report.Events += found
	}
	return nil
}

// rewrite puts the file without the lines of whom in its place, then its manifest.
func (f *forget) rewrite(ctx context.Context, m *Manifest, manifest string) error {
	pr, pw := io.Pipe()
	left := newStats()
	ended := make(chan struct{})
	go func() { // Put reads what this writes
		defer close(ended)
		pw.CloseWithError(f.filter(ctx, m, pw, left))
	}()
	sum := &summing{r: pr, hash: sha256.New()}
	err := f.a.bucket.Put(ctx, m.Key, sum, fileOptions(m.Key, false))
	_ = pr.CloseWithError(errEnough) // if Put has not read to the end
	<-ended
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	next := Manifest{
		Version: manifestVersion, Key: m.Key, Source: m.Source, Compression: m.Compression, Log: m.Log, From: m.From, To: m.To,
		Bytes: sum.n, RawBytes: left.rawBytes, SHA256: sum.hex(), Erased: &now, Lost: m.Lost,
	}
	next.take(left)
	return putManifest(ctx, f.a.bucket, manifest, &next, false)
}

// filter writes a file without the lines of whom, and counts what is left.
func (f *forget) filter(ctx context.Context, m *Manifest, w io.Writer, left *stats) error {
	z, err := newCompressor(m.Key)
	if err != nil {
		return err
	}
	out := newChunks(z, w)
	err = f.a.read(ctx, m, func(_ int64, line []byte, v *fields) error {
		if f.is(v) {
			return nil
		}
		left.addLine(line, v)
		return out.line(line)
	})
	return errors.Join(err, out.close())
}

// Forget erases somebody from what this destination has written, unfinished files
// included: it finishes them first. Events that are accepted afterwards, or wait in the
// log, come into the archive all the same: have the user suppressed before.
func (d *Destination) Forget(ctx context.Context, who ...Identity) (Forgotten, error) {
	if d.busy == nil {
		return Forgotten{}, errClosed
	}
	if err := d.take(ctx); err != nil {
		return Forgotten{}, err
	}
	defer d.give()
	if d.closed {
		return Forgotten{}, errClosed
	}
	if err := d.finish(ctx, func(*part) bool { return true }); err != nil {
		return Forgotten{}, err
	}
	a, err := Open(d.Bucket, d.Prefix)
	if err != nil {
		return Forgotten{}, err
	}
	report, err := a.Forget(ctx, who...)
	if err != nil || d.dir == a.partsDir() {
		return report, err
	}
	_, damaged, err := partsIn(d.fs, d.dir)
	report.Parts += len(damaged)
	return report, err
}
