package destinationtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dev/analytics"
)

// Setup says what is tested and how the kit can talk to it.
type Setup struct {
	// New returns a fresh Destination with good settings, not yet opened. It is
	// called many times. Its requests have to reach s: through Env.HTTP, or s.Client
	// where there is no Open. s answers for every host, so that fixed addresses need
	// no change. What keeps state keeps it per Service: two destinations that New
	// made for one s are one tool before and after a restart.
	New func(s *Service) analytics.Destination

	// Seen returns the ids (Item.ID, which is the messageId unless Translate says
	// otherwise) of the items that a request carried, in its order; none for a
	// request that carries no items, such as a login. Nil: the destination does not
	// speak HTTP, and the rules about HTTP are skipped.
	Seen func(r *Request) []string

	// Stored returns the ids that the tool holds, in any order, read back from where
	// New had put them, say a file in s.Dir. For destinations that own their cursor
	// and others that can be read.
	Stored func(s *Service) ([]string, error)

	// Answer is what the tool answers when all is well. Nil: status 200 and {}.
	Answer func(r *Request) Response

	// Env changes what Open is given.
	Env func(*analytics.Env)

	// Events are tested beside the kit's own. Needed where those become no items.
	Events []*analytics.Event

	// Secrets are the keys and tokens of the settings. No error and no log line may
	// hold them.
	Secrets []string

	// Words are the statuses for which this tool needs another word than the
	// contract's table has.
	Words map[int]Exception

	// NotJSON says that the bodies of items are not JSON.
	NotJSON bool

	// RealTime is the reason why the destination cannot run in a testing/synctest
	// bubble: real connections. Rules about waiting are then skipped.
	RealTime string

	// Skip names rules that cannot apply to this destination, each with the reason.
	Skip map[string]string
}

// Exception is a word of its own for a status, and why.
type Exception struct {
	Word   analytics.Word
	Reason string
}

// Run tests the destination, each rule in a subtest of its own. A rule that cannot
// be tested with this Setup is skipped, and says why.
func Run(t *testing.T, s Setup) {
	for _, r := range rules {
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

// Check tests the destination as [Run] does and returns what is wrong with it. t
// lends its bubbles and does not fail.
func Check(t *testing.T, s Setup) []Violation {
	var all []Violation
	for _, r := range rules {
		found, _ := r.try(t, s)
		for _, f := range found {
			all = append(all, Violation{Rule: r.rule(), Detail: f})
		}
	}
	return all
}

// A Violation is a rule that a destination breaks, and how.
type Violation struct {
	Rule   Rule
	Detail string
}

// String names the rule and quotes it.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s (%s)", v.Rule.Name, v.Detail, v.Rule.Sentence)
}

// A Rule is one thing that the contract asks of every destination.
type Rule struct {
	Name     string // as in Setup.Skip and in the names of the subtests
	Sentence string
}

// Rules lists the rules in the order in which they are tested.
func Rules() []Rule {
	list := make([]Rule, len(rules))
	for i, r := range rules {
		list[i] = r.rule()
	}
	return list
}

// rule is a Rule and its test.
type rule struct {
	name     string
	sentence string
	needs    need
	test     func(*trial)
}

func (r *rule) rule() Rule { return Rule{Name: r.name, Sentence: r.sentence} }

var rules = slices.Concat(
	[]rule{{
		name:     "setup",
		sentence: "A Setup has New, skips only rules that exist, and gives a reason for every exception.",
		test:     testSetup,
	}},
	describeRules(), translateRules(), deliverRules(), answerRules(), lifeRules(), positionRules(),
)

func testSetup(t *trial) {
	if t.setup.New == nil {
		t.errorf("New is nil")
	}
	for name, reason := range t.setup.Skip {
		if strings.TrimSpace(reason) == "" {
			t.errorf("Skip[%q] gives no reason", name)
		}
		if !slices.ContainsFunc(t.rules, func(r rule) bool { return r.name == name }) {
			t.errorf("Skip[%q] is not a rule", name)
		}
	}
	for status, x := range t.setup.Words {
		if strings.TrimSpace(x.Reason) == "" {
			t.errorf("Words[%d] gives no reason", status)
		}
	}
	if slices.Contains(t.setup.Secrets, "") {
		t.errorf("one of Secrets is empty")
	}
}
