package analytics

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/tributary-dev/analytics/internal/wal"
)

// openDiskLog opens the log of a slot, which it owns from then on, with what earlier
// processes have left in it. It fails only if a file was written by a newer version or
// the directory cannot be read at all: damage is put aside and reported, and what
// cannot be written waits.
func openDiskLog(slot *wal.Slot, opts logSettings, log *slog.Logger) (*diskLog, error) {
	l := &diskLog{
		backlog: newBacklog(opts.unit, opts.limit, opts.oldest), slot: slot, opts: opts, log: log,
		complained: make(map[string]bool),
		kick:       make(chan struct{}, 1), urge: make(chan struct{}, 1), stop: make(chan struct{}), gone: make(chan struct{}),
	}
	l.hole, l.least, l.dropped = ReasonCorrupt, leastDiskSegment, l.discard
	l.least = min(l.least, l.segmentSize)
	damaged, err := l.loadSegments()
	if err != nil {
		return nil, err
	}
	if err := l.loadCursors(); err != nil {
		l.closeFiles()
		return nil, err
	}
	lostRing := l.loadRing()
	l.identify(damaged || lostRing || slot.Damaged)
	l.closed = opts.adopted
	l.watch()
	l.judge(l.settleIn())
	go l.run()
	return l, nil
}

// leastDiskSegment is what a file takes of a disk, however short it is.
const leastDiskSegment = 4096

// loadSegments opens the files of the segments. Those that nobody has sealed are read
// through.
func (l *diskLog) loadSegments() (damaged bool, err error) {
	firsts, err := l.slot.Segments()
	if err != nil {
		return false, err
	}
	for i, first := range firsts {
		file, err := wal.OpenSegment(l.slot.FS, l.slot.SegmentsDir(), first)
		if errors.Is(err, wal.ErrVersion) {
			l.closeFiles()
			return false, err
		}
		if err != nil {
			l.complain("a segment cannot be opened", err)
			continue
		}
		bad := file.Damaged()
		end, size, ok := file.Sealed()
		if !ok || bad {
			end, size = l.scan(file)
		}
		if bad {
			l.quarantine(file, wal.Damage{Len: wal.SegmentHeader})
		}
		damaged = damaged || bad
		if i+1 < len(firsts) {
			end = min(end, firsts[i+1])
		}
		if end <= first { // a crash came before anything was written
			_ = file.Close()
			if !bad {
				_ = l.slot.FS.Remove(file.Name())
			}
			continue
		}
		s := &segment{first: first, end: end, start: l.written, size: size, full: true}
		s.disk = &diskSegment{drained: end, bytes: size, file: file, end: file.End(), ended: true, unsynced: !l.slot.ID.Clean, unnamed: !l.slot.ID.Clean}
		l.segments = append(l.segments, s)
		l.charged += l.charge(s)
		l.written += uint64(size)
		l.next = end
	}
	return damaged, nil
}

// scan reads through a segment and returns where it ends and what it counts for.
// Damage before its last frame is put aside when somebody comes to read there.
func (l *diskLog) scan(file *wal.Segment) (end uint64, size int64) {
	end = file.First
	r := wal.Reader{Force: true}
	r.Seek(file, file.First)
	for {
		f, _, ok, err := r.Frame(file.End())
		if err != nil || !ok {
			return end, size
		}
		if f.First < end { // from an earlier life of the disk
			continue
		}
		for {
			rec, ok := f.Next()
			if !ok {
				break
			}
			size += int64(diskCost(len(rec.Body)))
		}
		end = f.End()
	}
}

// loadCursors reads where the destinations stand. What cannot be read stands at the
// beginning.
func (l *diskLog) loadCursors() error {
	names, err := l.slot.Cursors()
	if err != nil {
		return err
	}
	for _, name := range names {
		path := l.slot.CursorPath(name)
		file, at, found, damaged, err := wal.OpenCursor(l.slot.FS, path)
		if err != nil {
			l.complain("a cursor cannot be opened", err)
		}
		if damaged {
			b, _ := wal.ReadSmall(l.slot.FS, path)
			l.slot.Quarantine(path, 0, b, "no slot of the cursor has a right checksum")
			l.counts.quarantined++
			l.log.Error("spool: a cursor is damaged, its destination begins at the oldest event", "file", path)
		}
		place := position{done: at.Done}
		for _, s := range at.Ahead {
			place.ahead = append(place.ahead, span{s.From, s.To})
		}
		if !found && len(l.segments) > 0 {
			place.done = l.segments[0].first
		}
		p := l.addPlace(name, place)
		p.disk = &diskPlace{file: file, saved: place}
		l.next = max(l.next, at.End())
	}
	return nil
}

// loadRing takes over what an earlier process has left in the ring. It stays in memory
// until it is in files.
func (l *diskLog) loadRing() (damaged bool) {
	id, fsys := l.slot.ID, l.slot.FS
	var left []wal.Record
	var damage []byte
	if !l.slot.Fresh && !l.slot.Damaged {
		path := id.Ring
		if path == "" {
			path = l.slot.RingPath("")
		}
		var err error
		if left, damage, err = wal.RingRecords(fsys, path, id.Slot); err != nil {
			l.complain("the ring cannot be read", err)
		}
		if len(damage) > 0 {
			l.slot.Quarantine(path, 0, damage, "the header of the ring is damaged")
			l.counts.quarantined++
			l.log.Error("spool: the ring is damaged", "file", path)
		}
	}
	end := uint64(0)
	if n := len(l.segments); n > 0 {
		end = l.segments[n-1].end
	}
	for _, rec := range left {
		if rec.Seq >= end {
			l.recover(rec)
		}
	}
	l.drained = l.next
	l.held = l.counts.recovered > 0
	return len(damage) > 0
}

// recover adds an event that was only in the ring.
func (l *diskLog) recover(rec wal.Record) {
	n := int64(diskCost(len(rec.Body)))
	s := l.tail()
	if s == nil || s.disk.heap == nil || s.end != rec.Seq || s.size+n > l.segmentSize {
		s = &segment{first: rec.Seq, end: rec.Seq, start: l.written, full: true, disk: &diskSegment{}}
		l.segments = append(l.segments, s)
		l.charged += l.charge(s)
	}
	before := l.charge(s)
	s.disk.heap = append(s.disk.heap, rec)
	s.end, s.size = rec.Seq+1, s.size+n
	s.disk.drained, s.disk.bytes = s.end, s.size
	l.charged += l.charge(s) - before
	l.heapBytes += n
	l.written += uint64(n)
	l.next = max(l.next, s.end)
	l.counts.recovered++
}

// identify says who the log is. It gets a new id where numbers that were given out may
// be given out again: after a loss of power, and after damage.
func (l *diskLog) identify(damaged bool) {
	s := l.slot
	id := &s.ID
	boot := s.FS.BootID()
	rebooted := !id.Clean && (boot == "" || boot != id.Boot)
	if s.Fresh || s.Damaged {
		id.Slot = wal.NewID()
	}
	if s.Fresh || damaged || rebooted {
		id.Log = wal.NewID()
	}
	id.Clean, id.Boot = false, boot
	if !l.opts.adopted {
		id.Ring = s.RingPath(l.opts.ringDir)
	}
	l.ident = LogID(id.Log)
	if err := errors.Join(s.Save(), s.SyncNames()); err != nil {
		l.complain("the identity of the slot cannot be written", err)
	}
}

// settleIn writes what was found in the ring into files and makes the ring ready.
func (l *diskLog) settleIn() error {
	err := l.writeHeaps()
	if l.opts.adopted {
		return err
	}
	if ringErr := l.attach(); ringErr != nil {
		return errors.Join(err, ringErr)
	}
	return err
}

// attach opens the ring. What an earlier process has left in it is in memory, or in
// files by now.
func (l *diskLog) attach() error {
	use := wal.Mapped
	dir := filepath.Dir(l.slot.ID.Ring)
	if l.opts.writeCall || !l.slot.FS.Local(dir) {
		use = wal.PerCall
	}
	ring, left, _, err := wal.OpenRing(l.slot.FS, l.slot.ID.Ring, l.opts.ringSize, l.slot.ID.Slot, use)
	if err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	l.mu.Lock()
	held := l.held && l.heldHeap()
	l.mu.Unlock()
	if held && len(left) > 0 {
		err = ring.Resume()
	} else if len(left) > 0 {
		err = ring.Restart(l.slot.ID.Slot)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("ring: %w", err), ring.Close())
	}
	l.mu.Lock()
	l.at, l.held, l.idle = ring.Tail(), held, true
	l.ring.Store(ring)
	l.invite()
	l.mu.Unlock()
	return nil
}

// closeFiles closes what was opened when the log cannot be.
func (l *diskLog) closeFiles() {
	for _, s := range l.segments {
		if s.disk.file != nil {
			_ = s.disk.file.Close()
		}
	}
}
