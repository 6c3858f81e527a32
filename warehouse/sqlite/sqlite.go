package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

// Store is a database in a file. Set Path, give it to a [warehouse.Destination], and
// change nothing afterwards. Several stores may use one file, in one process and in
// many.
type Store struct {
	// Path is the file. It is created with its folder where it is missing; behind a link,
	// without. A relative one counts from the working directory at Open.
	Path string `json:"path"`

	// NoSync keeps commits from waiting until the disk has them, which is a few
	// milliseconds a load. Then the last loads may be gone after a power cut, and the log
	// has let go of their events.
	NoSync bool `json:"noSync,omitempty"`

	mu sync.Mutex
	db *database // nil unless open
}

var _ warehouse.Store = (*Store)(nil)

// Dialect leaves the limits as they are: SQLite has none below them.
func (s *Store) Dialect() warehouse.Dialect {
	return warehouse.Dialect{Name: "sqlite", Schema: defaultSchema}
}

// Open checks Path. The file is opened by Begin.
func (s *Store) Open(context.Context) error {
	switch {
	case s.Path == "":
		return &analytics.InvalidError{Field: "Path", Reason: "is required"}
	case strings.IndexByte(s.Path, 0) >= 0:
		return &analytics.InvalidError{Field: "Path", Reason: "has a NUL in it"}
	}
	file, err := filepath.Abs(s.Path)
	if err != nil {
		return fmt.Errorf("sqlite: open: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		s.db = newDatabase(file, !s.NoSync)
	}
	return nil
}

// Begin starts a transaction. SQLite has one that writes at a time, so it waits for
// every other one on the file, whatever the schema.
func (s *Store) Begin(ctx context.Context, _ string) (warehouse.Tx, error) {
	s.mu.Lock()
	db := s.db
	s.mu.Unlock()
	if db == nil {
		return nil, errors.New("sqlite: begin: the store is not open")
	}
	if err := db.begin(ctx); err != nil {
		return nil, err
	}
	return &Tx{db: db}, nil
}

// Close ends a transaction that goes on, which undoes it, and closes the file. If no
// other program has it open, what is in the WAL goes to the file.
func (s *Store) Close() error {
	s.mu.Lock()
	db := s.db
	s.db = nil
	s.mu.Unlock()
	if db == nil {
		return nil
	}
	return db.close()
}
