package warehousetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

// Setup says what is tested.
type Setup struct {
	// New returns a store on a new, empty database, not yet opened. It is called many
	// times. t ends when the database is no longer needed.
	New func(t *testing.T) warehouse.Store

	// Again returns another store on the database of first, not yet opened: a second
	// loader, or the same one after a restart. first may be closed.
	Again func(t *testing.T, first warehouse.Store) warehouse.Store

	// Take makes something in the database of s that is no table but has a name as tables
	// have: a view, an index. The schema is there, and no transaction is open. Nil if
	// there is no such thing.
	Take func(t *testing.T, s warehouse.Store, schema, name string) error

	// OneWriter says that the database has one transaction at a time, so that loaders of
	// different homes wait for each other.
	OneWriter bool

	// Skip names rules that cannot apply to this store, each with the reason.
	Skip map[string]string

	patience time.Duration // for a call that should return; zero is a minute
	brief    time.Duration // for a call that should not; zero is 300 ms
}

// Run tests the store, each rule in a subtest of its own. A rule that cannot be tested
// with this Setup is skipped, and says why.
func Run(t *testing.T, s Setup) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			t.Helper()
			found, skipped := r.try(t, s)
			for _, f := range found {
				t.Errorf("%s\n\trule: %s", f, r.sentence)
			}
			if len(found) == 0 && skipped != "" {
				t.Skip(skipped)
			}
		})
	}
}

// Check tests the store as [Run] does and returns what is wrong with it. t is what New
// and Again get, and does not fail.
func Check(t *testing.T, s Setup) []Violation {
	var all []Violation
	for _, r := range rules() {
		found, _ := r.try(t, s)
		for _, f := range found {
			all = append(all, Violation{Rule: r.rule(), Detail: f})
		}
	}
	return all
}

// A Violation is a rule that a store breaks, and how.
type Violation struct {
	Rule   Rule
	Detail string
}

// String names the rule and quotes it.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s (%s)", v.Rule.Name, v.Detail, v.Rule.Sentence)
}

// A Rule is one thing that is asked of every store.
type Rule struct {
	Name     string // as in Setup.Skip and in the names of the subtests
	Sentence string
}

// Rules lists the rules in the order in which they are tested.
func Rules() []Rule {
	all := rules()
	list := make([]Rule, len(all))
	for i, r := range all {
		list[i] = r.rule()
	}
	return list
}

// rule is a Rule and its test.
type rule struct {
	name     string
	sentence string
	writers  bool // needs two transactions at a time
	taking   bool // needs Setup.Take
	test     func(*trial)
}

func (r *rule) rule() Rule { return Rule{Name: r.name, Sentence: r.sentence} }

func rules() []rule {
	return slices.Concat([]rule{{
		name:     "setup",
		sentence: "A Setup has New and Again, and skips only rules that exist, each with a reason.",
		test:     testSetup,
	}}, openRules(), tableRules(), nameRules(), valueRules(), sizeRules(), writeRules(), kindRules(), readRules(),
		transactionRules(), lockRules(), errorRules(), endRules())
}

func testSetup(t *trial) {
	if t.setup.New == nil {
		t.errorf("New is nil")
	}
	if t.setup.Again == nil {
		t.errorf("Again is nil")
	}
	for name, reason := range t.setup.Skip {
		if strings.TrimSpace(reason) == "" {
			t.errorf("Skip[%q] gives no reason", name)
		}
		if !slices.ContainsFunc(rules(), func(r rule) bool { return r.name == name }) {
			t.errorf("Skip[%q] is not a rule", name)
		}
	}
}
