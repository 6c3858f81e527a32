package main

import (
	"slices"
	"sync"

	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

// account says what became of the events of a task.
type account struct {
	Accepted   int // calls that returned without an error
	Refused    int // calls that said no
	Delivered  int // distinct events that arrived
	Kept       int // distinct events that arrived in the next run
	Reported   int // that the library says it did not deliver
	Lost       int // accepted, neither delivered, now or later, nor reported
	Duplicates int
}

// ledger collects what becomes of events.
type ledger struct {
	accepted, refused int
	ids               []uint64 // of those accepted, where the ids are ours

	mu        sync.Mutex
	keep      bool // ids are worth keeping
	failed    map[uint64]struct{}
	anonymous int // failed without an id, or not kept
}

// called enters a call. It returns errors that are not about room.
func (l *ledger) called(id uint64, err error) error {
	switch err {
	case nil:
		l.accepted++
		if id != 0 {
			l.ids = append(l.ids, id)
		}
		return nil
	case sdk.ErrRefused:
		l.refused++
		return nil
	}
	return err
}

// outcome enters what a library tells of an event.
func (l *ledger) outcome(id string, n int, delivered bool) {
	if delivered {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == "" || !l.keep {
		l.anonymous += n
		return
	}
	if l.failed == nil {
		l.failed = make(map[uint64]struct{})
	}
	l.failed[receiver.Hash(id)] = struct{}{}
}

// balance settles. delivered are the distinct ids that arrived; dropped is the
// library's own count of what it dropped, -1 if it has none.
func (l *ledger) balance(r receiver.Report, delivered []uint64, dropped int) account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := account{Accepted: l.accepted, Refused: l.refused, Delivered: len(delivered), Reported: len(l.failed) + l.anonymous}
	if dropped > a.Reported { // callbacks that had no room are counted all the same
		l.anonymous += dropped - a.Reported
		a.Reported = dropped
	}
	a.Duplicates = r.Messages - a.Delivered
	if len(l.ids) == 0 {
		if len(delivered) <= 1 { // ids are made by the server
			a.Delivered, a.Duplicates = r.Messages, 0
		}
		a.Lost = max(a.Accepted-a.Delivered-a.Reported, 0)
		return a
	}
	slices.Sort(delivered)
	for _, id := range l.ids {
		_, arrived := slices.BinarySearch(delivered, id)
		if _, known := l.failed[id]; !arrived && !known {
			a.Lost++
		}
	}
	a.Lost = max(a.Lost-l.anonymous, 0)
	return a
}

// known are those of some ids that were accepted.
func (l *ledger) known(ids []uint64) (some []uint64) {
	accepted := make(map[uint64]struct{}, len(l.ids))
	for _, id := range l.ids {
		accepted[id] = struct{}{}
	}
	for _, id := range ids {
		if _, ok := accepted[id]; ok {
			some = append(some, id)
		}
	}
	return some
}
