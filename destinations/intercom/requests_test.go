package intercom_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/intercom"
)

func TestDescription(t *testing.T) {
	desc := (&intercom.Destination{AccessToken: token}).Describe()
	require.Equal(t, "Intercom", desc.Name)
	require.ElementsMatch(t, []string{"Intercom Cloud Mode (Actions)", "Actions Intercom Cloud"}, desc.Aliases)
	require.Equal(t, analytics.PerKey, desc.Order)
	require.Len(t, desc.Lanes, 1)
	lane := desc.Lanes[""]
	require.Equal(t, 1, lane.MaxItems)
	require.Equal(t, 5, lane.Concurrency) // sheet: Limits, ~5 requests in parallel
	require.LessOrEqual(t, lane.MaxBytes, 1_000_000)
	require.NotEmpty(t, lane.Rates)
	for _, r := range lane.Rates { // sheet: Limits, 10,000 a minute
		per := r.Per
		if per == 0 {
			per = time.Second
		}
		require.LessOrEqual(t, float64(r.Requests)/per.Minutes(), 10_001.0)
		require.Positive(t, r.Requests)
	}
}

// sent returns the last body that the call leads to.
func sent(t *testing.T, d *intercom.Destination, f *fake, raw string) string {
	t.Helper()
	tool := open(t, d, f)
	require.Equal(t, []analytics.Word{delivered}, settle(t, d, desttest.Event(t, raw)))
	require.Empty(t, f.violations)
	all := tool.Requests()
	return string(all[len(all)-1].Body)
}

func TestMapping(t *testing.T) {
	const (
		track    = `{"type":"track","messageId":"m","userId":"u","event":"E",` + at + `,"properties":`
		identify = `{"type":"identify","messageId":"m","userId":"u",` + at + `,"traits":`
		group    = `{"type":"group","messageId":"m","groupId":"g",` + at + `,"traits":`
		event    = `{"event_name":"E","created_at":1777744800,"user_id":"u"`
		contact  = `{"role":"user","external_id":"u","last_seen_at":1777744800`
	)
	for name, c := range map[string]struct{ event, want string }{
		// sheet: Mapping, Event.
		"no properties, no metadata":       {track + `{}}`, event + `}`},
		"metadata without the odd":         {track + `{"a":{},"b":[],"c":null}}`, event + `}`},
		"what metadata keeps":              {track + `{"s":"x","n":1.5,"b":false,"o":{"a":1}}}`, event + `,"metadata":{"s":"x","n":1.5,"b":false}}`},
		"an amount is rounded (D1)":        {track + `{"revenue":1234567.89,"currency":"EUR"}}`, event + `,"metadata":{"price":{"amount":123456789,"currency":"EUR"}}}`},
		"a revenue of zero is one":         {track + `{"revenue":0}}`, event + `,"metadata":{"price":{"amount":0,"currency":"USD"}}}`},
		"a refund is negative":             {track + `{"revenue":-0.29}}`, event + `,"metadata":{"price":{"amount":-29,"currency":"USD"}}}`},
		"a revenue that is a text is none": {track + `{"revenue":"25","currency":"EUR","x":1}}`, event + `,"metadata":{"x":1}}`},
		"an e-mail is not metadata":        {track + `{"email":" ann@example.com "}}`, event + `,"email":"ann@example.com"}`},
		"a bad e-mail is absent (D6)":      {track + `{"email":"ann"}}`, event + `}`},
		"a long integer keeps its digits":  {track + `{"n":9007199254740993}}`, event + `,"metadata":{"n":9007199254740993}}`},

		// sheet: Mapping, Contact.
		"a contact without traits":           {identify + `{}}`, contact + `}`},
		"a name of two parts":                {identify + `{"firstName":"Ann","lastName":"Lee"}}`, contact + `,"name":"Ann Lee"}`},
		"a name of one part":                 {identify + `{"lastName":"Lee"}}`, contact + `,"name":"Lee"}`},
		"a name goes first":                  {identify + `{"name":"A. Lee","firstName":"Ann"}}`, contact + `,"name":"A. Lee"}`},
		"avatar and phone":                   {identify + `{"avatar":"https://x.example/a.png","phone":"+1 415"}}`, contact + `,"avatar":"https://x.example/a.png","phone":"+1 415"}`},
		"seconds":                            {identify + `{"createdAt":1764547200}}`, contact + `,"signed_up_at":1764547200}`},
		"milliseconds":                       {identify + `{"createdAt":1764547200123}}`, contact + `,"signed_up_at":1764547200}`},
		"a time as text":                     {identify + `{"created_at":"2025-12-01T00:00:00Z"}}`, contact + `,"signed_up_at":1764547200}`},
		"createdAt goes first":               {identify + `{"createdAt":"2025-12-01T00:00:00Z","created_at":1}}`, contact + `,"signed_up_at":1764547200}`},
		"a time that is none is left out":    {identify + `{"createdAt":"soon"}}`, contact + `}`},
		"no custom attributes without names": {identify + `{"plan":"pro"}}`, contact + `}`},
		"a bad e-mail of a user is absent":   {identify + `{"email":"ann @example.com"}}`, contact + `}`},

		// sheet: Mapping, Company.
		"a company": {
			group + `{"name":"Lee","plan":"pro","website":"https://lee.example","industry":"music","employees":40,"monthly_spend":9.5,"createdAt":"2024-01-01T00:00:00Z"}}`,
			`{"company_id":"g","name":"Lee","plan":"pro","website":"https://lee.example","industry":"music","size":40,"monthly_spend":9.5,"remote_created_at":1704067200}`,
		},
		"a company without traits": {group + `{}}`, `{"company_id":"g"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := sent(t, &intercom.Destination{AccessToken: token}, &fake{anyUser: true}, c.event)
			require.Empty(t, desttest.DiffJSON([]byte(c.want), []byte(got)), got)
		})
	}
}

func TestAttributesRoleAndVersion(t *testing.T) {
	d := &intercom.Destination{
		AccessToken: token, Version: "2.14", Region: "eu", Role: "lead",
		ContactAttributes: []string{"plan", "seats", "gone"}, CompanyAttributes: []string{"tier"},
	}
	f := &fake{version: "2.14", host: "https://api.eu.intercom.io"}
	got := sent(t, d, f, `{"type":"identify","messageId":"m","userId":"u",`+at+`,"traits":{"email":"ann@example.com","plan":"pro","seats":3,"other":1}}`)
	// sheet: Mapping, external_id not for leads.
	require.JSONEq(t, `{"role":"lead","email":"ann@example.com","last_seen_at":1777744800,"custom_attributes":{"plan":"pro","seats":3}}`, got)
	got = sent(t, d, f, `{"type":"group","messageId":"m","groupId":"g",`+at+`,"traits":{"tier":"gold","plan":"pro"}}`)
	require.JSONEq(t, `{"company_id":"g","plan":"pro","custom_attributes":{"tier":"gold"}}`, got)
	f = &fake{host: "https://api.au.intercom.io", anyUser: true}
	sent(t, &intercom.Destination{AccessToken: token, Region: "au"}, f, `{"type":"track","messageId":"m","userId":"u","event":"E",`+at+`}`)
}

func TestContactsByEmail(t *testing.T) {
	f := &fake{}
	id := f.add(map[string]any{"email": "ann@example.com"})
	d := opened(t, f)
	// sheet: Requests and call flow, without userId the field is email.
	for _, raw := range []string{
		`{"type":"identify","messageId":"m-1","anonymousId":"a",` + at + `,"traits":{"email":"ann@example.com","name":"Ann"}}`,
		`{"type":"group","messageId":"m-2","anonymousId":"a","groupId":"g",` + at + `,"traits":{"email":"ann@example.com"}}`,
	} {
		require.Equal(t, []analytics.Word{delivered}, settle(t, d, desttest.Event(t, raw)))
	}
	require.Equal(t, "Ann", f.contacts[0].fields["name"])
	require.Len(t, f.contacts, 1)
	require.Equal(t, []string{id + " ic_company_1"}, f.links)
	require.Empty(t, f.violations)
}

func TestAGroupWithoutAUserIsACompany(t *testing.T) {
	f := &fake{}
	d := opened(t, f)
	raw := `{"type":"group","messageId":"m","anonymousId":"a","groupId":"g",` + at + `,"traits":{"name":"Lee"}}`
	require.Equal(t, []analytics.Word{delivered}, settle(t, d, desttest.Event(t, raw)))
	require.Equal(t, []string{"POST /companies"}, f.requests())
}

func TestWhatIsNotSent(t *testing.T) {
	d := opened(t, &fake{})
	for raw, field := range map[string]string{
		`{"type":"identify","messageId":"m","anonymousId":"a","traits":{}}`:                               "userId",
		`{"type":"identify","messageId":"m","anonymousId":"a","traits":{"email":"ann"}}`:                  "userId",
		`{"type":"track","messageId":"m","anonymousId":"a","event":"E"}`:                                  "userId",
		`{"type":"track","messageId":"m","anonymousId":"a","event":"E","properties":{"email":"a@b@c.d"}}`: "userId",
		`{"type":"track","messageId":"m","userId":"u","properties":{}}`:                                   "event",
		`{"type":"group","messageId":"m","userId":"u","traits":{}}`:                                       "groupId",
	} {
		_, err := d.Translate(desttest.Event(t, raw))
		desttest.CheckError(t, err, token)
		var invalid *analytics.InvalidError
		require.ErrorAs(t, err, &invalid, raw)
		require.True(t, invalid.Field == field || field == "userId" && strings.Contains(invalid.Field, "email"), "%s: %v", raw, err)
	}
	for _, call := range []analytics.Call{analytics.CallPage, analytics.CallScreen, analytics.CallAlias} {
		require.False(t, d.Describe().Calls.Has(call))
	}
}

func TestTheSameEventIsTheSameItem(t *testing.T) {
	d := opened(t, &fake{})
	for _, in := range desttest.Inputs(t) {
		first := desttest.Translate(t, d, in.Event)
		for i, it := range desttest.Translate(t, d, in.Event) {
			require.Equal(t, first[i].ID, it.ID)
			require.Equal(t, string(first[i].Body), string(it.Body))
		}
	}
}

func TestOneCallForEachRequest(t *testing.T) {
	f := &fake{anyUser: true}
	d := opened(t, f)
	require.True(t, desttest.Deliver(t, d, track(t, "A", "u-1"), track(t, "B", "u-1"), track(t, "C", "u-2")).All(delivered))
	require.Equal(t, []string{"POST /events", "POST /events", "POST /events"}, f.requests())
}

func TestLongTextsAreCut(t *testing.T) {
	raw := `{"type":"track","messageId":"m","userId":"u","event":"E",` + at + `,"properties":{"title":"` + strings.Repeat("ü", 300) + `"}}`
	got := sent(t, &intercom.Destination{AccessToken: token}, &fake{anyUser: true}, raw)
	var body struct{ Metadata struct{ Title string } }
	require.NoError(t, json.Unmarshal([]byte(got), &body))
	require.True(t, strings.HasPrefix(body.Metadata.Title, strings.Repeat("ü", 250))) // sheet: Limits, ≤ 255 characters
}
