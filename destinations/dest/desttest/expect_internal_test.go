package desttest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
)

func TestExpectationsAreWellFormed(t *testing.T) {
	events := make(map[string]bool)
	for _, in := range Wide(t) {
		events[in.ID] = true
	}
	perTool, seen := make(map[string]int), make(map[string]bool)
	for _, x := range expectations(t) {
		what := fmt.Sprintf("%s of %s: %s", x.ID, x.Destination, x.Path)
		require.True(t, events[x.ID], "%s: no such event", what)
		require.NotEmpty(t, x.Why, what)
		perTool[x.Destination]++

		outcomes := 0
		for _, is := range []bool{x.Ignored, x.Invalid != "", x.Want != nil, x.Absent} {
			if is {
				outcomes++
			}
		}
		require.Equal(t, 1, outcomes, "%s: one of ignored, invalid, want and absent", what)
		require.Equal(t, x.Want != nil || x.Absent, x.Path != "", "%s: a path goes with want and absent", what)
		if x.Request != nil {
			require.GreaterOrEqual(t, *x.Request, 0, what)
			what += fmt.Sprint(" in request ", *x.Request)
		}
		require.False(t, seen[what], "%s: twice", what)
		seen[what] = true
	}
	tools := []string{"webhook", "posthog", "amplitude", "mixpanel", "ga4", "customerio", "slack", "hubspot", "braze", "intercom", "klaviyo", "metacapi"}
	for _, tool := range tools {
		require.GreaterOrEqual(t, perTool[tool], 5, tool)
	}
	require.Len(t, perTool, len(tools), "an unknown destination")
}

func TestExpectationFault(t *testing.T) {
	refused := func(field string) outcome {
		return outcome{err: fmt.Errorf("tool: %w", &analytics.InvalidError{Field: field, Reason: "is missing"})}
	}
	sent := func(bodies ...string) outcome {
		o := outcome{results: Results{{Word: analytics.WordDelivered}}}
		for _, raw := range bodies {
			body, err := decode([]byte(raw))
			require.NoError(t, err)
			o.bodies = append(o.bodies, body)
		}
		return o
	}
	failed := sent(`{"a":1}`)
	failed.results[0].Word = analytics.WordPermanent
	second := 1

	for name, c := range map[string]struct {
		x    expectation
		o    outcome
		want string // part of the fault
	}{
		"refused for its field":                     {expectation{Invalid: "userId"}, refused("userId"), ""},
		"refused for one of several fields":         {expectation{Invalid: "userId traits.email"}, refused("traits.email"), ""},
		"refused for another field":                 {expectation{Invalid: "userId"}, refused("event"), "names event, want userId"},
		"refused without a field":                   {expectation{Invalid: "userId"}, outcome{err: errors.New("no")}, "the error is no"},
		"not refused":                               {expectation{Invalid: "userId"}, sent(`{}`), "the error is <nil>"},
		"refused where something is wanted":         {expectation{Path: "a", Want: []byte("1")}, refused("userId"), "it is refused"},
		"ignored":                                   {expectation{Ignored: true}, outcome{}, ""},
		"refused where it should be ignored":        {expectation{Ignored: true}, refused("userId"), "it is refused"},
		"sent where it should be ignored":           {expectation{Ignored: true}, sent(`{}`), "it is not ignored"},
		"ignored where something is wanted":         {expectation{Path: "a", Want: []byte("1")}, outcome{}, "it is ignored"},
		"not delivered":                             {expectation{Path: "a", Want: []byte("1")}, failed, "it is not delivered"},
		"the value is there":                        {expectation{Path: "a.0.b", Want: []byte("25")}, sent(`{"a":[{"b":25.0}]}`), ""},
		"the value is another":                      {expectation{Path: "a.0.b", Want: []byte("25")}, sent(`{"a":[{"b":26}]}`), "a.0.b is 26, want 25"},
		"null is wanted and there":                  {expectation{Path: "a", Want: []byte("null")}, sent(`{"a":null}`), ""},
		"null is wanted and nothing is there":       {expectation{Path: "a", Want: []byte("null")}, sent(`{}`), "a is missing, want null"},
		"the second request has the path":           {expectation{Path: "b", Want: []byte("2")}, sent(`{"a":1}`, `{"b":2}`), ""},
		"the first that has the path counts":        {expectation{Path: "a", Want: []byte("2")}, sent(`{"a":1}`, `{"a":2}`), "a is 1, want 2"},
		"the request is chosen":                     {expectation{Path: "a", Want: []byte("2"), Request: &second}, sent(`{"a":1}`, `{"a":2}`), ""},
		"there is no such request":                  {expectation{Path: "a", Want: []byte("2"), Request: &second}, sent(`{"a":1}`), "no request 1 of 1"},
		"nothing is at the path":                    {expectation{Path: "a.b", Absent: true}, sent(`{"a":{}}`), ""},
		"nothing is at a path of one part":          {expectation{Path: "a", Absent: true}, sent(`{"b":1}`), ""},
		"nothing was sent at all":                   {expectation{Path: "a", Absent: true}, sent(), "would be a part of is missing"},
		"something is at the path":                  {expectation{Path: "a.b", Absent: true}, sent(`{}`, `{"a":{"b":null}}`), "a.b is null, want none"},
		"the path leads nowhere":                    {expectation{Path: "a.b", Absent: true}, sent(`{}`), "would be a part of is missing"},
		"another request has it, but is not chosen": {expectation{Path: "a.b", Absent: true, Request: &second}, sent(`{"a":{"b":1}}`, `{"a":{}}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.x.fault(c.o)
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, got, c.want)
		})
	}
}

func TestLookup(t *testing.T) {
	body, err := decode([]byte(`{"a":{"b":1,"b.c":2,"":{"d":3}},"a.b":{"c":{"e":4}},"list":[[5],{"f.g":6}],"text":"x"}`))
	require.NoError(t, err)
	for path, want := range map[string]string{
		"a.b": `{"c":{"e":4}}`, "a.b.c": "2", "a.b.c.e": "4", "a..d": "3", "list.0.0": "5", "list.1.f.g": "6", "text": `"x"`,
		"a.x": "", "list.2": "", "list.-1": "", "list.x": "", "text.0": "", "": "",
	} {
		got, ok := lookup(body, path)
		require.Equal(t, want != "", ok, path)
		if ok {
			require.Equal(t, want, text(got), path)
		}
	}
}
