package main

import (
	"encoding/binary"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// boltStore keeps events in one bucket under increasing keys, one transaction a batch.
// Pages are filled to the end and the list of free pages is not written, as the
// package advises where keys only grow; etcd has the same settings.
type boltStore struct {
	db   *bolt.DB
	last uint64 // key of the last event read
}

var boltBucket = []byte("events")

func openBolt(o options) (store, error) {
	db, err := bolt.Open(filepath.Join(o.dir, "events.db"), 0o600, &bolt.Options{
		Timeout:        5 * time.Second, // for the lock of a process that was just killed
		NoSync:         !o.synced,
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
	})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(boltBucket)
		return err
	})
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &boltStore{db: db}, nil
}

func (b *boltStore) append(batch [][]byte) error {
	return b.db.Update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(boltBucket)
		bucket.FillPercent = 1
		for _, e := range batch {
			seq, err := bucket.NextSequence()
			if err != nil {
				return err
			}
			if err := bucket.Put(key(seq), e); err != nil {
				return err
			}
		}
		return nil
	})
}

// sync has nothing to do in a store that was opened for it: a commit syncs, in the
// order that a loss of power asks for.
func (b *boltStore) sync() error {
	if !b.db.NoSync {
		return nil
	}
	return b.db.Sync()
}

func (b *boltStore) read(limit int) (out [][]byte, err error) {
	err = b.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(boltBucket).Cursor()
		for k, v := c.Seek(key(b.last + 1)); k != nil && len(out) < limit; k, v = c.Next() {
			b.last = binary.BigEndian.Uint64(k)
			out = append(out, append([]byte(nil), v...)) // v ends with the transaction
		}
		return nil
	})
	return out, err
}

func (b *boltStore) commit() error {
	return b.db.Update(func(tx *bolt.Tx) error {
		c := tx.Bucket(boltBucket).Cursor()
		for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k) <= b.last; k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *boltStore) close() error { return b.db.Close() }

// key sorts as the number does.
func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }
