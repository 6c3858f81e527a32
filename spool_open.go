package analytics

import (
	"errors"
	"fmt"
	"io/fs"
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
	l.least, l.smallest = min(l.least, l.segmentSize), min(leastGrowth, l.segmentSize)
	damaged, err := l.load()
	if err != nil {
		l.closeFiles()
		return nil, err
	}
	l.identify(damaged)
	l.closed = opts.adopted
	l.bound()
	l.show(l.next, l.written)
	l.judge(l.settleIn())
	if len(l.segments) > 0 && opts.mode != Never {
		l.callRound() // what an earlier process has left
		poke(l.urge)
	}
	go l.run()
	return l, nil
}

// load reads all that is in the slot, and changes nothing but what is known to be of no
// use. damaged tells that numbers may have been given out that are not known any more.
func (l *diskLog) load() (damaged bool, err error) {
	torn, err := l.loadSegments()
	if err != nil {
		return false, err
	}
	if err := l.loadCursors(); err != nil {
		return false, err
	}
	certain, err := l.loadRing()
	if err != nil {
		return false, err
	}
	if id := &l.slot.ID; id.Clean && id.Next > l.next {
		l.next = id.Next // what is missing counts as damaged
	}
	for _, name := range l.stale {
		_ = l.slot.FS.Remove(name)
	}
	return l.slot.Damaged || !certain && (torn || !l.slot.ID.Clean && !l.slot.Fresh), nil
}

// leastGrowth is the smallest segment that is begun on a disk that is nearly full: two of
// the largest events fit into it.
const leastGrowth = 128 << 10

// leastDiskSegment is what a file takes of a disk, however short it is.
const leastDiskSegment = 4096

// loadSegments opens the files of the segments. Those that nobody has sealed are read
// through.
func (l *diskLog) loadSegments() (damaged bool, err error) {
	firsts, err := l.slot.Segments()
	if err != nil {
		return false, err
	}
	for _, first := range firsts {
		torn, err := l.loadSegment(first)
		if err != nil {
			return false, err
		}
		damaged = damaged || torn
	}
	return damaged, nil
}

// loadSegment opens one segment. damaged tells that numbers may have been given out that
// cannot be found in it.
func (l *diskLog) loadSegment(first uint64) (damaged bool, err error) {
	file, err := wal.OpenSegment(l.slot.FS, l.slot.SegmentsDir(), first)
	if err != nil {
		return false, err
	}
	bad := file.Damaged() && file.End() >= wal.SegmentHeader
	end, size, ok := file.Sealed()
	if !ok || bad {
		if end, size, damaged, err = l.scan(file); err != nil {
			return false, errors.Join(err, file.Close())
		}
	}
	if bad {
		l.quarantine(file, wal.Damage{Len: wal.SegmentHeader})
	}
	if end <= first { // a crash came before anything was written, or all of it is damaged
		if rest := file.End() - wal.SegmentHeader; rest > 0 {
			l.quarantine(file, wal.Damage{Off: wal.SegmentHeader, Len: rest})
		}
		l.stale = append(l.stale, file.Name())
		return damaged || bad, file.Close()
	}
	if t := l.tail(); t != nil && t.end > first { // a write failed behind its end
		t.end, t.disk.drained = first, first
	}
	s := &segment{first: first, end: end, start: l.written, size: size, full: true}
	s.disk = &diskSegment{drained: end, bytes: size, file: file, end: file.End(), ended: true, unsynced: true, unnamed: true}
	l.segments = append(l.segments, s)
	l.charged += l.charge(s)
	l.written += uint64(size)
	l.next = max(l.next, end)
	return damaged || bad, nil
}

// scan reads through a segment and returns where it ends and what it counts for.
// Damage before its last frame is put aside when somebody comes to read there.
func (l *diskLog) scan(file *wal.Segment) (end uint64, size int64, torn bool, err error) {
	end = file.First
	r := wal.Reader{}
	r.Seek(file, file.First)
	for {
		f, d, ok, err := r.Frame(file.End())
		torn = d.Len > 0 // so that the last numbers may have been given out
		if err != nil || !ok {
			return end, size, torn, err
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
			return err
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
// until it is in files. certain tells that all numbers that were given out are known.
func (l *diskLog) loadRing() (certain bool, err error) {
	id, fsys := &l.slot.ID, l.slot.FS
	path := l.slot.RingPath("")
	if filepath.Base(id.Ring) != filepath.Base(path) && id.Ring != "" { // not in the slot, which may have been moved
		path = id.Ring
	}
	if id.Ring == "" && !l.slot.Damaged && !l.slot.Fresh {
		return true, nil
	}
	id.Ring = path
	slot, next, known, ok := wal.RingHead(fsys, path)
	if ok && (l.slot.Damaged || l.slot.Fresh) { // the ring knows who it belongs to
		id.Slot = slot
	}
	left, damage, err := wal.RingRecords(fsys, path, id.Slot)
	if err != nil {
		return false, err
	}
	if len(damage) > 0 {
		l.slot.Quarantine(path, 0, damage, "the header of the ring is damaged")
		l.counts.quarantined++
		l.log.Error("spool: the ring is damaged", "file", path)
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
	known = known && ok && slot == id.Slot
	if known && next > l.next && next-l.next <= mostInRing {
		l.next = next // what is missing counts as damaged
	}
	l.drained = l.next
	l.held = l.counts.recovered > 0
	return ok && slot == id.Slot, nil // a ring that is written per call has no mark, and needs none
}

// mostInRing is how many events fit into the largest ring.
const mostInRing = 1 << 25

// recoveredSegment is the most bytes of a segment that is made of what was in the ring:
// on a disk that is nearly full, it is to get into files piece by piece.
const recoveredSegment = 1 << 20

// recover adds an event that was only in the ring.
func (l *diskLog) recover(rec wal.Record) {
	n := int64(diskCost(len(rec.Body)))
	s := l.tail()
	if s == nil || s.disk.heap == nil || s.end != rec.Seq || s.size+n > min(l.segmentSize, recoveredSegment) {
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
	was, ring := id.Log, id.Ring
	rebooted := !id.Clean && (boot == "" || boot != id.Boot)
	if id.Slot == (wal.ID{}) {
		id.Slot = wal.NewID()
	}
	if s.Fresh || damaged || rebooted {
		id.Log = wal.NewID()
	}
	id.Clean, id.Boot = false, boot
	if !l.opts.adopted {
		id.Ring = s.RingPath(l.opts.ringDir)
	}
	if s.Fresh {
		s.SyncParents()
	}
	l.ident = LogID(id.Log)
	if err := errors.Join(s.Save(), s.SyncNames()); err != nil {
		l.complain("the identity of the slot cannot be written", err)
		l.unsaved = true
		l.nameless = s.Fresh || s.Damaged || id.Ring != ring
		if id.Log == was { // nobody must take what is written from now on for what was before
			id.Log = wal.NewID()
			l.ident = LogID(id.Log)
		}
	}
}

// settleIn writes what was found in the ring into files and makes the ring ready. What
// an earlier process has left is not taken out of the ring before it is synced: the
// kernel may have written it there long ago.
func (l *diskLog) settleIn() error {
	err := l.writeHeaps()
	if err == nil && l.counts.recovered > 0 && l.opts.mode != Never {
		err = l.syncSegments()
	}
	if l.opts.adopted {
		if err == nil {
			l.removeRing()
		}
		return err
	}
	if l.nameless {
		return errors.Join(err, errNoRing)
	}
	if ringErr := l.attach(); ringErr != nil {
		return errors.Join(err, ringErr)
	}
	return err
}

// removeRing removes the ring of an adopted slot: nothing that matters is in it, and the
// next process would take what is delivered by then for what was never drained.
func (l *diskLog) removeRing() {
	if err := l.slot.FS.Remove(l.slot.ID.Ring); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.complain("the ring of an adopted slot cannot be removed", err)
		return
	}
	l.slot.ID.Ring = ""
	if err := l.slot.Save(); err != nil {
		l.complain("the identity of the slot cannot be written", err)
	}
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
	held := l.held && l.firstHeap() != nil
	l.mu.Unlock()
	if held && len(left) > 0 {
		err = ring.Resume()
	} else if len(left) > 0 {
		err = ring.Restart(l.slot.ID.Slot)
	}
	if err == nil {
		err = ring.Mark(l.next)
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
	for _, p := range l.places {
		_ = p.disk.file.Close()
	}
}
