package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

func (r *run) sqlite() (figures []page.Figure, err error) {
	err = r.in(func(dir string) error {
		figures, err = r.sqliteIn(dir)
		return err
	})
	return figures, err
}

func (r *run) sqliteIn(dir string) (figures []page.Figure, err error) {
	theirs, ours := filepath.Join(dir, "hand.db"), filepath.Join(dir, "ours.db")
	hand := &sqliteHand{file: theirs}
	defer func() { err = errors.Join(err, hand.close()) }()
	l, err := r.compare(&sqlite.Store{Path: ours}, hand)
	if err != nil {
		return nil, err
	}
	mine, err := sqliteContents(ours, source+"__")
	if err != nil {
		return nil, err
	}
	other, err := sqliteContents(theirs, "")
	if err = errors.Join(err, l.check(other, mine)); err != nil {
		return nil, err
	}
	var sizes []string
	for _, t := range hand.tables {
		sizes = append(sizes, fmt.Sprintf("%d for %s", t.size, t.name))
	}
	return l.figures("SQLite", "the driver with statements of many rows ("+strings.Join(sizes, ", ")+")"), nil
}

func sqliteContents(file, prefix string) (c contents, err error) {
	conn, err := sqlite3.Open("file:" + filepath.ToSlash(file))
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	s, _, err := conn.Prepare(fmt.Sprintf("SELECT count(*), sum(CAST(round(revenue * 100) AS INTEGER)), (SELECT count(*) FROM %stracks) FROM %[1]s%s", prefix, eventTable))
	if err != nil {
		return c, err
	}
	defer s.Close()
	if s.Step() {
		c.Events, c.Cents, c.Tracks = s.ColumnInt64(0), s.ColumnInt64(1), s.ColumnInt64(2)
	}
	return c, s.Err()
}

// sqliteHand loads with prepared statements of many rows.
type sqliteHand struct {
	file   string
	conn   *sqlite3.Conn
	tables []inserted
}

// inserted is a table, its statements and the rows that are ready for it.
type inserted struct {
	prepared
	size       int // rows of a statement
	many, rest *sqlite3.Stmt
}

// sqliteSizes are the rows of a statement that are tried.
var sqliteSizes = []int{32, 64, 128, 192, 256, 512}

var sqliteTypes = map[warehouse.Kind]string{
	warehouse.Bool: "BOOLEAN", warehouse.Int: "INTEGER", warehouse.Float: "REAL",
	warehouse.Time: "TIMESTAMP", warehouse.String: "TEXT", warehouse.JSON: "JSON TEXT",
}

// setup finds how many rows a statement is to have.
func (h *sqliteHand) setup(ctx context.Context, tables []prepared, tries int) (err error) {
	h.ready(tables)
	made := h.tables
	for i := range made {
		var best time.Duration
		made[i].size = sqliteSizes[2]
		for range tries {
			for _, size := range sqliteSizes {
				took, err := h.try(ctx, made[i].prepared, size)
				if err != nil {
					return err
				}
				if best == 0 || took < best {
					best, made[i].size = took, size
				}
			}
		}
	}
	h.tables = made
	return h.open()
}

// try measures one load into a file of its own.
func (h *sqliteHand) try(ctx context.Context, p prepared, size int) (took time.Duration, err error) {
	one := &sqliteHand{file: h.file + ".try", tables: []inserted{{prepared: p, size: size}}}
	defer func() {
		err = errors.Join(err, one.close())
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if e := os.Remove(one.file + suffix); e != nil && !errors.Is(e, os.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}()
	if err := one.open(); err != nil {
		return 0, err
	}
	start := time.Now()
	err = one.load(ctx)
	return time.Since(start), err
}

// open makes the file with the pragmas of the store, its tables and the statements.
func (h *sqliteHand) open() (err error) {
	if h.conn, err = sqlite3.Open("file:" + filepath.ToSlash(h.file)); err != nil {
		return err
	}
	err = h.conn.Exec(`PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;
		PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 8192`)
	for i := range h.tables {
		t := &h.tables[i]
		var names []string
		for _, c := range t.columns {
			names = append(names, `"`+c.Name+`" `+sqliteTypes[c.Kind])
		}
		names[0] += " NOT NULL PRIMARY KEY"
		err = errors.Join(err, h.conn.Exec("CREATE TABLE "+t.name+" ("+strings.Join(names, ", ")+")"))
		if err != nil {
			return err
		}
		if t.many, err = h.prepare(t, t.size); err != nil {
			return err
		}
		if n := len(t.rows) % t.size; n > 0 {
			if t.rest, err = h.prepare(t, n); err != nil {
				return err
			}
		}
	}
	return err
}

func (h *sqliteHand) prepare(t *inserted, rows int) (*sqlite3.Stmt, error) {
	row := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	s, _, err := h.conn.PrepareFlags("INSERT OR ROLLBACK INTO "+t.name+" VALUES "+row+strings.Repeat(", "+row, rows-1)+
		" ON CONFLICT (id) DO NOTHING", sqlite3.PREPARE_PERSISTENT)
	return s, err
}

// close is for what open has made, all of it or not.
func (h *sqliteHand) close() (err error) {
	if h.conn == nil {
		return nil
	}
	for _, t := range h.tables {
		for _, s := range []*sqlite3.Stmt{t.many, t.rest} {
			if s != nil {
				err = errors.Join(err, s.Close())
			}
		}
	}
	return errors.Join(err, h.conn.Close())
}

const sqliteTime = "2006-01-02 15:04:05.000000Z"

func (h *sqliteHand) ready(tables []prepared) {
	if h.tables == nil {
		h.tables = make([]inserted, len(tables))
	}
	for i, t := range tables {
		h.tables[i].prepared = t
		for _, row := range t.rows {
			for k, v := range row {
				if v.Kind == warehouse.Time {
					row[k] = warehouse.StringValue(v.Time().Format(sqliteTime))
				}
			}
		}
	}
}

func (h *sqliteHand) load(context.Context) error {
	if err := h.conn.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for i := range h.tables {
		if err := h.tables[i].insert(); err != nil {
			return err
		}
	}
	return h.conn.Exec("COMMIT")
}

func (t *inserted) insert() error {
	for from := 0; from < len(t.rows); from += t.size {
		s, rows := t.many, t.rows[from:]
		if len(rows) >= t.size {
			rows = rows[:t.size]
		} else {
			s = t.rest
		}
		for i, row := range rows {
			if err := bind(s, i*len(row), row); err != nil {
				return err
			}
		}
		if err := s.Exec(); err != nil {
			return err
		}
	}
	return nil
}

func bind(s *sqlite3.Stmt, at int, row []warehouse.Value) (err error) {
	for i := range row {
		v, n := &row[i], at+i+1
		switch v.Kind {
		case warehouse.Null:
			err = s.BindNull(n)
		case warehouse.Float:
			err = s.BindFloat(n, v.Float())
		case warehouse.String, warehouse.JSON:
			err = s.BindText(n, v.S)
		default:
			err = s.BindInt64(n, v.N)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
