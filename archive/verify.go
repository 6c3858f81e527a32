package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
)

const mostFaults = 1000

// Verify reads everything: each file has its manifest and each manifest its file, the
// checksum, the length and the numbers are those of the manifest, and each line is an
// event whose ids the manifest has. progress, which may be nil, is called after each file.
//
// Damage is in the report, not an error. Files that are finished meanwhile are left out; one
// that is just being finished has no manifest for a moment. Memory is bounded whatever is
// in the bucket: a line has at most 1 MiB, and a file is left where it has more than its
// manifest says.
func (a *Archive) Verify(ctx context.Context, progress func(Progress)) (Report, error) {
	v := verifier{a: a, files: make(map[string]bool)}
	err := v.run(ctx, progress)
	return v.report, err
}

type verifier struct {
	a      *Archive
	files  map[string]bool // that have a manifest
	report Report
}

func (v *verifier) run(ctx context.Context, progress func(Progress)) error {
	places, err := v.a.places(ctx, &Query{}, func(err error) bool { return v.found(err) == nil })
	if err != nil {
		return err
	}
	var done Progress
	for _, p := range places {
		v.files[p.key] = true
		o, err := v.a.bucket.Stat(ctx, p.key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("archive: %s: %w", p.key, err)
		}
		done.AllFiles++
		done.AllBytes += o.Size
	}
	for _, p := range places {
		if err := v.file(ctx, p); err != nil {
			return err
		}
		done.Files, done.Events, done.Bytes = done.Files+1, v.report.Events, v.report.Bytes
		if progress != nil {
			progress(done)
		}
	}
	for _, folder := range []string{hiveFolder, segmentFolder} {
		if err := v.strangers(ctx, v.a.prefix+folder); err != nil {
			return err
		}
	}
	sound, damaged, err := v.a.parts()
	v.report.Parts = len(sound)
	for _, name := range damaged {
		v.wrong(partsFolder+"/"+name, "it was damaged before it was finished, and put aside")
	}
	return err
}

// found takes a fault into the report, and returns other errors.
func (v *verifier) found(err error) error {
	var f *fault
	if !errors.As(err, &f) {
		return err
	}
	noteFault(&v.report.Faults, &v.report.MoreFaults, f)
	return nil
}

// noteFault adds a fault to a list, or counts it.
func noteFault(faults *[]Fault, more *int64, f *fault) {
	if len(*faults) == mostFaults {
		*more++
		return
	}
	*faults = append(*faults, Fault{f.key, f.cause.Error()})
}

func (v *verifier) wrong(key, format string, args ...any) {
	_ = v.found(&fault{key, fmt.Errorf(format, args...)}) // it is one
}

// file verifies a file against its manifest: again, where Forget has been at work
// meanwhile.
func (v *verifier) file(ctx context.Context, p place) error {
	for before := v.report; ; {
		m, err := v.a.manifest(ctx, p.manifest)
		if errors.Is(err, ErrNotFound) {
			return nil // it has been erased meanwhile
		}
		if err != nil {
			return v.found(err)
		}
		if err := v.against(ctx, m); err != nil {
			return err
		}
		if len(v.report.Faults) == len(before.Faults) && v.report.MoreFaults == before.MoreFaults {
			return nil
		}
		now, err := v.a.manifest(ctx, p.manifest)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return v.found(err)
		}
		if err == nil && now.sameContent(m) {
			return nil
		}
		v.report = before
	}
}

// against verifies a file.
func (v *verifier) against(ctx context.Context, m *Manifest) error {
	if m.Rewriting != nil {
		v.wrong(m.Key, "Forget is at work on it, or did not come to its end: then run it again")
	}
	r, err := v.a.bucket.Get(ctx, m.Key)
	if errors.Is(err, ErrNotFound) {
		if m.Rewriting == nil || m.Rewriting.Count > 0 {
			v.wrong(m.Key, "the file is missing")
		}
		return nil
	}
	if err != nil {
		return v.found(v.a.unreadable(ctx, m.Key, err))
	}
	defer r.Close()
	from := &watched{r: &ctxReader{ctx, r}}
	sum := summed(from)
	s, err := v.events(sum, m)
	if from.err == nil {
		_, _ = io.Copy(io.Discard, sum) // from knows what is wrong with it
	}
	if from.err != nil {
		return v.found(v.a.unreadable(ctx, m.Key, from.err))
	}
	v.report.Files++
	v.report.Bytes += sum.n
	v.report.Events += s.count
	v.report.Lost += m.Lost
	if err != nil {
		return v.found(err)
	}
	v.compare(m, s, sum)
	return nil
}

// events reads the lines of a file.
func (v *verifier) events(r *summing, m *Manifest) (*stats, error) {
	s, foreign := newStats(), false
	_, err := eachLine(r, m, func(n int64, line []byte, f *fields) error {
		s.addLine(line, f)
		if !foreign && !m.IDs.hasAll(f) {
			foreign = true
			v.wrong(m.Key, "line %d: its ids are not in the filter of the manifest", n)
		}
		return nil
	})
	return s, err
}

// hasAll tells whether the filter has the ids of an event.
func (f *Filter) hasAll(v *fields) bool {
	return (v.user == "" || f.HasUser(v.user)) && (v.anonymous == "" || f.HasAnonymous(v.anonymous)) &&
		(v.former == "" || f.HasUser(v.former) && f.HasAnonymous(v.former))
}

// compare reports what the manifest says and the file has not.
func (v *verifier) compare(m *Manifest, s *stats, sum *summing) {
	if m.Rewriting != nil { // eachLine has compared it
		return
	}
	if len(m.IDs.words) == 0 {
		v.wrong(m.Key, "the manifest has no filter of ids")
	}
	switch {
	case sum.n != m.Bytes:
		v.wrong(m.Key, "it has %d bytes, its manifest says %d", sum.n, m.Bytes)
	case sum.hex() != m.SHA256:
		v.wrong(m.Key, "its checksum is not that of its manifest")
	}
	for _, c := range []struct {
		what string
		same bool
	}{
		{"count", m.Count == s.count}, {"rawBytes", m.RawBytes == s.rawBytes},
		{"firstReceived", m.FirstReceived.Equal(s.firstReceived)}, {"lastReceived", m.LastReceived.Equal(s.lastReceived)},
		{"firstTimestamp", m.FirstTimestamp.Equal(s.firstTime)}, {"lastTimestamp", m.LastTimestamp.Equal(s.lastTime)},
		{"events", m.MoreEvents == s.more && maps.Equal(m.Events, s.names())},
	} {
		if !c.same {
			v.wrong(m.Key, "%s of its manifest is not what is in it", c.what)
		}
	}
}

// strangers reports files without a manifest.
func (v *verifier) strangers(ctx context.Context, folder string) error {
	for o, err := range v.a.bucket.List(ctx, folder) {
		if err != nil {
			return fmt.Errorf("archive: list: %w", err)
		}
		if v.files[o.Key] {
			continue
		}
		if extensionOf(o.Key) != "" { // it may have been finished since they were listed
			_, err := v.a.bucket.Stat(ctx, manifestKey(v.a.prefix, o.Key))
			if err == nil {
				continue
			}
			if !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("archive: %s: %w", o.Key, err)
			}
		}
		v.wrong(o.Key, "there is no manifest of it")
	}
	return nil
}

// summing hashes and counts what is read.
type summing struct {
	r    io.Reader
	hash hash.Hash
	n    int64
}

func (s *summing) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	return n, err
}

// summed is a reader with the checksum of what is read.
func summed(r io.Reader) *summing { return &summing{r: r, hash: sha256.New()} }

// hex is the checksum of what was read.
func (s *summing) hex() string { return hex.EncodeToString(s.hash.Sum(nil)) }
