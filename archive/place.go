package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/tributary-dev/analytics/internal/wal"
)

var errDamaged = errors.New("archive: an unfinished file is damaged")

// putAside keeps a part that cannot be read under another name, for people, who learn of
// it at once and from the next Rotate or Close.
func (d *Destination) putAside(p *part, why error) error {
	name := filepath.Join(d.dir, p.File)
	where := "kept in " + name + damagedSuffix
	switch err := d.fs.Rename(name, name+damagedSuffix); {
	case errors.Is(err, fs.ErrNotExist):
		where = "gone"
	case err != nil:
		return fmt.Errorf("archive: %w", err)
	}
	d.log.Error("archive has a damaged unfinished file", "file", p.File, "events", p.Count, "where", where, "error", why)
	d.aside = append(d.aside, fmt.Errorf("%w; its %d events are %s", why, p.Count, where))
	return nil
}

// place puts a part and its manifest into the bucket. The manifest comes last: where it
// is, the file was, though somebody may have been erased from it since.
func (d *Destination) place(ctx context.Context, p *part) error {
	key := p.key()
	at := manifestKey(p.Prefix, key)
	if there, err := d.placed(ctx, p); there || err != nil {
		return err
	}
	file, err := d.fs.Open(filepath.Join(d.dir, p.File), false, false)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		return fmt.Errorf("archive: %w", err)
	}
	defer file.Close()
	m, err := d.describe(p, file)
	if err != nil {
		return err
	}
	err = d.Bucket.Put(ctx, key, io.NewSectionReader(file, 0, p.Bytes), fileOptions(key, true))
	if errors.Is(err, ErrExists) {
		err = d.same(ctx, p, key)
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

// same finds out whether a file that is there is the part: from an attempt before.
func (d *Destination) same(ctx context.Context, p *part, key string) error {
	o, err := d.Bucket.Stat(ctx, key)
	if err != nil {
		return fmt.Errorf("archive: %s: %w", key, err)
	}
	if o.Size != p.Bytes {
		return fmt.Errorf("archive: %s is there with %d bytes, and is to have %d", key, o.Size, p.Bytes)
	}
	return nil
}

// describe makes the manifest of a part. It reads all of it: for the checksum, and where
// an earlier process has written to it, for what is in it.
func (d *Destination) describe(p *part, file wal.File) (*Manifest, error) {
	if size, err := file.Size(); err != nil || size < p.Bytes {
		if err == nil {
			err = fmt.Errorf("%w: %s has %d bytes of %d", errDamaged, p.File, size, p.Bytes)
		}
		return nil, err
	}
	if p.stats == nil {
		s := newStats()
		err := eachLine(io.NewSectionReader(file, 0, p.Bytes), &Manifest{Key: p.key(), RawBytes: p.RawBytes}, func(_ int64, line []byte, v *fields) error {
			s.addLine(line, v)
			return nil
		})
		if err == nil && (s.count != p.Count || s.rawBytes != p.RawBytes) {
			err = fmt.Errorf("there are %d events of %d", s.count, p.Count)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errDamaged, p.File, err)
		}
		p.stats = s
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, p.Bytes)); err != nil {
		return nil, fmt.Errorf("archive: read %s: %w", p.File, err)
	}
	m := &Manifest{
		Version: manifestVersion, Key: p.key(), Source: p.Source, Compression: compressionOf(p.Ext), Log: p.Log, From: p.From, To: p.To,
		Bytes: p.Bytes, RawBytes: p.RawBytes, SHA256: hex.EncodeToString(sum.Sum(nil)),
	}
	m.take(p.stats)
	return m, nil
}
