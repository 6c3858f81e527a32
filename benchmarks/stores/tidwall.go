package main

import (
	"errors"
	"path/filepath"

	"github.com/tidwall/wal"
)

// tidwallStore is a log with an index for each entry. Dropping its front copies what
// is left of a segment, so it is done once a segment's worth is finished and at close;
// in between, a small file remembers how far events are finished.
type tidwallStore struct {
	log    *wal.Log
	mark   *mark
	next   uint64 // index of the next event to append
	last   uint64 // index of the last event read
	behind int    // bytes finished since the front was dropped
	batch  wal.Batch
}

func openTidwall(o options) (store, error) {
	log, err := wal.Open(filepath.Join(o.dir, "log"), &wal.Options{NoSync: true, AllowEmpty: true})
	if err != nil {
		return nil, err
	}
	t := &tidwallStore{log: log}
	if err := t.find(o.dir); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return t, nil
}

func (t *tidwallStore) find(dir string) (err error) {
	last, err := t.log.LastIndex()
	if err != nil {
		return err
	}
	first, err := t.log.FirstIndex()
	if err != nil {
		return err
	}
	if t.mark, err = openMark(dir); err != nil {
		return err
	}
	t.next = last + 1
	t.last = min(last, max(t.mark.value, max(first, 1)-1))
	return nil
}

func (t *tidwallStore) append(batch [][]byte) error {
	t.batch.Clear()
	for i, e := range batch {
		t.batch.Write(t.next+uint64(i), e)
	}
	if err := t.log.WriteBatch(&t.batch); err != nil {
		return err
	}
	t.next += uint64(len(batch))
	return nil
}

func (t *tidwallStore) sync() error { return t.log.Sync() }

func (t *tidwallStore) read(limit int) (out [][]byte, err error) {
	end, err := t.log.LastIndex()
	if err != nil {
		return nil, err
	}
	for t.last < end && len(out) < limit {
		e, err := t.log.Read(t.last + 1)
		if err != nil {
			return out, err
		}
		t.last++
		t.behind += len(e)
		out = append(out, e)
	}
	return out, nil
}

func (t *tidwallStore) commit() error {
	if err := t.mark.set(t.last); err != nil {
		return err
	}
	if t.behind < 20<<20 { // the default size of a segment
		return nil
	}
	t.behind = 0
	return t.log.TruncateFront(t.last + 1)
}

func (t *tidwallStore) close() error {
	var err error
	if t.mark.value > 0 {
		err = t.log.TruncateFront(t.mark.value + 1)
	}
	return errors.Join(err, t.log.Close(), t.mark.file.Close())
}
