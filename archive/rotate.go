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
	"slices"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
)

const (
	mostUnfinished = 16       // times MaxBytes, while the bucket takes nothing
	mostStats      = 24 << 20 // bytes of what is remembered of parts
	damagedSuffix  = ".damaged"
)

// age finishes files that are old enough, also if no event comes any more.
func (d *Destination) age(ctx context.Context) {
	defer close(d.gone)
	tick := time.NewTicker(max(min(d.maxAge()/4, mostToAge), leastToAge))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if d.take(ctx) == nil {
				d.tidy(ctx, now)
				d.give()
			}
		}
	}
}

// tidy finishes what is due. What goes wrong is tried again later, and no reason to
// deliver a batch again: that is written.
func (d *Destination) tidy(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, timeToStore)
	defer cancel()
	largest := d.largest()
	err := d.finish(ctx, func(p *part) bool { return p == largest || d.due(p, now) })
	if err != nil && !errors.Is(err, context.Canceled) {
		d.log.Warn("archive cannot finish a file; it is tried again", "error", err)
	}
}

// due tells whether a part is large or old enough, or its period is over. One that began
// behind its period, with events that came late, ends by age.
func (d *Destination) due(p *part, now time.Time) bool {
	end := time.UnixMilli(p.end())
	return p.Bytes >= d.maxBytes() || now.Sub(p.Since) >= d.maxAge() || p.Since.Before(end) && !now.Before(end) ||
		p.stats != nil && p.stats.ids.count >= maxIDs
}

// largest is the part that most is remembered of, nil while there is room for more.
func (d *Destination) largest() (largest *part) {
	all, most := 0, 0
	for _, p := range d.parts {
		if p.stats == nil {
			continue
		}
		n := p.stats.memory()
		if all += n; n > most {
			largest, most = p, n
		}
	}
	if all <= mostStats {
		return nil
	}
	return largest
}

// room refuses a batch while so much is unfinished that the bucket must have been out of
// reach for long: then events wait in the log, which has bounds.
func (d *Destination) room(ctx context.Context) error {
	var sealed int64
	for _, p := range d.parts {
		if p.Sealed {
			sealed += p.Bytes
		}
	}
	if sealed < mostUnfinished*d.maxBytes() {
		return nil
	}
	return d.finish(ctx, func(*part) bool { return false })
}

// finish gives the parts that are chosen, and those that were before, their places in the
// bucket. A part is sealed first, so that it has the same name and the same bytes
// whenever it is tried again.
func (d *Destination) finish(ctx context.Context, chosen func(*part) bool) error {
	if err := d.seal(chosen); err != nil {
		return err
	}
	var errs []error
	for _, p := range slices.Clone(d.parts) {
		if !p.Sealed {
			continue
		}
		err := d.place(ctx, p)
		if errors.Is(err, errDamaged) {
			err = d.putAside(p, err)
		}
		if err == nil {
			err = d.remove(p)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (d *Destination) seal(chosen func(*part) bool) error {
	for _, p := range d.parts {
		if !p.Sealed && chosen(p) {
			p.Sealed, d.unsure = true, true
			delete(d.open, p.openKey())
		}
	}
	return d.assure()
}

// remove takes a part out of the note, then away.
func (d *Destination) remove(p *part) error {
	d.parts = slices.DeleteFunc(slices.Clone(d.parts), func(o *part) bool { return o == p })
	if err := d.save(); err != nil {
		return err
	}
	if err := d.fs.Remove(filepath.Join(d.dir, p.File)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

var errDamaged = errors.New("archive: an unfinished file is damaged")

// putAside keeps a part that cannot be read under another name, for people.
func (d *Destination) putAside(p *part, why error) error {
	name := filepath.Join(d.dir, p.File)
	if err := d.fs.Rename(name, name+damagedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("archive: %w", err)
	}
	d.log.Error("archive put a damaged file aside", "file", p.File+damagedSuffix, "events", p.Count, "error", why)
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
