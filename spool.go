package analytics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
)

// Spool keeps accepted events on disk until every destination has them. Without a Dir
// they are kept in memory.
//
// Several processes may share a directory: each takes a slot of its own in it, and
// delivers within a minute what those have left that have died. What survives what, for
// an event whose call has returned nil:
//
//	                   death of the process   crash of the kernel or loss of power
//	Interval           yes                    if accepted SyncEvery or longer ago
//	Always             yes                    yes
//	Never              yes                    what the kernel happens to have written
//	Client.Sync = nil  yes                    yes
//
// All of it as far as the disk tells the truth: one that says that it has written what
// is still in a cache of its own may lose what Sync has returned for. An event that
// lies in a ring in RingDir is as safe from power loss as that directory until it is
// drained, which takes milliseconds.
type Spool struct {
	// Dir is the directory, made if it is missing. It should be on a local disk: on
	// others (and on Windows) each call makes a system call.
	Dir string

	// ID says whose events these are: only a client with the same one delivers what a
	// dead process has left. Give different programs that share a directory different
	// ones. Without an ID, clients belong together that have a destination in common,
	// unless they have one under the same name with different endpoints; so
	// destinations may come and go.
	ID string

	// RingDir is where the ring of the slot is kept, if not in Dir: on a tmpfs, a disk
	// that stops answering does not stop the calls as long as there is room in the
	// ring. What is in it survives the process but not the machine.
	RingDir string

	// Sync is when events are made to survive a loss of power.
	Sync SyncMode

	// SyncEvery is the time between two syncs of the mode Interval. Zero means a second.
	SyncEvery time.Duration

	// MaxBytes bounds the events on disk, in bytes. The ring of 16 MiB comes on top.
	// Zero means 1 GiB; the least is 1 MiB.
	MaxBytes int64

	// MinFree is how much of the disk is left to others, in bytes: with less, the log
	// grows no more. Zero means 64 MiB; negative means nothing.
	MinFree int64

	// Fallback lets accepted events move on to memory, up to MaxMemory, while the disk
	// refuses to take them. They do not survive the process there, which Stats and the
	// log report. Without it, calls return ErrQueueFull once the ring is full.
	Fallback bool

	settings func(*logSettings) // of tests
	fsys     wal.FS             // of tests
}

// SyncMode says when events are synced to the disk.
type SyncMode uint8

const (
	// Interval syncs every SyncEvery.
	Interval SyncMode = iota

	// Always makes each call wait until its event is synced, together with those of
	// other calls. If ctx ends or the disk fails meanwhile, the call returns
	// ErrNotDurable, and the event stays accepted.
	Always

	// Never leaves it to the system, and to Client.Sync.
	Never
)

const (
	defaultSpoolBytes = 1 << 30
	leastSpoolBytes   = 1 << 20
	defaultMinFree    = 64 << 20
	defaultSyncEvery  = time.Second
	defaultSpoolAge   = 72 * time.Hour
	ringBytes         = 16 << 20
	mostSegment       = 16 << 20
	leastSegment      = 64 << 10
	mostSlots         = 1000
	adoptEvery        = 30 * time.Second
)

func (s Spool) withDefaults() Spool {
	s.SyncEvery = cmp.Or(s.SyncEvery, defaultSyncEvery)
	s.MaxBytes = cmp.Or(s.MaxBytes, defaultSpoolBytes)
	s.MinFree = max(cmp.Or(s.MinFree, defaultMinFree), 0)
	if s.fsys == nil {
		s.fsys = wal.OS{}
	}
	return s
}

func (s *Spool) validate(f *faults) {
	if s.Dir == "" {
		if s.ID != "" || s.RingDir != "" || s.Sync != Interval || s.Fallback {
			f.add("Spool.Dir", "is empty, but other fields of Spool are set")
		}
		return
	}
	if s.Sync > Never {
		f.add("Spool.Sync", "is none of Interval, Always and Never")
	}
	if s.SyncEvery < 0 {
		f.add("Spool.SyncEvery", "is negative")
	}
	if s.MaxBytes < leastSpoolBytes {
		f.add("Spool.MaxBytes", "is %d bytes, want at least %d", s.MaxBytes, leastSpoolBytes)
	}
}

// spool is the directory that a client works in: its own log, and those that it has
// adopted.
type spool struct {
	cfg    *Config
	id     string
	former string // names that its destinations have had
	log    *slog.Logger
	deal   func(eventLog)             // brings an adopted log to the loops
	leave  func(eventLog) (done bool) // takes it away, once nothing in it is unfinished
	own    *diskLog
	stop   chan struct{}
	ended  chan struct{}
	mu     sync.Mutex
	others []*diskLog
	past   spoolCounts     // of logs that were adopted and are used up
	newer  map[string]bool // slots of a newer version that were reported
}

// openSpool takes a slot in the directory.
func openSpool(cfg *Config, descs []Description) (*spool, error) {
	s := &spool{cfg: cfg, id: cfg.spoolID(descs), former: cfg.former(descs), log: cfg.Logger, stop: make(chan struct{}), ended: make(chan struct{}), newer: make(map[string]bool)}
	if err := s.fs().MkdirAll(cfg.Spool.Dir); err != nil {
		return nil, fault("Spool.Dir", err)
	}
	if dir := cfg.Spool.RingDir; dir != "" {
		if err := s.fs().MkdirAll(dir); err != nil {
			return nil, fault("Spool.RingDir", err)
		}
	}
	for n := range mostSlots {
		log, err := s.openSlot(filepath.Join(cfg.Spool.Dir, wal.SlotName(n)), false)
		if err != nil {
			return nil, fault("Spool.Dir", err)
		}
		if log != nil {
			s.own = log
			return s, nil
		}
	}
	return nil, invalid("Spool.Dir", "has %d slots, and all of them are taken", mostSlots)
}

func fault(field string, err error) error { return fmt.Errorf("%s: %w", field, err) }

func (s *spool) fs() wal.FS { return s.cfg.Spool.fsys }

// openSlot opens a slot as our own, or to adopt what is in it. nil: it is not for us.
func (s *spool) openSlot(path string, adopt bool) (*diskLog, error) {
	slot, err := wal.OpenSlot(s.fs(), path)
	switch {
	case errors.Is(err, wal.ErrLocked):
		return nil, nil
	case errors.Is(err, wal.ErrVersion):
		s.report(path)
		return nil, nil
	case err != nil:
		return nil, err
	}
	mine := slot.Fresh || slot.Damaged || s.related(slot.ID.Spool)
	if idle := slot.Idle(); adopt && (idle || !mine) || !adopt && !mine && !idle {
		return nil, slot.Unlock()
	}
	if !adopt {
		slot.ID.Spool = s.id
	}
	log, err := openDiskLog(slot, s.settings(adopt), s.log)
	if err == nil {
		return log, nil
	}
	if errors.Is(err, wal.ErrVersion) {
		s.report(path)
	} else {
		s.log.Error("spool: a slot cannot be read now and is left alone", "slot", path, "error", err)
	}
	return nil, slot.Unlock()
}

func (s *spool) report(path string) {
	if !s.newer[path] {
		s.newer[path] = true
		s.log.Warn("spool: a slot was written by a newer version and is left alone", "slot", path)
	}
}

func (s *spool) settings(adopted bool) logSettings {
	c := &s.cfg.Spool
	o := logSettings{
		mode: c.Sync, interval: c.SyncEvery, minFree: c.MinFree, ringSize: ringBytes, ringDir: c.RingDir,
		unit: min(max(c.MaxBytes/64, leastSegment), mostSegment), limit: c.MaxBytes,
		oldest: s.cfg.WhenFull == DropOldest, adopted: adopted,
	}
	if c.Fallback {
		o.fallback = int64(s.cfg.MaxMemory)
	}
	if c.settings != nil {
		c.settings(&o)
	}
	return o
}

// spoolID is who a client is among those that share a directory, without secrets: what
// the user has said, or its destinations, each a line with name and endpoint.
func (c *Config) spoolID(descs []Description) string {
	if c.Spool.ID != "" {
		return givenID + c.Spool.ID
	}
	var lines []string
	for i, d := range c.Destinations {
		line := strings.ReplaceAll(instanceName(d, descs[i]), "\n", " ") + "\t"
		if cloud, ok := as[*Cloud](d); ok {
			line += cmp.Or(cloud.Endpoint, cloudHosts[cloud.Region])
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

const givenID = "id "

// former are the names that destinations of this client have had, as lines of an ID.
func (c *Config) former(descs []Description) string {
	var lines []string
	for i, d := range c.Destinations {
		for _, name := range formerNames(instanceName(d, descs[i]), descs[i]) {
			lines = append(lines, strings.ReplaceAll(name, "\n", " ")+"\t")
		}
	}
	return strings.Join(lines, "\n")
}

// related tells whether a client may deliver what another has left: the user says so,
// or they have a destination in common and none under one name with two endpoints.
func (s *spool) related(other string) bool {
	if strings.HasPrefix(s.id, givenID) || strings.HasPrefix(other, givenID) {
		return s.id == other
	}
	mine := endpoints(s.former + "\n" + s.id)
	common := false
	for name, endpoint := range endpoints(other) {
		have, ok := mine[name]
		if ok && have != endpoint {
			return false
		}
		common = common || ok
	}
	return common
}

// endpoints takes the lines of an ID apart.
func endpoints(id string) map[string]string {
	m := make(map[string]string)
	for line := range strings.SplitSeq(id, "\n") {
		if name, endpoint, ok := strings.Cut(line, "\t"); ok {
			m[name] = endpoint
		}
	}
	return m
}

// start begins to look after what others leave.
func (s *spool) start(deal func(eventLog), leave func(eventLog) bool) {
	s.deal, s.leave = deal, leave
	go s.run()
}

func (s *spool) run() {
	defer close(s.ended)
	tick := time.NewTicker(adoptEvery)
	defer tick.Stop()
	for {
		s.adopt()
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.release()
	}
}

// adopt takes over what processes have left that are gone.
func (s *spool) adopt() {
	paths, err := wal.Slots(s.fs(), s.cfg.Spool.Dir)
	if err != nil {
		s.own.complain("the directory cannot be read", err)
	}
	for _, path := range paths {
		select {
		case <-s.stop:
			return
		default:
		}
		if path == s.own.slot.Path || s.adopted(path) {
			continue
		}
		log, err := s.openSlot(path, true)
		if err != nil {
			s.own.complain("a slot cannot be adopted", err)
		}
		if log == nil {
			continue
		}
		s.mu.Lock()
		s.others = append(s.others, log)
		s.mu.Unlock()
		s.log.Info("spool: what another process has left is delivered", "slot", path, "events", log.unfinished())
		s.deal(log)
	}
}

func (s *spool) adopted(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.others, func(l *diskLog) bool { return l.slot.Path == path })
}

// release lets go of the adopted logs that are used up.
func (s *spool) release() {
	s.mu.Lock()
	others := slices.Clone(s.others)
	s.mu.Unlock()
	for _, log := range others {
		if !s.leave(log) {
			continue
		}
		if err := log.shut(context.Background()); err != nil {
			s.log.Warn("spool: a slot cannot be closed", "slot", log.slot.Path, "error", err)
		}
		s.mu.Lock()
		s.others = slices.DeleteFunc(s.others, func(l *diskLog) bool { return l == log })
		s.past.recovered += log.counts.recovered
		s.past.quarantined += log.counts.quarantined
		s.mu.Unlock()
	}
}

// quit ends the looking after; no more logs are dealt when it returns.
func (s *spool) quit(ctx context.Context) {
	close(s.stop)
	select {
	case <-s.ended:
	case <-ctx.Done():
		grace := time.NewTimer(abandonAfter)
		defer grace.Stop()
		select {
		case <-s.ended:
		case <-grace.C:
		}
	}
}

// shut closes all logs.
func (s *spool) shut(ctx context.Context) error {
	s.mu.Lock()
	logs := append([]*diskLog{s.own}, s.others...)
	s.mu.Unlock()
	errs := make([]error, len(logs))
	var wg sync.WaitGroup
	for i, log := range logs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = log.shut(ctx)
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// unfinished is how many events the destination furthest behind has before it.
func (l *diskLog) unfinished() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next - min(l.finishedBelow(), l.next)
}

// SpoolStats is the state of a spool.
type SpoolStats struct {
	// Slot is the directory of this process in Spool.Dir. Ring says how calls write:
	// "mapped", "write per call", or "" if there is no ring at present.
	Slot, Ring string

	// Fault is why the disk does not take events just now, nil if it does.
	Fault error

	// InMemory is how many bytes wait in memory for the disk to take them; those that
	// are in the ring as well survive the process. AtRisk is how many events are in files
	// of which a sync has failed.
	InMemory int64
	AtRisk   uint64

	// Recovered is how many events were found in the rings of dead processes, Quarantined
	// how many damaged places were copied aside, and Adopted how many slots of others are
	// being drained at present.
	Recovered, Quarantined uint64
	Adopted                int
}

// stats adds up what the logs know.
func (s *spool) stats() SpoolStats {
	st := SpoolStats{Slot: s.own.slot.Path}
	s.own.describe(&st)
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Adopted = len(s.others)
	st.Recovered, st.Quarantined = st.Recovered+s.past.recovered, st.Quarantined+s.past.quarantined
	for _, log := range s.others {
		log.describe(&st)
	}
	return st
}

// describe adds the state of one log.
func (l *diskLog) describe(st *SpoolStats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ring := l.ring.Load(); ring != nil && !l.opts.adopted && !l.stopped {
		st.Ring = ring.Use().String()
	}
	if st.Fault == nil {
		st.Fault = l.fault
	}
	st.InMemory += l.heapBytes
	for _, s := range l.segments {
		if s.disk != nil && s.disk.atRisk {
			st.AtRisk += s.end - s.first
		}
	}
	st.Recovered += l.counts.recovered
	st.Quarantined += l.counts.quarantined
}
