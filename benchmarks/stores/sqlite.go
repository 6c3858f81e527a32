package main

import (
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"

	_ "modernc.org/sqlite" // the driver
)

// sqliteStore keeps events in one table with the sequence as its row id, one
// transaction a batch, in WAL mode. There is one connection that writes and one that
// reads, so that the reader never waits. NORMAL is the level that SQLite advises for
// WAL: no sync at a commit, one at a checkpoint; with syncs it is FULL. Free pages go
// back to the system once the table is empty.
type sqliteStore struct {
	write, rd *sql.DB
	seq       atomic.Int64 // of the last event appended
	last      int64        // of the last event read
	args      []any
}

// sqliteRows is how many rows one statement inserts.
const sqliteRows = 50

func openSQLite(o options) (store, error) {
	level := "NORMAL"
	if o.synced {
		level = "FULL"
	}
	pragmas := url.Values{"_pragma": {
		"busy_timeout(10000)", "auto_vacuum(INCREMENTAL)", "journal_mode(WAL)", "synchronous(" + level + ")",
		"cache_size(-65536)",
	}, "_txlock": {"immediate"}}
	dsn := "file:" + filepath.Join(o.dir, "events.db") + "?" + pragmas.Encode()
	s := &sqliteStore{}
	for _, db := range []**sql.DB{&s.write, &s.rd} {
		var err error
		if *db, err = sql.Open("sqlite", dsn); err != nil {
			return nil, errors.Join(err, s.close())
		}
		(*db).SetMaxOpenConns(1)
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *sqliteStore) prepare() error {
	if _, err := s.write.Exec("CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)"); err != nil {
		return err
	}
	var last int64
	err := s.write.QueryRow("SELECT coalesce(max(seq), 0) FROM events").Scan(&last)
	s.seq.Store(last)
	return err
}

func (s *sqliteStore) append(batch [][]byte) error {
	tx, err := s.write.Begin()
	if err != nil {
		return err
	}
	seq := s.seq.Load()
	for len(batch) > 0 {
		n := min(sqliteRows, len(batch))
		s.args = s.args[:0]
		for _, e := range batch[:n] {
			seq++
			s.args = append(s.args, seq, e)
		}
		if _, err := tx.Exec("INSERT INTO events VALUES (?, ?)"+strings.Repeat(", (?, ?)", n-1), s.args...); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		batch = batch[n:]
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.seq.Store(seq)
	return nil
}

// sync has nothing to do: with FULL a commit syncs, with NORMAL a checkpoint does.
func (s *sqliteStore) sync() error { return nil }

func (s *sqliteStore) read(limit int) (out [][]byte, err error) {
	rows, err := s.rd.Query("SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", s.last, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&s.last, &body); err != nil {
			return out, err
		}
		out = append(out, body)
	}
	return out, rows.Err()
}

func (s *sqliteStore) commit() error {
	if _, err := s.write.Exec("DELETE FROM events WHERE seq <= ?", s.last); err != nil {
		return err
	}
	if s.last < s.seq.Load() {
		return nil
	}
	rows, err := s.write.Query("PRAGMA incremental_vacuum") // a row a page
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func (s *sqliteStore) close() error {
	var errs []error
	for _, db := range []*sql.DB{s.rd, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
