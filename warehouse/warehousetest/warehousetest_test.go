package warehousetest_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

func TestRun(t *testing.T) { warehousetest.Run(t, memory()) }

func TestGoodStoresPass(t *testing.T) {
	oneWriter := store(func(s *twisted) {})
	oneWriter.OneWriter = true
	oneSchema := prefixing(".")
	oneSchema.Skip = map[string]string{"long-names": "the name of a schema and a table together may be too long"}
	for name, setup := range map[string]warehousetest.Setup{
		"memory":     memory(),
		"untwisted":  store(func(*twisted) {}),
		"one writer": oneWriter,
		"one schema": oneSchema,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, warehousetest.Check(t, setup))
		})
	}
}

// broken is a store that breaks a rule, and the rules that cannot but fail with it.
type broken struct {
	rule, how    string
	setup        warehousetest.Setup
	consequences []string
	perhaps      []string // as time has it
	more         bool     // too many to name
}

func brokenOnes() []broken {
	return slices.Concat(brokenSetups(), brokenTables(), brokenValues(), brokenWrites(), brokenKinds(), brokenReads(),
		brokenTransactions(), brokenLocks(), brokenErrors(), brokenEnds())
}

// sizes are rules for which many rows are written. Stores that break others are not
// tested with them.
var sizes = []string{"columns", "row-size", "rows"}

const slow = "it takes long"

func TestBrokenStoresFail(t *testing.T) {
	if underRace {
		t.Skip("each store is used as by TestRun, ninety times over")
	}
	for _, b := range brokenOnes() {
		t.Run(b.rule+" "+b.how, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(sizes, b.rule) && b.setup.Skip == nil {
				b.setup.Skip = map[string]string{sizes[0]: slow, sizes[1]: slow, sizes[2]: slow}
			}
			found := map[string][]string{}
			for _, v := range warehousetest.Check(t, b.setup) {
				require.NotEmpty(t, v.Detail)
				require.Contains(t, v.String(), v.Rule.Sentence)
				found[v.Rule.Name] = append(found[v.Rule.Name], v.Detail)
			}
			require.Contains(t, found, b.rule, "the rule does not notice")
			t.Log(found[b.rule][0])
			if b.more {
				return
			}
			for _, name := range b.perhaps {
				delete(found, name)
			}
			want := slices.Sorted(slices.Values(append(b.consequences, b.rule)))
			require.Equal(t, want, slices.Sorted(maps.Keys(found)), "%s", found)
		})
	}
}

func TestEveryRuleHasABrokenStore(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range brokenOnes() {
		seen[b.rule] = true
	}
	for _, r := range warehousetest.Rules() {
		require.True(t, seen[r.Name], "no broken store breaks %s", r.Name)
		delete(seen, r.Name)
	}
	require.Empty(t, seen, "rules that do not exist")
}

func TestRulesAreSentences(t *testing.T) {
	names := map[string]bool{}
	for _, r := range warehousetest.Rules() {
		require.False(t, names[r.Name], r.Name)
		names[r.Name] = true
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, r.Name)
		require.Regexp(t, `^[A-Z].*\.$`, r.Sentence)
	}
}

func TestASkippedRuleIsNotTested(t *testing.T) {
	s := dialect(func(d *warehouse.Dialect) { d.Name = "" })
	s.Skip = map[string]string{"dialect": "the database has no name"}
	require.Empty(t, warehousetest.Check(t, s))
}
