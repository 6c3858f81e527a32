package main

import (
	"time"

	"github.com/nsqio/go-diskqueue"
)

// diskqueueStore is the queue of NSQ with NSQ's settings: 100 MB a file, a sync after
// 2,500 operations or two seconds. It has no sync to call; one that is opened for syncs
// does them after as many operations as a batch has events, before it does anything
// else, so that an answered question says that it has. What is read is finished.
type diskqueueStore struct {
	q      diskqueue.Interface
	synced bool
	timer  *time.Timer
}

func openDiskqueue(o options) (store, error) {
	every := int64(2500)
	if o.synced {
		every = int64(o.batch)
	}
	size := int64(100 << 20)
	if o.small {
		size = 4 << 20
	}
	silent := func(diskqueue.LogLevel, string, ...any) {}
	q := diskqueue.New("events", o.dir, size, 1, 1<<20, every, 2*time.Second, silent)
	return &diskqueueStore{q: q, synced: o.synced, timer: time.NewTimer(time.Hour)}, nil
}

func (d *diskqueueStore) append(batch [][]byte) error {
	for _, e := range batch {
		if err := d.q.Put(e); err != nil {
			return err
		}
	}
	return nil
}

func (d *diskqueueStore) sync() error {
	d.q.Depth()
	return nil
}

// read waits a moment for the goroutine that reads ahead. The depth counts what was
// in the queue when its state was last stored, so that none does not mean empty.
func (d *diskqueueStore) read(limit int) (out [][]byte, err error) {
	wait := 5 * time.Millisecond
	if depth := int(d.q.Depth()); depth > 0 {
		limit, wait = min(limit, depth), 200*time.Millisecond
	}
	d.timer.Reset(wait)
	for len(out) < limit {
		select {
		case e := <-d.q.ReadChan():
			out = append(out, e)
		case <-d.timer.C:
			return out, nil
		}
	}
	return out, nil
}

func (d *diskqueueStore) commit() error { return nil }

func (d *diskqueueStore) close() error { return d.q.Close() }
