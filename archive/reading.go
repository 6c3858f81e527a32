package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// reading is what was read of a file.
type reading struct {
	lines, bytes int64
	whole        bool // it was read to its end, or is not there

	// Of a file that is being rewritten:
	rest bool   // it is what Forget leaves
	sha  string // of the file
	size int64
}

// read calls f with each line of a file, from number 1 on, until it fails. What f is given
// is valid during the call.
func (a *Archive) read(ctx context.Context, m *Manifest, f func(n int64, line []byte, v *fields) error) (reading, error) {
	got, err := a.readAs(ctx, m, f)
	if errors.Is(err, ErrDamaged) && got.whole && ctx.Err() == nil && a.erasedMeanwhile(ctx, m) {
		err = nil
	}
	return got, err
}

// readAs reads a file as a manifest has it.
func (a *Archive) readAs(ctx context.Context, m *Manifest, f func(n int64, line []byte, v *fields) error) (reading, error) {
	r, err := a.bucket.Get(ctx, m.Key)
	switch {
	case errors.Is(err, ErrNotFound) && m.Rewriting != nil && m.Rewriting.Count == 0:
		return reading{whole: true, rest: true}, nil
	case errors.Is(err, ErrNotFound):
		return reading{whole: true}, &fault{m.Key, fmt.Errorf("the file is missing: %w", err)}
	case err != nil:
		return reading{}, fmt.Errorf("archive: %s: %w", m.Key, err)
	}
	defer r.Close()
	from := &watched{r: &ctxReader{ctx, r}}
	got, err := eachLine(from, m, f)
	switch {
	case ctx.Err() != nil && !errors.Is(err, errEnough) && err != nil:
		return got, context.Cause(ctx)
	case from.err != nil && errors.Is(err, ErrDamaged): // it is not the file that is damaged
		return got, fmt.Errorf("archive: %s: %w", m.Key, from.err)
	}
	return got, err
}

// erasedMeanwhile tells whether a file is not that of its manifest because Forget has been
// at work since that was read: then it is that of the manifest of now.
func (a *Archive) erasedMeanwhile(ctx context.Context, before *Manifest) bool {
	for {
		m, err := a.manifest(ctx, manifestKey(a.prefix, before.Key))
		if err != nil {
			return errors.Is(err, ErrNotFound)
		}
		if m.sameContent(before) {
			return false
		}
		_, err = a.readAs(ctx, m, func(int64, []byte, *fields) error { return nil })
		if !errors.Is(err, ErrDamaged) {
			return err == nil
		}
		before = m // another Forget may be at work
	}
}

// sameContent tells whether two manifests of a file say the same of what it may be.
func (m *Manifest) sameContent(o *Manifest) bool {
	return m.SHA256 == o.SHA256 && (m.Rewriting == nil) == (o.Rewriting == nil) && (m.Rewriting == nil || *m.Rewriting == *o.Rewriting)
}

// eachLine is read without the bucket.
func eachLine(r io.Reader, m *Manifest, f func(n int64, line []byte, v *fields) error) (got reading, err error) {
	var file *summing
	var text hash.Hash
	if m.Rewriting != nil {
		file, text = &summing{r: r, hash: sha256.New()}, sha256.New()
		r = file
	}
	lines, err := readLines(r, m.Key)
	if err != nil {
		return got, &fault{m.Key, err}
	}
	defer lines.close()
	for {
		line, err := lines.next()
		got.lines, got.bytes = lines.n, lines.bytes
		switch {
		case err == io.EOF:
			got.whole = true
			return got, m.ended(&got, file, text)
		case err != nil:
			return got, &fault{m.Key, err}
		case m.RawBytes < lines.bytes:
			return got, &fault{m.Key, lines.fault(fmt.Errorf("there are more than the %d bytes of the manifest", m.RawBytes))}
		}
		v, ok := parseLine(line)
		if !ok {
			return got, &fault{m.Key, lines.fault(errNoEvent)}
		}
		if text != nil {
			hashLine(text, line)
		}
		if err := f(lines.n, line, &v); err != nil {
			return got, err
		}
	}
}

// ended tells whether a file that was read to its end is one that the manifest allows.
func (m *Manifest) ended(got *reading, file *summing, text hash.Hash) error {
	if m.Rewriting == nil {
		if got.bytes != m.RawBytes {
			return &fault{m.Key, fmt.Errorf("it ends behind line %d, its manifest has more", got.lines)}
		}
		return nil
	}
	got.sha, got.size = file.hex(), file.n
	if got.sha == m.SHA256 {
		return nil
	}
	got.rest = *m.Rewriting == Remainder{got.lines, got.bytes, hex.EncodeToString(text.Sum(nil))}
	if !got.rest {
		return &fault{m.Key, errors.New("it is neither the file of its checksum nor what is to be left of that")}
	}
	return nil
}

// hashLine adds a line to a checksum of text.
func hashLine(h hash.Hash, line []byte) {
	h.Write(line)
	h.Write([]byte{'\n'})
}
