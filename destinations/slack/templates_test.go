package slack_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/slack"
)

// text renders one event.
func text(t *testing.T, d *slack.Destination, f *fake, e *analytics.Event) string {
	t.Helper()
	open(t, d, f)
	settle(t, d, e)
	require.Empty(t, f.violations)
	require.Len(t, f.accepted, 1)
	return f.accepted[0].Text
}

const odd = `{"type":"track","messageId":"m","userId":"u<1>","anonymousId":"a-1","event":"a&B <!channel>","timestamp":"2026-05-02T18:04:05.250Z",` +
	`"properties":{"title":"<!here> & >","price":1234.5,"big":9007199254740993,"tags":["jazz","vi<nyl"],"coupon":"MAY"},` +
	`"context":{"ip":"192.0.2.10","traits":{"plan":"pro","email":"ann@example.com"}}}`

func TestTemplates(t *testing.T) {
	for template, want := range map[string]string{
		// sheet: Mapping, values that a template inserts are escaped, and D2.
		"{{.Event}}":                               "a&amp;B &lt;!channel&gt;",
		"<!here> {{.UserID}}":                      "<!here> u&lt;1&gt;",
		"{{.Properties.title}}":                    "&lt;!here&gt; &amp; &gt;",
		"{{.AnonymousID}}":                         "a-1",
		"{{upper .Event}}":                         "A&amp;B &lt;!CHANNEL&gt;",
		"{{.Event | lower}}":                       "a&amp;b &lt;!channel&gt;",
		`{{printf "%s!" .Event}}`:                  "a&amp;B &lt;!channel&gt;!",
		`{{with .Event}}{{.}}{{end}}`:              "a&amp;B &lt;!channel&gt;",
		`{{range .Properties.tags}}{{.}};{{end}}`:  "jazz;vi&lt;nyl;",
		`{{json .Properties.tags}}`:                `["jazz","vi&lt;nyl"]`,
		`{{default "none" .Properties.gone}}`:      "none",
		`{{.Properties.coupon | default "-"}}`:     "MAY",
		`{{.Properties.big}}`:                      "9007199254740993",
		`{{.Traits.plan}}`:                         "pro",
		`{{if .Properties.gone}}x{{else}}y{{end}}`: "y",
	} {
		require.Equal(t, want, text(t, hook(template), &fake{}, desttest.Event(t, odd)), template)
	}
	for template, want := range map[string]string{
		// sheet: Mapping, raw switches escaping off.
		"{{raw .Properties.title}}":  "<!here> & >",
		"{{.Event | upper | raw}} &": "A&B <!CHANNEL> &",
	} {
		require.Equal(t, want, text(t, hook(template), &fake{raw: true}, desttest.Event(t, odd)), template)
	}
	require.Contains(t, text(t, hook("{{money .Properties.price}}"), &fake{}, desttest.Event(t, odd)), "234.50")
	require.Contains(t, text(t, hook("{{.Timestamp}}"), &fake{}, desttest.Event(t, odd)), "2026")
	require.Contains(t, text(t, hook("{{json .Context}}"), &fake{}, desttest.Event(t, odd)), "192.0.2.10")
}

// sheet: Mapping, the best name of the user.
func TestNames(t *testing.T) {
	for traits, want := range map[string]string{
		`{"name":"Ann Lee","firstName":"A","lastName":"L","username":"al","email":"e@example.com"}`: "Ann Lee",
		`{"firstName":"Ann","lastName":"Lee","username":"al","email":"e@example.com"}`:              "Ann Lee",
		`{"username":"al","email":"e@example.com"}`:                                                 "al",
		`{"email":"e@example.com"}`:                                                                 "e@example.com",
		`{"plan":"pro"}`:                                                                            "u-1",
	} {
		track := desttest.Event(t, `{"type":"track","messageId":"m","userId":"u-1","anonymousId":"a-1","event":"E","context":{"traits":`+traits+`}}`)
		require.Equal(t, want, text(t, hook("{{.Name}}"), &fake{}, track))
		d := hook("{{.Name}}")
		d.IdentifyTemplate = "{{.Name}}"
		identify := desttest.Event(t, `{"type":"identify","messageId":"m","userId":"u-1","anonymousId":"a-1","traits":`+traits+`}`)
		require.Equal(t, want, text(t, d, &fake{}, identify))
	}
	visitor := desttest.Event(t, `{"type":"track","messageId":"m","anonymousId":"a-1","event":"E"}`)
	name := text(t, hook("{{.Name}}"), &fake{}, visitor)
	require.True(t, strings.HasPrefix(name, "Anonymous user"), name)
	require.Contains(t, name, "a-1")
}

// sheet: Settings, Traits is a white list for {{traits}}.
func TestTraits(t *testing.T) {
	d := hook("{{traits}}")
	d.Traits = []string{"plan"}
	got := text(t, d, &fake{}, desttest.Event(t, odd))
	require.Contains(t, got, "plan")
	require.Contains(t, got, "pro")
	require.NotContains(t, got, "ann@example.com")
}

// sheet: Limits, text is cut at 4,000 characters with an ellipsis. The fake refuses half
// an entity.
func TestLongTextsAreCut(t *testing.T) {
	for _, c := range []struct {
		title string
		n     int
		cut   bool
	}{
		{"x", 4000, false}, {"x", 4001, true}, {"ü", 4000, false}, {"ü", 4001, true}, {"日", 50_000, true}, {"&", 3000, true}, {"😀", 5000, true},
		{"<", 1000, false}, {"<", 1001, true}, {"y&", 1000, true},
	} {
		e := track(t, "A", "u")
		e.Properties["title"] = strings.Repeat(c.title, c.n)
		got := text(t, hook("{{.Properties.title}}"), &fake{}, e)
		require.Equal(t, c.cut, strings.HasSuffix(got, "…"), "%d × %s", c.n, c.title)
		if c.cut { // not much is lost
			require.Greater(t, utf8.RuneCountInString(got), 3990)
		}
	}
}

func TestTemplatesThatFail(t *testing.T) {
	for _, template := range []string{
		"{{index .Properties.tags 99}}", "{{slice .Properties.title 0 9999}}", "{{.Properties.title.a.b}}",
		`{{.Properties.title | index .Properties.tags}}`,
	} {
		d := hook(template)
		if err := d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client()}); err != nil {
			requireFields(t, err, "Events") // a trial at Open may find it
			continue
		}
		e := desttest.Event(t, strings.ReplaceAll(odd, "<!here>", content))
		items, err := d.Translate(e)
		require.Error(t, err, template)
		require.NotErrorIs(t, err, analytics.ErrIgnored)
		require.Empty(t, items)
		desttest.CheckError(t, err, content, "XXXX")
	}
}

func TestTheSameEventIsTheSameMessage(t *testing.T) {
	d := hook("{{json .Properties}} {{json .Context}} {{.Properties}}")
	open(t, d, &fake{})
	first := desttest.Translate(t, d, desttest.Event(t, odd))
	for range 20 {
		next := desttest.Translate(t, d, desttest.Event(t, odd))
		require.Equal(t, string(first[0].Body), string(next[0].Body))
		require.Equal(t, "m", next[0].ID)
	}
	require.True(t, json.Valid(first[0].Body))
}
