package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

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

// file rewrites a file if somebody is in it. First the manifest says that, and what is
// going to be left; then comes the file, then the manifest of the new one.
func (f *forget) file(ctx context.Context, manifest string, report *Forgotten) error {
	m, err := f.a.manifest(ctx, manifest)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || m.Rewriting == nil && !f.mayBeIn(m) {
		return err
	}
	report.Searched++
	found, left, got, err := f.search(ctx, m)
	if f.dry && got.whole && errors.Is(err, ErrDamaged) { // a Forget may be at work
		erased, fault := f.a.erasedMeanwhile(ctx, m)
		if erased {
			report.Searched--
			return f.file(ctx, manifest, report)
		}
		err = cmp.Or(fault, err)
	}
	if err != nil {
		return err
	}
	if !f.dry && (found > 0 || m.Rewriting != nil) {
		if err := f.erase(ctx, m, manifest, found, left, got); err != nil {
			return fmt.Errorf("archive: forget: %s: %w", m.Key, err)
		}
	}
	if found > 0 {
		report.Files = append(report.Files, ForgottenFile{m.Key, found, left.Count == 0})
		report.Events += found
	}
	return nil
}

// search counts the events of whom in a file, and finds out what is left without them.
func (f *forget) search(ctx context.Context, m *Manifest) (found int64, left Remainder, got reading, err error) {
	text := sha256.New()
	got, err = f.a.readAs(ctx, m, func(_ int64, line []byte, v *fields) error {
		if f.is(v) {
			found++
			return nil
		}
		left.Count++
		left.RawBytes += int64(len(line)) + 1
		hashLine(text, line)
		return nil
	})
	left.SHA256 = hex.EncodeToString(text.Sum(nil))
	return found, left, got, err
}

// erase leaves of a file what is to be left. Where a Forget has died before, it ends that.
func (f *forget) erase(ctx context.Context, m *Manifest, manifest string, found int64, left Remainder, got reading) error {
	marked := *m
	switch {
	case found > 0:
		if got.sha != m.SHA256 { // it is the rest, or has other bytes that say the same
			marked.Count, marked.RawBytes, marked.Bytes, marked.SHA256 = got.lines, got.bytes, got.size, got.sha
		}
		marked.Rewriting = &left
	case !got.rest: // the one before has died in front of the file, and was about others
		marked.Rewriting = nil
	}
	if !marked.sameContent(m) {
		if err := putManifest(ctx, f.a.bucket, manifest, &marked, false); err != nil {
			return err
		}
	}
	if marked.Rewriting == nil {
		return nil
	}
	if left.Count > 0 {
		return f.rewrite(ctx, &marked, manifest)
	}
	if err := f.a.bucket.Delete(ctx, m.Key); err != nil {
		return err
	}
	return f.a.bucket.Delete(ctx, manifest)
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
	sum := summed(pr)
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

// filter writes a file without the lines of whom, and counts what is left: what the
// manifest says by now.
func (f *forget) filter(ctx context.Context, m *Manifest, w io.Writer, left *stats) error {
	z, err := newCompressor(m.Key)
	if err != nil {
		return err
	}
	out, text := newChunks(z, w), sha256.New()
	_, err = f.a.readAs(ctx, m, func(_ int64, line []byte, v *fields) error {
		if f.is(v) {
			return nil
		}
		left.addLine(line, v)
		hashLine(text, line)
		return out.line(line)
	})
	if is := (Remainder{left.count, left.rawBytes, hex.EncodeToString(text.Sum(nil))}); err == nil && is != *m.Rewriting {
		err = errors.New("it was changed meanwhile")
	}
	return errors.Join(err, out.close())
}
