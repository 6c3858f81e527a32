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

	// Of a file that was read to its end, or is not there:
	whole bool
	sha   string // of the file
	size  int64
	rest  bool // it is what Forget leaves of the one that its manifest has
	other bool // it is that of a newer manifest
}

// read calls f with each line of a file, from number 1 on, until it fails. What f is given
// is valid during the call.
func (a *Archive) read(ctx context.Context, m *Manifest, f func(n int64, line []byte, v *fields) error) (reading, error) {
	got, err := a.readAs(ctx, m, f)
	if !errors.Is(err, ErrDamaged) || !got.whole || ctx.Err() != nil {
		return got, err
	}
	erased, fault := a.erasedMeanwhile(ctx, m)
	if fault != nil {
		return got, fault
	}
	if got.other = erased; erased {
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
		return reading{}, a.unreadable(ctx, m.Key, err)
	}
	defer r.Close()
	from := &watched{r: &ctxReader{ctx, r}}
	got, err := eachLine(summed(from), m, f)
	switch {
	case ctx.Err() != nil && !errors.Is(err, errEnough) && err != nil:
		return got, context.Cause(ctx)
	case from.err != nil && errors.Is(err, ErrDamaged): // it is not what is in the file
		return got, a.unreadable(ctx, m.Key, from.err)
	}
	return got, err
}

// unreadable is the error of a file that cannot be read. In a folder that is damage like
// another, which the next files may not have; of a bucket nobody knows.
func (a *Archive) unreadable(ctx context.Context, key string, err error) error {
	if _, local := a.bucket.(*Folder); local && ctx.Err() == nil {
		return &fault{key, fmt.Errorf("it cannot be read: %w", err)}
	}
	return fmt.Errorf("archive: %s: %w", key, err)
}

// erasedMeanwhile tells whether a file is not that of its manifest because Forget has been
// at work since that was read: then it is that of the manifest of now.
func (a *Archive) erasedMeanwhile(ctx context.Context, before *Manifest) (bool, error) {
	for {
		m, err := a.manifest(ctx, manifestKey(a.prefix, before.Key))
		if errors.Is(err, ErrNotFound) {
			return true, nil
		}
		if err != nil || m.sameContent(before) {
			return false, err
		}
		_, err = a.readAs(ctx, m, func(int64, []byte, *fields) error { return nil })
		if !errors.Is(err, ErrDamaged) {
			return err == nil, err
		}
		before = m // another Forget may be at work
	}
}

// sameContent tells whether two manifests of a file say the same of what it may be.
func (m *Manifest) sameContent(o *Manifest) bool {
	return m.SHA256 == o.SHA256 && (m.Rewriting == nil) == (o.Rewriting == nil) && (m.Rewriting == nil || *m.Rewriting == *o.Rewriting)
}

// eachLine is read without the bucket.
func eachLine(r *summing, m *Manifest, f func(n int64, line []byte, v *fields) error) (got reading, err error) {
	var text hash.Hash
	if m.Rewriting != nil {
		text = sha256.New()
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
			got.whole, got.sha, got.size = true, r.hex(), r.n
			return got, m.ended(&got, text)
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
func (m *Manifest) ended(got *reading, text hash.Hash) error {
	if m.Rewriting == nil {
		if got.bytes != m.RawBytes {
			return &fault{m.Key, fmt.Errorf("it ends behind line %d, its manifest has more", got.lines)}
		}
		return nil
	}
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
