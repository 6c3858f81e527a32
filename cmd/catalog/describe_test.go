package main

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/catalog"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// shop is an adapter whose settings change what it takes.
type shop struct {
	Key     string `json:"key" required:"true" secret:"true"`
	Mode    string `json:"mode,omitempty" oneof:"lax strict" default:"lax"`
	Batch   bool   `json:"batch,omitempty"`
	Label   string
	Names   []string
	Kinds   map[string]analytics.Call
	Most    int
	Quiet   bool
	Unknown func()
	dest.Hooks

	opened bool
}

func (s *shop) Describe() analytics.Description {
	d := analytics.Description{
		Name: "Shop", Aliases: []string{"Store"}, Calls: analytics.CallsOf(analytics.CallIdentify, analytics.CallTrack),
		Lanes: map[string]analytics.Limits{
			"b": {Linger: -1, Timeout: 2 * time.Minute},
			"a": {MaxItems: 5, MaxBytes: 700, MaxItemBytes: 600, Concurrency: 1, Linger: time.Second,
				Rates: []analytics.Rate{{Requests: 2}, {Items: 3, Per: 90 * time.Second, Burst: 4, PerGroup: true}}},
		},
	}
	if s.Mode == "strict" {
		d.Order = analytics.Total
	}
	if s.Batch {
		d.Lanes["b"] = analytics.Limits{MaxItems: 10}
	}
	if s.Label != "" || len(s.Names) > 0 || len(s.Kinds) > 0 {
		d.Calls = 0
		d.Lanes["more"] = analytics.Limits{}
	}
	if s.Most > 0 {
		d.Lanes["a"] = analytics.Limits{MaxItems: s.Most}
	}
	return d
}

func (s *shop) Translate(*analytics.Event) ([]analytics.Item, error) {
	return nil, analytics.ErrIgnored
}

func (s *shop) Deliver(context.Context, *analytics.Batch) error { return nil }

func TestLanesSayWhatZeroMeans(t *testing.T) {
	require.Equal(t, []catalog.Lane{
		{Name: "a", MaxItems: 5, MaxBytes: 700, MaxItemBytes: 600, Concurrency: 1, Linger: "1s", Timeout: "30s", Rates: []catalog.Rate{
			{Requests: 2, Per: "1s"}, {Items: 3, Per: "1m30s", Burst: 4, PerGroup: true}}},
		{Name: "b", MaxItems: 1000, MaxBytes: 1_000_000, Concurrency: 4, Linger: "0s", Timeout: "2m"},
	}, lanes((&shop{}).Describe()))
	require.Equal(t, []string{"track", "identify"}, calls((&shop{}).Describe()))
	require.Equal(t, []string{"track", "page", "screen", "identify", "group", "alias"}, calls(analytics.Description{}))
	a := adapter{key: "channel"}
	require.Equal(t, "per channel", a.order(analytics.Description{Order: analytics.PerKey}))
	require.Equal(t, "per user", (&adapter{}).order(analytics.Description{Order: analytics.PerKey}))
	require.Equal(t, "1h", short(time.Hour))
	require.Equal(t, "1h0m1s", short(time.Hour+time.Second))
}

func TestChangesTryEachSetting(t *testing.T) {
	example := &shop{Key: "k", opened: true}
	a := adapter{example: example, also: []try{{"Most", "large", 70}}}
	e := &catalog.Entry{Calls: calls(example.Describe()), Order: "unordered", Lanes: lanes(example.Describe())}
	more := func(with string) catalog.Change {
		return catalog.Change{With: with, Calls: []string{"track", "page", "screen", "identify", "group", "alias"}, Lanes: []catalog.Lane{
			{Name: "more", MaxItems: 1000, MaxBytes: 1_000_000, Concurrency: 4, Timeout: "30s"}}}
	}
	require.Equal(t, []catalog.Change{
		{With: "Mode strict", Order: "total"},
		{With: "Batch", Lanes: []catalog.Lane{{Name: "b", MaxItems: 10, MaxBytes: 1_000_000, Concurrency: 4, Timeout: "30s"}}},
		more("Label"), more("Names"), more("Kinds"),
		{With: "Most large", Lanes: []catalog.Lane{{Name: "a", MaxItems: 70, MaxBytes: 1_000_000, Concurrency: 4, Timeout: "30s"}}},
	}, a.changes(e))
	require.Equal(t, &shop{Key: "k", opened: true}, example)
}

func TestFieldsOfStructsInSettings(t *testing.T) {
	type rule struct {
		Text   string `json:"text"`
		Names  []string
		Token  string `json:"token,omitempty" secret:"true"`
		hidden int
	}
	src := parsed(t, nil, "package shop\ntype rule struct {\n\tText string // is text\n}\n")
	want := []catalog.Setting{
		{Field: "Text", Key: "text", Type: "string", Doc: "is text"}, {Field: "Names", Type: "list"}, {Field: "Token", Key: "token", Type: "string", Secret: true},
	}
	require.Equal(t, want, inner(reflect.TypeFor[map[string]rule](), src))
	require.Equal(t, want, inner(reflect.TypeFor[[]rule](), src))
	require.Nil(t, inner(reflect.TypeFor[rule](), src))
	require.Nil(t, inner(reflect.TypeFor[map[string]string](), src))
	require.Zero(t, rule{}.hidden)
}

func TestExampleIsGo(t *testing.T) {
	a := adapter{example: &shop{Key: `k"`, Most: 3, Names: []string{"n"}, Kinds: map[string]analytics.Call{"*": analytics.CallTrack}}}
	require.Equal(t, `&catalog.Destination{Key: "k\"", Names: []string{"n"}, Kinds: map[string]analytics.Call{"*": "track"}, Most: 3}`, a.code())
}

func TestExamplesAreChecked(t *testing.T) {
	_, err := (&adapter{example: &shop{}}).entry("../..", nil)
	require.ErrorContains(t, err, "Key")
	_, err = (&adapter{example: &shop{Key: "k"}}).entry("../..", nil)
	require.ErrorContains(t, err, "the setting Key has no comment")
}
