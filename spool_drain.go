package analytics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
)

const (
	drainPause  = 5 * time.Millisecond   // between the first event in an empty ring and its way into a file
	mendPause   = 500 * time.Millisecond // between two tries while the disk refuses
	watchPause  = 10 * time.Second       // between two looks at how much of the disk is free
	drainedRun  = 256 << 10              // bytes of one write
	freeCeiling = int64(1) << 62
)

var errNoRing = errors.New("there is no ring")

// run drains and syncs until the log is shut. It is the only goroutine that removes
// files.
func (l *diskLog) run() {
	defer close(l.gone)
	var (
		drain = newAlarm()
		sync  = newAlarm()
		watch = newAlarm()
	)
	defer drain.stop()
	defer sync.stop()
	defer watch.stop()
	watch.set(l.watchPause())
	for {
		select {
		case <-l.stop:
			return
		case <-l.kick:
			drain.set(l.pause())
			if l.opts.mode == Interval {
				sync.set(l.opts.interval)
			}
			continue
		case <-l.urge:
		case <-drain.c():
			drain.rang()
		case <-sync.c():
			sync.rang()
			l.callRound()
		case <-watch.c():
			watch.rang()
			l.watch()
			watch.set(l.watchPause())
		}
		r := l.takeRound() // before the drain: what comes during it may not be covered
		err := l.drain()
		names := l.settleNames()
		if r != nil {
			l.serve(r, errors.Join(err, names))
		}
		if !l.collect() || err != nil || names != nil {
			drain.set(mendPause)
		}
		if l.opts.mode != Never && l.behind() {
			sync.set(l.opts.interval)
		}
	}
}

// pause is how long a drain may wait for others to come along.
func (l *diskLog) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		return mendPause
	}
	return drainPause
}

// alarm is a timer that is set at most once at a time.
type alarm struct {
	timer *time.Timer
	on    bool
}

func newAlarm() *alarm {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &alarm{timer: t}
}

func (a *alarm) c() <-chan time.Time { return a.timer.C }
func (a *alarm) stop()               { a.timer.Stop() }
func (a *alarm) rang()               { a.on = false }

func (a *alarm) set(d time.Duration) {
	if !a.on {
		a.on = true
		a.timer.Reset(d)
	}
}

// drain moves what is in the ring into files, as far as it goes.
func (l *diskLog) drain() error {
	l.drains.Lock()
	defer l.drains.Unlock()
	l.mu.Lock()
	l.urged = false
	stopped := l.stopped
	l.mu.Unlock()
	if stopped {
		return nil
	}
	err := l.writeHeaps()
	if err == nil {
		err = l.drainRing()
	}
	l.judge(err)
	return err
}

// judge keeps the error of a drain, or that it is over.
func (l *diskLog) judge(err error) {
	l.mu.Lock()
	before := l.fault
	l.fault = err
	if err != nil {
		l.show(l.next, l.written) // from the ring
	} else if before != nil {
		clear(l.complained)
	}
	l.mu.Unlock()
	switch {
	case err != nil:
		poke(l.kick)
		l.complain("the disk refuses what is to be written", err)
		l.fallBack()
	case before != nil:
		l.log.Info("spool: the disk takes what is written again", "slot", l.slot.Path)
	}
}

// writeHeaps writes the segments that are in memory.
func (l *diskLog) writeHeaps() error {
	for {
		l.mu.Lock()
		s := l.firstHeap()
		if s == nil {
			l.release()
			l.mu.Unlock()
			return nil
		}
		heap := s.disk.heap
		l.mu.Unlock()
		file, err := wal.CreateSegment(l.slot.FS, l.slot.SegmentsDir(), s.first)
		if err != nil {
			return err
		}
		for len(heap) > 0 && err == nil {
			w := file.Frames()
			for len(heap) > 0 && w.Len() < drainedRun {
				w.Add(heap[0])
				heap = heap[1:]
			}
			err = file.Append(w.Finish())
		}
		if err != nil { // what it has taken of the disk is needed for the next try
			return errors.Join(err, file.Close(), l.slot.FS.Remove(file.Name()))
		}
		l.mu.Lock()
		s.disk.file, s.disk.end, s.disk.heap = file, file.End(), nil
		s.disk.unsynced, s.disk.unnamed = true, true
		l.haunt(s)
		l.heapBytes = l.heapSize()
		l.release()
		l.mu.Unlock()
	}
}

func (l *diskLog) heapSize() (n int64) {
	for _, s := range l.segments {
		if s.disk != nil && s.disk.heap != nil {
			n += s.disk.bytes
		}
	}
	return n
}

// release gives the place of what is drained back to the ring, but for what an earlier
// process left there and has no other place yet.
func (l *diskLog) release() {
	ring := l.ring.Load()
	if ring == nil {
		return
	}
	if s := l.firstHeap(); l.held && s != nil {
		ring.ReleaseBefore(s.disk.heap[0])
	} else {
		l.held = false
		ring.Release(l.at)
	}
	if l.starved {
		l.starved = false
		l.invite()
	}
}

// firstHeap is the first segment that lies in memory, nil if there is none.
func (l *diskLog) firstHeap() *segment {
	i := slices.IndexFunc(l.segments, func(s *segment) bool { return s.disk != nil && s.disk.heap != nil })
	if i < 0 {
		return nil
	}
	return l.segments[i]
}

// drainRing writes what is in the ring. Of segments that are gone nothing is written,
// nor, after a fault, of events that all have got straight from the ring.
func (l *diskLog) drainRing() error {
	ring := l.ring.Load()
	if ring == nil {
		if l.opts.adopted {
			return nil
		}
		if l.nameless {
			if err := l.settleNames(); err != nil {
				return err
			}
		}
		return l.attach()
	}
	for {
		l.mu.Lock()
		if l.fault != nil {
			l.skipFinished()
		}
		pos, extent := l.at, ring.Extent()
		if extent.Ends(pos) {
			l.drained = l.next
			l.show(l.next, l.written)
			l.idle = true
			l.release()
			l.mu.Unlock()
			return l.seal()
		}
		s := l.toDrain()
		from, to, size := l.drained, l.drained, int64(0)
		if s != nil {
			to, size = s.end, s.size-s.disk.bytes
		}
		l.mu.Unlock()
		if err := l.drainSegment(ring, s, pos, extent, from, to, size); err != nil {
			return err
		}
	}
}

// skipFinished moves drained over what every destination has finished.
func (l *diskLog) skipFinished() { l.drained = max(l.drained, l.finishedBelow()) }

// passFinished gives back what all have finished of the ring, while the disk refuses to
// take it; mu is held. If somebody tries to drain just now, that does it.
func (l *diskLog) passFinished() {
	ring := l.ring.Load()
	if ring == nil || !l.drains.TryLock() {
		return
	}
	defer l.drains.Unlock()
	l.skipFinished()
	next, err := ring.Each(l.at, ring.Extent(), func(r wal.Record) bool { return r.Seq < l.drained })
	if err == nil {
		l.at = next
		l.release()
	}
}

// toDrain is the segment that the next event to be drained belongs to; nil: all of
// them are gone. What is missing before it is passed over.
func (l *diskLog) toDrain() *segment {
	for _, s := range l.segments {
		if from := max(l.drained, s.first); from < s.end {
			l.drained = from
			return s
		}
	}
	l.drained = l.next
	return nil
}

// drainSegment writes the events from one sequence number to another, which are those
// of one segment and count for so many bytes, and passes over those before.
func (l *diskLog) drainSegment(ring *wal.Ring, s *segment, pos uint64, extent wal.Extent, from, to uint64, size int64) error {
	if s != nil && s.disk.file == nil && s.disk.heap == nil {
		if err := l.begin(s); err != nil {
			return err
		}
	}
	for !extent.Ends(pos) {
		var w *wal.FrameWriter
		if s != nil && s.disk.file != nil {
			w = s.disk.file.Frames()
			w.Grow(int(max(0, min(size, drainedRun+wal.FrameSize))))
		}
		seq, bytes := from, int64(0)
		next, err := ring.Each(pos, extent, func(r wal.Record) bool {
			if r.Seq < from {
				return true
			}
			if r.Seq >= to || w.Len() >= drainedRun {
				return false
			}
			w.Add(r)
			seq, bytes = r.Seq+1, bytes+int64(diskCost(len(r.Body)))
			return true
		})
		if err != nil {
			return err
		}
		if seq > from {
			run, off := w.Finish(), s.disk.file.End()
			if err := s.disk.file.Append(run); err != nil {
				l.divide(s)
				return err
			}
			l.recent.Add(s.disk.file, off, run)
		}
		l.mu.Lock()
		if seq > from {
			d := s.disk
			d.drained, d.end, d.unsynced = seq, s.disk.file.End(), true
			d.bytes += bytes
			l.drained = max(l.drained, seq)
			l.show(d.drained, s.start+uint64(d.bytes))
		}
		if next == pos { // nothing of what was looked for is in the ring
			l.drained = max(l.drained, to)
		}
		l.at = next
		l.release()
		l.mu.Unlock()
		if next == pos || seq >= to {
			return nil
		}
		pos, from, size = next, seq, size-bytes
	}
	return nil
}

// begin makes the file of a segment.
func (l *diskLog) begin(s *segment) error {
	if err := l.seal(); err != nil {
		return err
	}
	file, err := wal.CreateSegment(l.slot.FS, l.slot.SegmentsDir(), s.first)
	if err != nil {
		return err
	}
	l.mu.Lock()
	s.disk.file, s.disk.end = file, file.End()
	s.disk.unnamed = true
	l.haunt(s)
	l.mu.Unlock()
	return nil
}

// haunt has the new file of a segment removed again that is gone by now.
func (l *diskLog) haunt(s *segment) {
	if s.disk.removed {
		l.garbage = append(l.garbage, s)
	}
}

// seal writes the last frame of the segments that are full. If that fails, they are
// read through when they are opened the next time; nothing else is lost.
func (l *diskLog) seal() error {
	l.mu.Lock()
	var full []*segment
	for _, s := range l.segments {
		if d := s.disk; s.full && d != nil && d.file != nil && !d.ended && d.drained == s.end {
			d.ended = true
			full = append(full, s)
		}
	}
	l.mu.Unlock()
	for _, s := range full {
		if err := s.disk.file.Seal(s.end, s.size); err != nil {
			return err
		}
		l.mu.Lock()
		s.disk.unsynced = true
		l.mu.Unlock()
	}
	return nil
}

// divide ends a segment where its file ends, after an error: what is still to be
// written begins a new one.
func (l *diskLog) divide(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := s.disk
	if d.drained == s.first && !d.removed { // there is nothing in the file
		_ = d.file.Close()
		d.file, d.unnamed = nil, false
		return
	}
	d.ended = true
	l.endSegment(s)
}

// endSegment makes what is still to be written of s a segment of its own; mu is held.
func (l *diskLog) endSegment(s *segment) {
	d := s.disk
	i := slices.Index(l.segments, s)
	if i < 0 || d.drained == s.end && s.full {
		return
	}
	rest := &segment{first: d.drained, end: s.end, start: s.start + uint64(d.bytes), size: s.size - d.bytes}
	rest.disk = &diskSegment{drained: rest.first}
	rest.full, rest.room = s.full, s.room
	if s.full {
		l.charged += l.charge(rest) - l.charge(s)
	}
	s.end, s.size, s.full = d.drained, d.bytes, true
	l.charged += l.charge(s)
	l.segments = slices.Insert(l.segments, i+1, rest)
	for _, p := range l.places {
		if p.in == s && p.at >= s.end {
			p.in, p.off = nil, -1
		}
	}
}

// fallBack moves what is in the ring into memory, where that is wanted.
func (l *diskLog) fallBack() {
	ring := l.ring.Load()
	if l.opts.fallback == 0 || ring == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.heapBytes < l.opts.fallback && l.at < ring.Tail() {
		s := l.toDrain()
		if s == nil || s.disk.file != nil {
			return
		}
		next, err := ring.Each(l.at, ring.Extent(), func(r wal.Record) bool {
			if r.Seq < l.drained {
				return true
			}
			if r.Seq >= s.end || l.heapBytes >= l.opts.fallback {
				return false
			}
			r.Body = slices.Clone(r.Body)
			n := int64(diskCost(len(r.Body)))
			s.disk.heap = append(s.disk.heap, r)
			s.disk.drained, s.disk.bytes = r.Seq+1, s.disk.bytes+n
			l.drained, l.heapBytes = r.Seq+1, l.heapBytes+n
			return true
		})
		if err != nil || next == l.at {
			return
		}
		l.at = next
		if !l.held {
			ring.Release(next)
		}
	}
	if l.starved {
		l.starved = false
		l.invite()
	}
}

// takeRound returns the round of sync that is to be served.
func (l *diskLog) takeRound() *syncRound {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.round
	l.round = nil
	return r
}

// callRound asks for a round of sync for which nobody waits.
func (l *diskLog) callRound() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.round == nil {
		l.round = &syncRound{done: make(chan struct{})}
	}
}

// serve syncs what was drained, for all who wait.
func (l *diskLog) serve(r *syncRound, drained error) {
	r.err = errors.Join(drained, l.syncSegments())
	l.mu.Lock()
	if slices.ContainsFunc(l.segments, func(s *segment) bool { return s.disk != nil && s.disk.atRisk }) {
		r.risk = errAtRisk
	}
	if r.err == nil && l.firstHeap() != nil {
		r.err = l.fault
	}
	l.mu.Unlock()
	close(r.done)
	_ = l.saveCursors(true) // for which nobody waits: they may be behind after a loss of power
}

var errAtRisk = errors.New("an earlier sync failed, and what it had to write may be lost with the power")

// syncSegments syncs the files that were written to.
func (l *diskLog) syncSegments() error {
	l.mu.Lock()
	var dirty []*segment
	names := false
	for _, s := range l.segments {
		if d := s.disk; d != nil && d.file != nil && d.unsynced {
			d.unsynced = false
			names = names || d.unnamed
			dirty = append(dirty, s)
		}
	}
	l.mu.Unlock()
	var err error
	for _, s := range dirty {
		if syncErr := s.disk.file.Sync(); syncErr != nil {
			l.failSync(s, syncErr)
			err = errors.Join(err, syncErr)
		}
	}
	if !names {
		return err
	}
	if nameErr := l.slot.FS.SyncDir(l.slot.SegmentsDir()); nameErr != nil {
		l.mu.Lock()
		for _, s := range dirty {
			s.disk.unsynced = true // asks for another try
		}
		l.mu.Unlock()
		return errors.Join(err, nameErr)
	}
	l.mu.Lock()
	for _, s := range dirty {
		s.disk.unnamed = false
	}
	l.mu.Unlock()
	return err
}

// failSync notes that nothing can be assumed about the file of s any more.
func (l *diskLog) failSync(s *segment, err error) {
	l.drains.Lock()
	defer l.drains.Unlock()
	l.mu.Lock()
	s.disk.atRisk = true
	l.risked = true
	l.mu.Unlock()
	l.divide(s)
	l.complain("a sync failed: what was not synced before is at risk", err)
}

// settleNames writes who the slot is, and brings the names of its files to the disk, where
// that failed when the log was opened.
func (l *diskLog) settleNames() error {
	l.mu.Lock()
	unsaved := l.unsaved
	places := slices.Clone(l.places)
	l.mu.Unlock()
	l.files.Lock()
	defer l.files.Unlock()
	for _, p := range places {
		if p.disk.file == nil || p.disk.unnamed {
			unsaved = true
			if err := l.save(p, true); err != nil {
				return err
			}
		}
	}
	if !unsaved {
		return nil
	}
	for _, p := range places {
		if err := p.disk.file.Sync(); err != nil {
			return err
		}
	}
	if err := errors.Join(l.slot.Save(), l.slot.SyncNames()); err != nil {
		return err
	}
	for _, p := range places {
		p.disk.unnamed = false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsaved, l.cursorless = false, false
	l.invite()
	return nil
}

// behind tells whether there is something to be synced.
func (l *diskLog) behind() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.segments, func(s *segment) bool { return s.disk != nil && s.disk.unsynced }) || l.fault != nil
}

// saveCursors writes down where the destinations stand.
func (l *diskLog) saveCursors(sync bool) error {
	l.mu.Lock()
	places := slices.Clone(l.places)
	l.mu.Unlock()
	l.files.Lock()
	defer l.files.Unlock()
	var errs []error
	for _, p := range places {
		err := l.save(p, false)
		if err == nil && sync && p.disk.file != nil {
			err = p.disk.file.Sync()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// mostGarbage is how many files may wait for a cursor that cannot be synced: the disk is
// to stay within its bound.
const mostGarbage = 16

// collect removes the files of segments that are gone, behind the cursors that have
// passed them. It returns false if it has to be called again.
func (l *diskLog) collect() bool {
	l.mu.Lock()
	garbage := l.garbage
	l.garbage = nil
	l.mu.Unlock()
	if len(garbage) == 0 {
		return true
	}
	if err := l.saveCursors(true); err != nil && len(garbage) < mostGarbage {
		l.complain("a cursor cannot be written", err)
		l.mu.Lock()
		l.garbage = append(garbage, l.garbage...)
		l.mu.Unlock()
		return false
	}
	l.drains.Lock()
	defer l.drains.Unlock()
	for _, s := range garbage {
		l.mu.Lock()
		file := s.disk.file
		s.disk.file = nil
		l.mu.Unlock()
		if file == nil {
			continue
		}
		if err := errors.Join(file.Close(), l.slot.FS.Remove(file.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.complain("a segment cannot be removed", err)
		}
	}
	return true
}

// discard is called for a segment that is gone.
func (l *diskLog) discard(s *segment) {
	if s.disk == nil {
		return
	}
	s.disk.removed = true
	if s.disk.heap != nil {
		l.heapBytes -= s.disk.bytes
		s.disk.heap = nil
	}
	l.garbage = append(l.garbage, s)
	poke(l.kick)
}

// watch sees whether the slot is still there, and bounds the log by what is free on the
// disk.
func (l *diskLog) watch() {
	l.recoverNames()
	l.bound()
}

func (l *diskLog) bound() {
	free, err := l.slot.FS.Free(l.slot.Path)
	if err != nil {
		free = freeCeiling
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ring := l.ring.Load(); ring != nil { // which has its place on the disk already
		free += int64(ring.Room())
	}
	l.limit = max(min(l.opts.limit, l.charged+free-l.opts.minFree), 0)
	l.invite()
}

// watchPause is how long to wait for the next look: short while the log is bounded by
// the disk.
func (l *diskLog) watchPause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit < l.opts.limit || l.fault != nil {
		return time.Second
	}
	return watchPause
}

// quarantine keeps a copy of what is damaged, and reports it.
func (l *diskLog) quarantine(file *wal.Segment, d wal.Damage) {
	b := file.Raw(d)
	l.slot.Quarantine(file.Name(), d.Off, b, "no frame, or one with a wrong checksum")
	l.mu.Lock()
	l.counts.quarantined++
	l.mu.Unlock()
	l.log.Error("spool: a part of a segment is damaged", "file", file.Name(), "offset", d.Off, "bytes", d.Len)
}

// shut drains and closes the log. If ctx ends before everything is written, what is in
// the ring is left to the next process.
func (l *diskLog) shut(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- l.shutDown(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(abandonAfter)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
		return fmt.Errorf("spool: %s does not answer and was abandoned", l.slot.Path)
	}
}

func (l *diskLog) shutDown(ctx context.Context) error {
	close(l.stop)
	<-l.gone
	l.close()
	err := l.drain()
	if r := l.takeRound(); r != nil {
		l.serve(r, errors.Join(err, l.settleNames()))
	}
	if l.saveCursors(true) == nil {
		l.removeFinished()
	}
	collected := l.collect()
	clean := err == nil && collected && !l.risked && !l.unsaved
	if ctx.Err() == nil && l.opts.mode != Never {
		clean = clean && l.syncSegments() == nil && l.saveCursors(true) == nil
	} else {
		clean = false
		_ = l.saveCursors(false)
	}
	l.mu.Lock()
	l.stopped = true
	late := l.round
	l.round = nil
	segments, places := l.segments, l.places
	ring := l.ring.Load()
	empty := err == nil && !l.held
	l.mu.Unlock()
	if late != nil {
		late.err = ErrClosed
		close(late.done)
	}
	l.drains.Lock()
	defer l.drains.Unlock()
	l.recent.Clear()
	for _, s := range segments {
		if s.disk != nil && s.disk.file != nil {
			_ = s.disk.file.Close()
		}
	}
	l.files.Lock()
	l.sealed = true
	for _, p := range places {
		if p.disk.file != nil {
			_ = p.disk.file.Close()
		}
	}
	l.files.Unlock()
	if ring != nil {
		if empty {
			clean = errors.Join(ring.Restart(l.slot.ID.Slot), ring.Mark(l.next)) == nil && clean
		}
		_ = ring.Close()
	}
	if clean {
		l.slot.ID.Clean, l.slot.ID.Next = true, l.next
		_ = l.slot.Save()
	}
	return l.slot.Unlock()
}

// removeFinished lets all segments go if everything in them is finished.
func (l *diskLog) removeFinished() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.places, func(p *place) bool { return p.done < l.next }) || len(l.places) == 0 {
		return
	}
	for _, s := range l.segments {
		l.discard(s)
	}
	l.segments = nil
}
