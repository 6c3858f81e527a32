package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

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

	// Unread are manifests and files that are damaged, at most 1,000: somebody may still be in
	// them.
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
// finishes what it has begun. A file that is damaged is an error behind all others; an error
// of the bucket ends it.
//
// One Forget works at a time, of this process or another: a [Folder] refuses a second one;
// in other buckets two bring back what the other has erased.
//
// Copies that the bucket keeps of older versions are its operator's.
func (a *Archive) Forget(ctx context.Context, who ...Identity) (Forgotten, error) {
	folder, local := a.bucket.(*Folder)
	if !local {
		return (&forget{a: a}).run(ctx, who)
	}
	unlock, err := folder.lockForget()
	if err != nil {
		return Forgotten{}, err
	}
	report, err := (&forget{a: a}).run(ctx, who)
	return report, errors.Join(err, unlock())
}

// WouldForget says what Forget would do with the same files, and changes nothing.
func (a *Archive) WouldForget(ctx context.Context, who ...Identity) (Forgotten, error) {
	return (&forget{a: a, dry: true}).run(ctx, who)
}

func (f *forget) run(ctx context.Context, who []Identity) (Forgotten, error) {
	var report Forgotten
	f.users, f.visitors, f.parts = make(map[string]bool), make(map[string]bool), make(map[string]bool)
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
	places, err := f.a.places(ctx, &Query{}, func(err error) bool { return f.unread(&report, err) })
	for i := 0; i < len(places) && err == nil; i++ {
		if err = f.file(ctx, places[i].manifest, &report); f.unread(&report, err) {
			err = nil
		}
	}
	err = cmp.Or(err, f.unfinished())
	report.Parts = len(f.parts)
	return report, errors.Join(append(f.damaged, err)...)
}

// forget is a Forget at work.
type forget struct {
	a               *Archive
	dry             bool // nothing is erased
	users, visitors map[string]bool
	parts           map[string]bool // unfinished, by name
	damaged         []error
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

// Forget erases somebody from what this destination has written: under Prefix, and under
// those of its unfinished files, which it finishes first. Events that are delivered
// meanwhile or afterwards come into the archive all the same: have the user suppressed, and
// the log read to its end, before. For files under an earlier Prefix there is
// [Archive.Forget].
//
// Of what is in Dir, Parts counts the damaged ones and those that could not be finished, the
// error of which comes behind what was done: the others had nothing when Forget was called.
func (d *Destination) Forget(ctx context.Context, who ...Identity) (Forgotten, error) {
	prefixes, left, err := d.finishAll(ctx)
	errs := []error{err}
	var report Forgotten
	others := 0 // unfinished files of others
	for _, prefix := range prefixes {
		a, err := Open(d.Bucket, prefix)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r, err := a.Forget(ctx, who...)
		errs = append(errs, err)
		report.add(&r)
		if a.partsDir() != d.dir {
			others = r.Parts
		}
	}
	_, damaged, err := partsIn(d.fs, d.dir)
	report.Parts = others + left + len(damaged)
	return report, errors.Join(append(errs, err)...)
}

// add takes what was done under another prefix.
func (r *Forgotten) add(o *Forgotten) {
	r.Files, r.Unread = append(r.Files, o.Files...), append(r.Unread, o.Unread...)
	r.Searched, r.Events = r.Searched+o.Searched, r.Events+o.Events
}

// finishAll finishes all files. It returns the prefixes of where they and new ones are, and
// how many could not be finished.
func (d *Destination) finishAll(ctx context.Context) (prefixes []string, left int, err error) {
	if d.busy == nil {
		return nil, 0, errClosed
	}
	if err := d.take(ctx); err != nil {
		return nil, 0, err
	}
	defer d.give()
	if d.closed {
		return nil, 0, errClosed
	}
	prefixes = []string{d.prefix()}
	for _, p := range d.parts {
		if !slices.Contains(prefixes, p.Prefix) {
			prefixes = append(prefixes, p.Prefix)
		}
	}
	err = d.finish(ctx, func(*part) bool { return true })
	return prefixes, len(d.parts), err
}
