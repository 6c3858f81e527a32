package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// An Identity is somebody whose data is to be erased: by either id.
type Identity struct {
	UserID      string `json:"userId,omitempty"`
	AnonymousID string `json:"anonymousId,omitempty"`
}

// Forgotten says what Forget erased.
type Forgotten struct {
	// Tables are the rows by table, with "source." in front where the source is another.
	Tables map[string]int64 `json:"tables"`
}

// Rows is how many rows were erased.
func (f *Forgotten) Rows() (n int64) {
	for _, rows := range f.Tables {
		n += rows
	}
	return n
}

// Forget erases the rows of somebody, in one transaction: of the tables of events those
// with the user id or the anonymous id, of aliases also those with the former id, and
// the row of users. Other tables of objects hold no users. It looks into the schemas of all
// sources that this destination has loaded.
//
// What is in the log and not yet loaded comes into the tables afterwards: have the user
// suppressed first, and call SyncNow. The database itself may keep erased rows in its
// own log and in free pages for a while.
func (d *Destination) Forget(ctx context.Context, who ...Identity) (Forgotten, error) {
	report := Forgotten{Tables: make(map[string]int64)}
	var users, visitors []string
	for i, w := range who {
		if w == (Identity{}) {
			return report, &analytics.InvalidError{Field: fmt.Sprintf("who[%d]", i), Reason: "has neither UserID nor AnonymousID"}
		}
		users, visitors = addText(users, cleanKey(jsontext.Plain(w.UserID))), addText(visitors, cleanKey(jsontext.Plain(w.AnonymousID)))
	}
	err := d.within(ctx, func(tx Tx) error {
		schemas, err := d.schemas(ctx, tx)
		if err != nil {
			return err
		}
		for _, schema := range schemas {
			if err := d.forgetIn(ctx, tx, schema, users, visitors, &report); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Forgotten{}, fmt.Errorf("warehouse: forget: %w", err)
	}
	return report, nil
}

// schemas are those of all sources that were loaded.
func (d *Destination) schemas(ctx context.Context, tx Tx) ([]string, error) {
	schemas := []string{d.home}
	if _, _, err := d.loader.position(ctx, tx, analytics.LogID{}); err != nil || !d.loader.ready {
		return schemas, err
	}
	err := tx.Read(ctx, d.home, tablePositions, []string{"id"}, Query{}, func(v []Value) error {
		if name, ok := strings.CutPrefix(v[0].S, rowSource); ok {
			schemas = append(schemas, cloned(name))
		}
		return nil
	})
	return schemas, err
}

func addText(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func (d *Destination) forgetIn(ctx context.Context, tx Tx, schema string, users, visitors []string, report *Forgotten) error {
	tables, err := tx.Tables(ctx, schema)
	if err != nil {
		return err
	}
	for _, t := range tables {
		name := t.Name
		if schema != d.home {
			name = schema + "." + t.Name
		}
		erase := func(column string, ids []string) error {
			if c, ok := t.Column(column); !ok || c.Kind != String || len(ids) == 0 {
				return nil
			}
			n, err := tx.Delete(ctx, schema, t.Name, column, ids)
			if n > 0 {
				report.Tables[name] += n
			}
			return err
		}
		for _, by := range d.erasures(&t, users, visitors) {
			if err := erase(by.column, by.ids); err != nil {
				return err
			}
		}
	}
	return nil
}

type erasure struct {
	column string
	ids    []string
}

// erasures are the columns of a table that say whose a row is.
func (d *Destination) erasures(t *Table, users, visitors []string) []erasure {
	switch {
	case internal(t.Name):
		return nil
	case t.Name == tableUsers:
		return []erasure{{"id", users}}
	case stem(t).objects:
		return nil
	case t.Name == tableAliases:
		return []erasure{{"user_id", users}, {"anonymous_id", visitors}, {"previous_id", slices.Concat(users, visitors)}}
	}
	return []erasure{{"user_id", users}, {"anonymous_id", visitors}}
}
