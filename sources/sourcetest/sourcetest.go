package sourcetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dev/analytics"
)

// Setup says what is tested, and what it has to do.
type Setup struct {
	// New returns a source that feeds client. It is called many times, also twice for
	// one client: a source before and after a restart. t lives as long as the source;
	// what is written to t.Output() counts as its log.
	New func(t testing.TB, client *analytics.Client) http.Handler

	// Requests are requests as the other side sends them. See [Load].
	Requests []Recorded

	// Sign signs a request, for sources whose requests are signed. It reads the body
	// from r.GetBody. Nil means that nothing is signed, or that the recorded requests
	// are as they have to be.
	Sign func(r *http.Request)

	// Secrets are the keys and tokens that the source or its requests have. No log line
	// and no answer may hold them.
	Secrets []string

	// Skip names rules that cannot apply to this source, each with the reason.
	Skip map[string]string
}

// Run tests the source, each rule in a subtest of its own. A rule that cannot be tested
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

// Check tests the source as [Run] does and returns what is wrong with it. t lends its
// bubbles and does not fail.
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

// A Violation is a rule that a source breaks, and how.
type Violation struct {
	Rule   Rule
	Detail string
}

// String names the rule and quotes it.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s (%s)", v.Rule.Name, v.Detail, v.Rule.Sentence)
}

// A Rule is one thing that is asked of every source.
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
	needs    need
	each     bool // request gets a run, and a bubble, of its own
	alone    bool // no rule of another test runs meanwhile
	test     func(*trial)
}

func (r *rule) rule() Rule { return Rule{Name: r.name, Sentence: r.sentence} }

func rules() []rule {
	return slices.Concat([]rule{{
		name:     "setup",
		sentence: "A Setup has New and Requests of which one becomes messages, and skips only rules that exist, each with a reason.",
		test:     testSetup,
	}}, messageRules(), routeRules(), bodyRules(), clientRules(), safetyRules())
}

func testSetup(t *trial) {
	s := t.setup
	if s.New == nil {
		t.errorf("New is nil")
	}
	if !slices.ContainsFunc(s.Requests, func(r Recorded) bool { return len(r.Messages) > 0 }) {
		t.errorf("none of Requests becomes a message")
	}
	names := map[string]bool{}
	for i, r := range s.Requests {
		if r.Name == "" || names[r.Name] {
			t.errorf("Requests[%d] has the name %q: want one of its own", i, r.Name)
		}
		names[r.Name] = true
		if !strings.HasPrefix(r.Path, "/") {
			t.errorf("%s: the path %q does not begin with a slash", r.Name, r.Path)
		}
		for _, m := range r.Messages {
			if _, err := decode(m); err != nil {
				t.errorf("%s: an expected message is no JSON: %v", r.Name, err)
			}
		}
	}
	for name, reason := range s.Skip {
		if strings.TrimSpace(reason) == "" {
			t.errorf("Skip[%q] gives no reason", name)
		}
		if !slices.ContainsFunc(rules(), func(r rule) bool { return r.name == name }) {
			t.errorf("Skip[%q] is not a rule", name)
		}
	}
	if slices.Contains(s.Secrets, "") {
		t.errorf("one of Secrets is empty")
	}
}
