package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleStore keeps events under increasing keys, one write batch for each of ours,
// and deletes by range, which the package advises over single deletions. Its log of
// writes is handed to the kernel by a goroutine: without a sync the death of the
// process can take what append returned nil for.
type pebbleStore struct {
	db         *pebble.DB
	seq        uint64 // of the last event appended
	from, last uint64 // first key not committed, last key read
}

func openPebble(o options) (store, error) {
	db, err := pebble.Open(o.dir, &pebble.Options{Logger: quiet{}})
	if err != nil {
		return nil, err
	}
	p := &pebbleStore{db: db}
	if err := p.bounds(); err != nil {
		_ = db.Close()
		return nil, err
	}
	return p, nil
}

// bounds finds the first and last key.
func (p *pebbleStore) bounds() error {
	it, err := p.db.NewIter(nil)
	if err != nil {
		return err
	}
	if it.First() {
		p.from = binary.BigEndian.Uint64(it.Key())
		p.last = p.from - 1
	}
	if it.Last() {
		p.seq = binary.BigEndian.Uint64(it.Key())
	}
	return errors.Join(it.Error(), it.Close())
}

func (p *pebbleStore) append(batch [][]byte) error {
	b := p.db.NewBatch()
	for i, e := range batch {
		if err := b.Set(key(p.seq+uint64(i)+1), e, nil); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	if err := p.db.Apply(b, pebble.NoSync); err != nil {
		return err
	}
	p.seq += uint64(len(batch))
	return b.Close()
}

// sync writes an empty record to the log and waits for it, and so for all before.
func (p *pebbleStore) sync() error { return p.db.LogData(nil, pebble.Sync) }

func (p *pebbleStore) read(limit int) (out [][]byte, err error) {
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: key(p.last + 1)})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok && len(out) < limit; ok = it.Next() {
		p.last = binary.BigEndian.Uint64(it.Key())
		out = append(out, append([]byte(nil), it.Value()...))
	}
	return out, errors.Join(it.Error(), it.Close())
}

func (p *pebbleStore) commit() error {
	if err := p.db.DeleteRange(key(p.from), key(p.last+1), pebble.NoSync); err != nil {
		return err
	}
	p.from = p.last + 1
	return nil
}

func (p *pebbleStore) close() error { return p.db.Close() }

// quiet is a logger that says only why the process ends.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf is what the package calls where it cannot go on. Its default logger ends the
// process; a panic does too, and says why.
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
