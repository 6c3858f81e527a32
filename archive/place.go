package archive

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
)

// errDamagedPart is of a part.
var errDamagedPart = errors.New("archive: an unfinished file is damaged")

// place puts a part and its manifest into the bucket. The manifest comes last: where it
// is, the file was, though somebody may have been erased from it since.
func (d *Destination) place(ctx context.Context, p *part) error {
	key := p.key()
	at := manifestKey(p.Prefix, key)
	if there, err := d.placed(ctx, p); there || err != nil {
		return err
	}
	m, err := d.describe(p, d.local(p))
	if errors.Is(err, errDamagedPart) {
		m, err = d.describedBefore(ctx, p, err)
	} else if err == nil {
		err = d.put(ctx, p, m)
	}
	if err != nil {
		return err
	}
	if err = putManifest(ctx, d.Bucket, at, m, true); errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// placed tells whether a file with the events of a part is finished: the part itself, of
// a process that died behind that, or a longer one, of a copy of the folder of parts. An
// event is in one file only, so its log and first sequence number find it.
func (d *Destination) placed(ctx context.Context, p *part) (bool, error) {
	prefix := p.Prefix + manifestFolder + firstOfName(p.Log, p.From)
	own := p.Prefix + manifestFolder + fileName(p.Log, p.From, p.To) + manifestSuffix
	for o, err := range d.Bucket.List(ctx, prefix) {
		if err != nil {
			return false, fmt.Errorf("archive: list: %w", err)
		}
		if o.Key >= own { // numbers have all their digits
			return true, nil
		}
	}
	return false, nil
}

// put puts the file into the bucket. One that is there has no manifest, so nobody has read
// it: it is the part, from a try before, or makes room for that.
func (d *Destination) put(ctx context.Context, p *part, m *Manifest) error {
	file, err := d.openPart(p)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer file.Close()
	content := io.NewSectionReader(file, 0, p.Bytes)
	err = d.Bucket.Put(ctx, m.Key, content, fileOptions(m.Key, true))
	if !errors.Is(err, ErrExists) {
		return err
	}
	there, _, err := sumsOf(d.inBucket(ctx, m.Key))
	if err != nil || there.n == m.Bytes && there.hex() == m.SHA256 {
		return err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return d.Bucket.Put(ctx, m.Key, content, fileOptions(m.Key, false))
}

// describedBefore looks for a damaged part in the bucket, where a try before may have put
// it while it was sound. Without it, the damage is the error.
func (d *Destination) describedBefore(ctx context.Context, p *part, damage error) (*Manifest, error) {
	p.stats = nil // they are compared with the lines
	m, err := d.describe(p, d.inBucket(ctx, p.key()))
	if errors.Is(err, errDamagedPart) || errors.Is(err, ErrNotFound) {
		err = damage
	}
	return m, err
}

// content opens the file of a part.
type content func() (io.ReadCloser, error)

func (d *Destination) inBucket(ctx context.Context, key string) content {
	return func() (io.ReadCloser, error) {
		r, err := d.Bucket.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("archive: %s: %w", key, err)
		}
		return r, nil
	}
}

// local is the file on disk. One that is not there, or too short, is damaged.
func (d *Destination) local(p *part) content {
	return func() (io.ReadCloser, error) {
		file, err := d.openPart(p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", errDamagedPart, err)
		}
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		return struct {
			io.Reader
			io.Closer
		}{io.NewSectionReader(file, 0, p.Bytes), file}, nil
	}
}

// describe makes the manifest of a part. It reads all of it: for the checksums, and where
// an earlier process has written to it, for what is in it.
func (d *Destination) describe(p *part, open content) (*Manifest, error) {
	sum, crc, err := sumsOf(open)
	switch {
	case err != nil:
		return nil, err
	case sum.n != p.Bytes:
		return nil, fmt.Errorf("%w: %s has %d bytes of %d", errDamagedPart, p.File, sum.n, p.Bytes)
	case p.Sum != 0 && crc != p.Sum:
		return nil, fmt.Errorf("%w: %s has other bytes than were written", errDamagedPart, p.File)
	}
	if p.stats == nil {
		if p.stats, err = p.count(open); err != nil {
			return nil, err
		}
	}
	m := &Manifest{
		Version: manifestVersion, Key: p.key(), Source: p.Source, Compression: compressionOf(p.Ext), Log: p.Log, From: p.From, To: p.To,
		Bytes: p.Bytes, RawBytes: p.RawBytes, SHA256: sum.hex(), Lost: p.Lost,
	}
	m.take(p.stats)
	return m, nil
}

// count reads the lines.
func (p *part) count(open content) (*stats, error) {
	file, err := open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	s, from := newStats(), &watched{r: file}
	_, err = eachLine(summed(from), &Manifest{Key: p.key(), RawBytes: p.RawBytes}, func(_ int64, line []byte, v *fields) error {
		s.addLine(line, v)
		return nil
	})
	if from.err != nil {
		return nil, fmt.Errorf("archive: read %s: %w", p.File, from.err)
	}
	if err == nil && (s.count != p.Count || s.rawBytes != p.RawBytes) {
		err = fmt.Errorf("there are %d events of %d", s.count, p.Count)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errDamagedPart, p.File, err)
	}
	return s, nil
}

// sumsOf reads a file for its checksums.
func sumsOf(open content) (sum *summing, crc uint32, err error) {
	file, err := open()
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	check := crc32.New(castagnoli)
	sum = summed(io.TeeReader(file, check))
	if _, err := io.Copy(io.Discard, sum); err != nil {
		return nil, 0, fmt.Errorf("archive: read: %w", err)
	}
	return sum, check.Sum32(), nil
}
