package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// conn is a connection to the file: opened when a transaction begins, and again for the
// next one if something was wrong with it.
type conn struct {
	file string
	sync bool

	*sqlite3.Conn      // nil while it is not open
	statements         // prepared for Conn
	targets            // of this transaction
	wal           bool // the file is in WAL mode, which some file systems cannot bear
	lost          bool // not to be used for another transaction
}

// What the connection takes. A cache of 64 MiB was no faster for a million rows with
// random ids than this one; with it a loader stays below 80 MiB. Pages of 8 KiB cost
// 10 to 20 % less time than those of 4. The WAL is folded in each 64 MiB. The most that
// the driver takes is reached only by a row of maxRowBytes. Where addresses have 32 bits
// the driver has no more than 32 MiB in all.
const (
	pageSize  = 8 << 10
	walSize   = 64 << 20
	cacheSize = (8 + 24*bits64) << 20
	maxMemory = (32 + 160*bits64) << 20

	bits64 = int(^uint(0) >> 63) // 1 where addresses have 64 bits, else 0
)

// run calls f so that it ends with ctx. After a panic of the driver, as it has when its
// memory is exhausted, the connection is not used again.
func (c *conn) run(ctx *callCtx, f func(*conn) error) (err error) {
	done := false
	defer func() {
		c.lost = c.lost || !done || loses(err)
		if c.Conn != nil {
			c.SetInterrupt(context.Background())
		}
	}()
	if c.Conn != nil {
		c.SetInterrupt(ctx)
	}
	err = f(c)
	done = true
	return err
}

// wait is asked when another connection has the lock. Outside of a call nobody waits.
func wait(ctx context.Context, count int) bool {
	call, ok := ctx.(*callCtx)
	return ok && pause(call, count)
}

// begin starts a transaction that may write, in the file that has the name now.
func (c *conn) begin(ctx *callCtx) error {
	if c.Conn != nil && (c.lost || c.moved()) {
		c.drop()
	}
	c.targets = nil // others may have changed tables
	if c.Conn == nil {
		if err := c.open(ctx); err != nil {
			c.drop()
			return err
		}
	}
	if err := c.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if c.moved() {
		c.drop()
		return errMoved
	}
	return nil
}

func (c *conn) open(ctx *callCtx) error {
	if err := create(c.file, syncFolder); err != nil {
		return err
	}
	db, err := sqlite3.OpenContext(sqlite3.WithMaxMemory(ctx, int64(maxMemory)), uri(c.file))
	if err != nil {
		return err
	}
	c.Conn, c.lost = db, false
	c.SetInterrupt(ctx)
	if err := c.BusyHandler(wait); err != nil {
		return err
	}
	return c.configure()
}

func (c *conn) configure() error {
	synchronous := "NORMAL"
	if c.sync {
		synchronous = "FULL"
	}
	var page int
	var mode string
	err := errors.Join(
		c.Exec(fmt.Sprintf(`PRAGMA page_size = %d; PRAGMA synchronous = %s; PRAGMA cache_size = %d;
			PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = %d`, pageSize, synchronous, -cacheSize>>10, walSize)),
		c.rows("PRAGMA journal_mode = WAL", nil, func(s *sqlite3.Stmt) error { mode = s.ColumnText(0); return nil }),
		c.rows("PRAGMA page_size", nil, func(s *sqlite3.Stmt) error { page = s.ColumnInt(0); return nil }),
	)
	if err != nil {
		return err
	}
	c.wal = mode == "wal"
	return c.WALAutoCheckpoint(walSize / max(page, 512))
}

// uri is the file as SQLite takes it, with what gives the WAL the rights of the file.
func uri(file string) string {
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: "modeof=" + strings.ReplaceAll(url.QueryEscape(file), "+", "%20")}
	return u.String()
}

// moved tells whether the name of the file, or of its WAL, belongs to another file by
// now, or to none: what is written to ours is lost.
func (c *conn) moved() bool {
	return c.hasMoved(sqlite3.FCNTL_FILE_POINTER) || c.wal && c.hasMoved(sqlite3.FCNTL_JOURNAL_POINTER)
}

func (c *conn) hasMoved(op sqlite3.FcntlOpcode) bool {
	f, err := c.FileControl("main", op)
	if err != nil {
		return false
	}
	if outer, ok := f.(vfs.FileUnwrap); ok { // the driver adds checksums to the main file
		f = outer.Unwrap()
	}
	inner, ok := f.(vfs.FileHasMoved)
	if !ok {
		return false
	}
	moved, err := inner.HasMoved()
	return moved || err != nil
}

// errMoved is nothing of a caller's doing; the next transaction finds the new file.
var errMoved = errors.New("the file was removed or replaced")

// drop closes the connection for another one to be opened. What it did not commit is
// undone.
func (c *conn) drop() { _ = c.close() }

// close folds the WAL in as far as readers let it; SQLite does that by itself only for
// the last connection.
func (c *conn) close() error {
	if c.Conn == nil {
		return nil
	}
	c.SetInterrupt(context.Background())
	c.forget()
	if !c.GetAutocommit() {
		_ = c.Exec("ROLLBACK")
	}
	_, _, _ = c.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE)
	err := c.Close()
	c.Conn = nil
	return err
}
