package sqlite

import (
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// statements keeps prepared statements, since preparing one costs as much as running it:
// those used last, of so many variables in all that they take about 8 MiB.
type statements struct {
	byKey     map[string]*statement
	variables int
	uses      uint64
}

const (
	maxVariables = 128 << 10
	minVariables = 64 // what any statement costs
)

type statement struct {
	*sqlite3.Stmt
	variables int
	used      uint64
	bound     []bool // of a writer: which variables are not NULL
}

// statement returns the statement of that key, for which sql is asked once. Columns that
// are read count as variables.
func (c *conn) statement(key []byte, variables int, sql func() string) (*statement, error) {
	c.uses++
	if s := c.byKey[string(key)]; s != nil {
		s.used = c.uses
		return s, nil
	}
	variables = max(variables, minVariables)
	for len(c.byKey) > 0 && c.variables+variables > maxVariables {
		c.evict()
	}
	prepared, _, err := c.PrepareFlags(sql(), sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	if c.byKey == nil {
		c.byKey = map[string]*statement{}
	}
	s := &statement{Stmt: prepared, variables: variables, used: c.uses}
	c.byKey[string(key)] = s
	c.variables += variables
	return s, nil
}

// evict closes the statement that was not used for longest.
func (c *conn) evict() {
	var oldest string
	for key, s := range c.byKey {
		if first := c.byKey[oldest]; first == nil || s.used < first.used {
			oldest = key
		}
	}
	s := c.byKey[oldest]
	delete(c.byKey, oldest)
	c.variables -= s.variables
	_ = s.Close()
}

// forget closes them all.
func (c *conn) forget() {
	for _, s := range c.byKey {
		_ = s.Close()
	}
	c.statements = statements{}
}

// rows runs a statement that is seldom needed and calls f for each row.
func (c *conn) rows(sql string, values []string, f func(*sqlite3.Stmt) error) error {
	s, _, err := c.Prepare(sql)
	if err != nil {
		return err
	}
	defer s.Close()
	return each(s, values, f)
}

// each runs a statement with values, and does not keep them.
func each(s *sqlite3.Stmt, values []string, f func(*sqlite3.Stmt) error) (err error) {
	defer func() {
		if e := s.Reset(); err == nil && e != nil {
			err = withoutText(e)
		}
		_ = s.ClearBindings()
	}()
	for i, v := range values {
		if err := s.BindText(i+1, v); err != nil {
			return err
		}
	}
	for s.Step() {
		if err := f(s); err != nil {
			return err
		}
	}
	return withoutText(s.Err())
}

// placeholders makes "?, ?, ?".
func placeholders(n int) string { return strings.Repeat("?, ", n-1) + "?" }
