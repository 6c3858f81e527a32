package warehousetest_test

import (
	"testing"

	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

func TestGolden(t *testing.T) { warehousetest.Golden(t, memory()) }
