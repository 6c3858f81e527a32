package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

func TestConforms(t *testing.T) {
	warehousetest.Run(t, setup())
}

func TestGolden(t *testing.T) {
	warehousetest.Golden(t, setup())
}

func setup() warehousetest.Setup {
	return warehousetest.Setup{
		New: func(t *testing.T) warehouse.Store {
			return &sqlite.Store{Path: filepath.Join(t.TempDir(), "events.db")}
		},
		Again: func(_ *testing.T, first warehouse.Store) warehouse.Store {
			return &sqlite.Store{Path: first.(*sqlite.Store).Path}
		},
		OneWriter: true,
		Take: func(t *testing.T, s warehouse.Store, schema, name string) error {
			return raw(t, s.(*sqlite.Store).Path).Exec(fmt.Sprintf(`CREATE VIEW "%s__%s" AS SELECT 1`, schema, name))
		},
	}
}
