package analytics

import (
	"errors"
	"slices"

	"github.com/tributary-dev/analytics/internal/wal"
)

// rebuild makes the slot anew after somebody has removed its directory: what is in the
// ring moves into a new one, the cursors are written again. The segments that are open
// can still be read, but not by the next process, so they count as at risk. It fails as
// long as the directory cannot be made, or another process has taken its place.
func (l *diskLog) rebuild() error {
	if err := l.slot.Rebuild(); err != nil {
		return err
	}
	l.drains.Lock()
	defer l.drains.Unlock()
	l.leaveFiles()
	l.mu.Lock()
	places := slices.Clone(l.places)
	l.mu.Unlock()
	errs := []error{l.moveRing()}
	l.files.Lock()
	for _, p := range places {
		errs = append(errs, l.remakeCursor(p))
	}
	l.files.Unlock()
	errs = append(errs, l.slot.Save(), l.slot.SyncNames())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	l.log.Warn("spool: the directory of the slot was removed and is made anew", "slot", l.slot.Path)
	return nil
}

// leaveFiles has a new segment begin, since those that are open have lost their names.
func (l *diskLog) leaveFiles() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if s.disk != nil && s.disk.file != nil {
			s.disk.atRisk, s.disk.ended = true, true
		}
	}
	if s := l.toDrain(); s != nil && s.disk.file != nil {
		l.endSegment(s)
	} else {
		l.backlog.seal()
	}
}

// recoverNames makes up for files that were removed below us.
func (l *diskLog) recoverNames() {
	if l.slot.Gone() {
		if err := l.rebuild(); err != nil {
			l.complain("the directory of the slot was removed", err)
		}
		return
	}
	l.mu.Lock()
	var file *wal.Segment
	if t := l.tail(); t != nil && t.disk != nil && !t.disk.ended {
		file = t.disk.file
	}
	l.mu.Unlock()
	if file == nil || !file.Gone(l.slot.FS) {
		return
	}
	l.drains.Lock()
	defer l.drains.Unlock()
	l.leaveFiles()
	if err := l.slot.MakeDirs(); err != nil {
		l.complain("segments were removed", err)
	}
}

// remakeCursor makes the file of a cursor that is gone; files is held.
func (l *diskLog) remakeCursor(p *place) error {
	if p.disk.file != nil {
		_ = p.disk.file.Close()
		p.disk.file = nil
	}
	file, _, _, _, err := wal.OpenCursor(l.slot.FS, l.slot.CursorPath(p.name))
	if err != nil {
		return err
	}
	p.disk.file = file
	return l.save(p, true)
}

// moveRing puts what is in the ring into a new one; calls wait meanwhile.
func (l *diskLog) moveRing() error {
	old := l.ring.Load()
	if old == nil {
		return l.attach()
	}
	l.calls.Lock()
	defer l.calls.Unlock()
	ring, _, _, err := wal.OpenRing(l.slot.FS, l.slot.ID.Ring, l.opts.ringSize, l.slot.ID.Slot, old.Use())
	if err != nil {
		return err
	}
	if err := ring.Restart(l.slot.ID.Slot); err != nil {
		return errors.Join(err, ring.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var putErr error
	_, err = old.Each(l.at, old.Extent(), func(r wal.Record) bool {
		var pos uint64
		if pos, putErr = ring.Reserve(len(r.Body)); putErr == nil {
			putErr = ring.Write(pos, r.Seq, r.At, r.Flags, r.Body, ring.Sum(r.Body))
		}
		if putErr != nil {
			return false
		}
		ring.Commit(pos, len(r.Body))
		return true
	})
	if err = errors.Join(err, putErr); err != nil {
		return errors.Join(err, ring.Close())
	}
	if err := ring.Mark(l.next); err != nil {
		return errors.Join(err, ring.Close())
	}
	l.ring.Store(ring)
	l.at, l.held = 0, false
	l.rings++
	return old.Close()
}
