package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// raftStore is the log of Consul and Vault. It syncs each append and has no way not
// to. Dropping its front commits to a database, so it is done once a segment's worth is
// finished and at close; in between, a small file remembers how far events are finished.
type raftStore struct {
	log     *wal.WAL
	meta    *metadb.BoltMetaDB // the log does not close it, and it holds a lock
	mark    *mark
	segment int
	next    uint64 // index of the next event to append
	last    uint64 // index of the last event read
	behind  int    // bytes finished since the front was dropped
	logs    []*raft.Log
}

func openRaft(o options) (store, error) {
	dir := filepath.Join(o.dir, "log")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	r := &raftStore{segment: wal.DefaultSegmentSize, meta: &metadb.BoltMetaDB{}}
	if o.small {
		r.segment = 4 << 20
	}
	var err error
	r.log, err = wal.Open(dir, wal.WithSegmentSize(r.segment), wal.WithMetaStore(r.meta), wal.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		return nil, errors.Join(err, r.meta.Close())
	}
	if err := r.find(o.dir); err != nil {
		return nil, errors.Join(err, r.log.Close(), r.meta.Close())
	}
	return r, nil
}

func (r *raftStore) find(dir string) (err error) {
	if r.mark, err = openMark(dir); err != nil {
		return err
	}
	first, err := r.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := r.log.LastIndex()
	if err != nil {
		return err
	}
	if last == 0 { // empty: any index may come next
		r.next, r.last = r.mark.value+1, r.mark.value
		return nil
	}
	r.next, r.last = last+1, min(last, max(r.mark.value, first-1))
	return nil
}

func (r *raftStore) append(batch [][]byte) error {
	for len(r.logs) < len(batch) {
		r.logs = append(r.logs, &raft.Log{})
	}
	for i, e := range batch {
		r.logs[i].Index, r.logs[i].Data = r.next+uint64(i), e
	}
	if err := r.log.StoreLogs(r.logs[:len(batch)]); err != nil {
		return err
	}
	r.next += uint64(len(batch))
	return nil
}

func (r *raftStore) sync() error { return nil }

func (r *raftStore) read(limit int) (out [][]byte, err error) {
	end, err := r.log.LastIndex()
	if err != nil {
		return nil, err
	}
	for r.last < end && len(out) < limit {
		var l raft.Log
		if err := r.log.GetLog(r.last+1, &l); err != nil {
			return out, err
		}
		r.last++
		r.behind += len(l.Data)
		out = append(out, l.Data)
	}
	return out, nil
}

func (r *raftStore) commit() error {
	if err := r.mark.set(r.last); err != nil {
		return err
	}
	if r.behind < r.segment {
		return nil
	}
	r.behind = 0
	return r.log.DeleteRange(0, r.last)
}

func (r *raftStore) close() error {
	var err error
	if r.mark.value > 0 {
		err = r.log.DeleteRange(0, r.mark.value)
	}
	return errors.Join(err, r.log.Close(), r.meta.Close(), r.mark.file.Close())
}
