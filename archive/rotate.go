package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

const (
	mostUnfinished = 16       // times MaxBytes, while the bucket takes nothing
	mostStats      = 24 << 20 // bytes of what is remembered of parts
	mostPlaced     = 64       // parts between two notes
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
	var done []*part
	for _, p := range slices.Clone(d.parts) {
		if !p.Sealed {
			continue
		}
		if ctx.Err() != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		if err := d.settle(ctx, p); err != nil {
			errs = append(errs, err)
			continue
		}
		if done = append(done, p); len(done) == mostPlaced {
			errs = append(errs, d.remove(done))
			done = nil
		}
	}
	return errors.Join(append(errs, d.remove(done))...)
}

// settle places a part, or what is sound in it.
func (d *Destination) settle(ctx context.Context, p *part) error {
	err := d.place(ctx, p)
	if !errors.Is(err, errDamagedPart) {
		return err
	}
	sound, err := d.salvage(p, err)
	if err != nil || !sound {
		return err
	}
	return d.place(ctx, p)
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

// remove takes parts out of the note, then away.
func (d *Destination) remove(parts []*part) error {
	if len(parts) == 0 {
		return nil
	}
	d.parts = slices.DeleteFunc(slices.Clone(d.parts), func(p *part) bool { return slices.Contains(parts, p) })
	err := d.save()
	for i := 0; i < len(parts) && err == nil; i++ {
		err = d.removeFile(filepath.Join(d.dir, parts[i].File))
	}
	return err
}

func (d *Destination) removeFile(name string) error {
	if err := d.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}
