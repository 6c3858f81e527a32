package trackingapi_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

func TestParseQuerystring(t *testing.T) {
	long := strings.Repeat("%C3%BC", 1025)
	for name, tc := range map[string]struct {
		query string
		want  trackingapi.Link
	}{
		"all of it": {"ajs_prop_p=1&ajs_event=E&ajs_trait_t=2&ajs_uid=u&ajs_aid=a",
			trackingapi.Link{AnonymousID: "a", UserID: "u", Traits: map[string]string{"t": "2"}, Event: "E", Properties: map[string]string{"p": "1"}}},
		"traits without a user are ignored":      {"ajs_trait_t=2&ajs_aid=a", trackingapi.Link{AnonymousID: "a"}},
		"properties without an event as well":    {"ajs_prop_p=2&ajs_uid=u", trackingapi.Link{UserID: "u"}},
		"a plus is a space":                      {"ajs_event=Link+Clicked%2B", trackingapi.Link{Event: "Link Clicked+"}},
		"what does not decode stays as it is":    {"ajs_event=a+b%20c%zz", trackingapi.Link{Event: "a+b%20c%zz"}},
		"so does what is not UTF-8":              {"ajs_event=a+%ff", trackingapi.Link{Event: "a+%ff"}},
		"values are texts":                       {"ajs_uid=7&ajs_trait_a=true&ajs_trait_b=", trackingapi.Link{UserID: "7", Traits: map[string]string{"a": "true", "b": ""}}},
		"values may hold equal signs":            {"ajs_uid=a=b==", trackingapi.Link{UserID: "a=b=="}},
		"the first of equal names":               {"ajs_uid=a&ajs_uid=b&ajs_trait_t=1&ajs_trait_t=2", trackingapi.Link{UserID: "a", Traits: map[string]string{"t": "1"}}},
		"the first, also an empty one":           {"ajs_uid=&ajs_uid=b&ajs_aid=c", trackingapi.Link{AnonymousID: "c"}},
		"the first, also a long one":             {"ajs_uid=" + long + "&ajs_uid=b&ajs_aid=c", trackingapi.Link{AnonymousID: "c"}},
		"1,024 characters":                       {"ajs_uid=" + long[6:], trackingapi.Link{UserID: strings.Repeat("ü", 1024)}},
		"long traits are left out":               {"ajs_uid=u&ajs_trait_a=" + long + "&ajs_trait_b=1", trackingapi.Link{UserID: "u", Traits: map[string]string{"b": "1"}}},
		"names are taken as they are written":    {"ajs_uid=u&ajs_trait_a%20b=1&ajs%5Faid=a", trackingapi.Link{UserID: "u", Traits: map[string]string{"a%20b": "1"}}},
		"traits need a name":                     {"ajs_uid=u&ajs_trait_=1&ajs_trait_\xff=1", trackingapi.Link{UserID: "u"}},
		"others are not looked at":               {"a=b&AJS_UID=u&ajs_=1&ajs_other=2&&ajs_aid=x&ajs", trackingapi.Link{AnonymousID: "x"}},
		"a semicolon separates nothing":          {"ajs_uid=a;ajs_aid=b", trackingapi.Link{UserID: "a;ajs_aid=b"}},
		"a name without a value has an empty on": {"ajs_uid&ajs_aid=a", trackingapi.Link{AnonymousID: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := trackingapi.ParseQuerystring(&url.URL{RawQuery: tc.query})
			require.True(t, ok)
			require.Equal(t, tc.want, got)
		})
	}
	for _, query := range []string{"", "a=b", "ajs_uid=", "ajs_trait_a=b&ajs_prop_c=d"} {
		got, ok := trackingapi.ParseQuerystring(&url.URL{RawQuery: query})
		require.False(t, ok, query)
		require.Zero(t, got)
	}
}

func TestParseQuerystringBounds(t *testing.T) {
	query := "ajs_uid=u"
	for i := range 60 {
		query += fmt.Sprintf("&ajs_trait_t%d=%d&ajs_trait_t0=x", i, i)
	}
	l, ok := trackingapi.ParseQuerystring(&url.URL{RawQuery: query})
	require.True(t, ok)
	require.Len(t, l.Traits, 50)
	require.Equal(t, "0", l.Traits["t0"])
	require.Equal(t, "49", l.Traits["t49"])
}

func TestQuerystringCalls(t *testing.T) {
	const query = "ajs_event=Mail+Clicked&ajs_prop_p=1&ajs_uid=user-7&ajs_trait_t=2&ajs_aid=anon-7"
	id := regexp.MustCompile(`user-\d+`)
	identify := analytics.Identify{UserID: "user-7", AnonymousID: "anon-7", Traits: map[string]string{"t": "2"}}
	track := analytics.Track{UserID: "user-7", AnonymousID: "anon-7", Event: "Mail Clicked", Properties: map[string]string{"p": "1"}}
	for name, tc := range map[string]struct {
		q     *trackingapi.Querystring
		query string
		want  []analytics.Message
	}{
		"all": {&trackingapi.Querystring{AnonymousID: regexp.MustCompile(`anon-\d`), UserID: id, Event: regexp.MustCompile(`Mail .*`)}, query,
			[]analytics.Message{identify, track}},
		"nothing without patterns": {&trackingapi.Querystring{}, query, nil},
		"an event, no ids": {&trackingapi.Querystring{Event: regexp.MustCompile(`Mail Clicked`)}, query,
			[]analytics.Message{analytics.Track{Event: "Mail Clicked", Properties: map[string]string{"p": "1"}}}},
		"a user, no event": {&trackingapi.Querystring{UserID: id}, query,
			[]analytics.Message{analytics.Identify{UserID: "user-7", Traits: map[string]string{"t": "2"}}}},
		"an anonymousId makes no call":      {&trackingapi.Querystring{AnonymousID: regexp.MustCompile(`.*`)}, query, nil},
		"more behind":                       {&trackingapi.Querystring{UserID: id}, "ajs_uid=user-7x", nil},
		"more in front":                     {&trackingapi.Querystring{UserID: id}, "ajs_uid=xuser-7", nil},
		"twice with something in between":   {&trackingapi.Querystring{UserID: id}, "ajs_uid=user-7%0Auser-7", nil},
		"a line of several":                 {&trackingapi.Querystring{UserID: regexp.MustCompile(`(?m)^user$`)}, "ajs_uid=user%0Ax", nil},
		"the shorter alternative first":     {&trackingapi.Querystring{UserID: regexp.MustCompile(`a|ab`)}, "ajs_uid=ab", []analytics.Message{analytics.Identify{UserID: "ab"}}},
		"an alternative is not half a one":  {&trackingapi.Querystring{UserID: regexp.MustCompile(`a|b`)}, "ajs_uid=ab", nil},
		"a lazy pattern":                    {&trackingapi.Querystring{UserID: regexp.MustCompile(`u.*?`)}, "ajs_uid=user", []analytics.Message{analytics.Identify{UserID: "user"}}},
		"a pattern that ends in a literal":  {&trackingapi.Querystring{UserID: regexp.MustCompile(`\Qu.`)}, "ajs_uid=u.", []analytics.Message{analytics.Identify{UserID: "u."}}},
		"a pattern of nothing":              {&trackingapi.Querystring{UserID: regexp.MustCompile(``)}, "ajs_uid=u", nil},
		"no parameters":                     {&trackingapi.Querystring{UserID: id}, "a=b", nil},
		"an empty value, any pattern":       {&trackingapi.Querystring{UserID: regexp.MustCompile(`.*`)}, "ajs_uid=", nil},
		"traits go with a user not matched": {&trackingapi.Querystring{UserID: id, AnonymousID: regexp.MustCompile(`.`)}, "ajs_uid=x&ajs_trait_t=1&ajs_aid=y", nil},
	} {
		t.Run(name, func(t *testing.T) {
			u := &url.URL{RawQuery: tc.query}
			require.Equal(t, tc.want, tc.q.Calls(u))
			require.Equal(t, tc.want, tc.q.Calls(u), "the same the second time")
		})
	}
}

func FuzzQuerystring(f *testing.F) {
	f.Add("ajs_aid=a&ajs_uid=u&ajs_trait_x=1&ajs_event=e&ajs_prop_y=2")
	f.Add("ajs_uid=%ff+&ajs_uid=%zz&&=&ajs_trait_=&ajs_prop_%")
	q := &trackingapi.Querystring{UserID: regexp.MustCompile(`[a-z]+`), Event: regexp.MustCompile(`[A-Z]+`)}
	f.Fuzz(func(t *testing.T, query string) {
		u := &url.URL{RawQuery: query}
		l, ok := trackingapi.ParseQuerystring(u)
		require.Equal(t, ok, l.AnonymousID != "" || l.UserID != "" || l.Event != "")
		require.True(t, l.UserID != "" || l.Traits == nil)
		require.True(t, l.Event != "" || l.Properties == nil)
		require.LessOrEqual(t, len(l.Traits), 50)
		for name, value := range l.Traits {
			require.NotEmpty(t, name)
			require.True(t, utf8.ValidString(name) && utf8.ValidString(value))
			require.LessOrEqual(t, utf8.RuneCountInString(value), 1024)
		}
		for _, m := range q.Calls(u) {
			switch m := m.(type) {
			case analytics.Identify:
				require.Regexp(t, `\A[a-z]+\z`, m.UserID)
				require.Empty(t, m.AnonymousID)
			case analytics.Track:
				require.Regexp(t, `\A[A-Z]+\z`, m.Event)
			}
		}
	})
}
