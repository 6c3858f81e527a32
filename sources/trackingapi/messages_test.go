package trackingapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

func strict(cfg *trackingapi.Config, _ *analytics.Config) { cfg.Strict = true }

func withOrigins(origins ...string) func(*trackingapi.Config, *analytics.Config) {
	return func(cfg *trackingapi.Config, _ *analytics.Config) { cfg.Origins = origins }
}

// badMessage is one that is discarded, and why.
type badMessage struct {
	name, code string
	message    string // with its type
}

func badMessages() []badMessage {
	const user, preferences = `"userId":"u-1"`, `"type":"track","event":"Segment Consent Preference Updated","userId":"u-1"`
	all := []badMessage{
		{"no ids", "no_user_anon_id", `{"type":"track","event":"E"}`},
		{"both ids null", "no_user_anon_id", `{"type":"track","event":"E","userId":null,"anonymousId":null}`},
		{"a number as id", "id_not_string", `{"type":"track","event":"E","userId":7}`},
		{"an empty id", "id_not_string", `{"type":"track","event":"E","userId":""}`},
		{"a list as second id", "id_not_string", `{"type":"track","event":"E","userId":"u-1","anonymousId":["a"]}`},
		{"an empty second id", "id_not_string", `{"type":"identify","userId":"u-1","anonymousId":""}`},
		{"an alias without userId", "id_required", `{"type":"alias","anonymousId":"a-1","previousId":"p-1"}`},
		{"an alias without previousId", "id_required", `{"type":"alias",` + user + `}`},
		{"a number as previousId", "id_not_string", `{"type":"alias",` + user + `,"previousId":7}`},
		{"a group without groupId", "id_required", `{"type":"group",` + user + `}`},
		{"a number as groupId", "id_not_string", `{"type":"group",` + user + `,"groupId":7}`},
		{"an empty groupId", "id_not_string", `{"type":"group",` + user + `,"groupId":""}`},
		{"no event", "event_not_defined", `{"type":"track",` + user + `}`},
		{"an empty event", "event_not_defined", `{"type":"track",` + user + `,"event":""}`},
		{"a null event", "event_not_defined", `{"type":"track",` + user + `,"event":null}`},
		{"a number as event", "event_not_string", `{"type":"track",` + user + `,"event":7}`},
		{"an object as event", "event_not_string", `{"type":"track",` + user + `,"event":{}}`},
		{"no type", "bad_request", `{` + user + `,"event":"E"}`},
		{"an unknown type", "bad_request", `{"type":"tracks",` + user + `,"event":"E"}`},
		{"a type in capitals", "bad_request", `{"type":"Track",` + user + `,"event":"E"}`},
		{"a number as type", "bad_request", `{"type":7,` + user + `,"event":"E"}`},
		{"an object of the objects API", "bad_request", `{"type":"object","collection":"rooms","id":"r-1","properties":{}}`},
		{"null", "bad_request", `null`},
		{"a text", "bad_request", `"track"`},
		{"a list", "bad_request", `[]`},
		{"a number", "bad_request", `7`},
		{"too large a message", "bad_request", `{"type":"track","event":"E",` + user + `,"properties":{"pad":"` + strings.Repeat("x", 33<<10) + `"}}`},
		{"too long a messageId", "bad_request", `{"type":"track","event":"E",` + user + `,"messageId":"` + strings.Repeat("x", 101) + `"}`},
		{"a number as messageId", "bad_request", `{"type":"track","event":"E",` + user + `,"messageId":7}`},
		{"a context that is none", "bad_request", `{"type":"track","event":"E",` + user + `,"context":"x"}`},
		{"integrations that are none", "bad_request", `{"type":"track","event":"E",` + user + `,"integrations":[]}`},
		{"a timestamp that is none", "bad_request", `{"type":"track","event":"E",` + user + `,"timestamp":"yesterday"}`},
		{"10,000 lists in each other", "bad_request", `{"type":"track","event":"E",` + user + `,"properties":{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}}`},
		{"2,000 objects in each other", "bad_request", `{"type":"track","event":"E",` + user + `,"properties":` + strings.Repeat(`{"a":`, 2_000) + "1" + strings.Repeat("}", 2_000) + `}`},
		{"consent that is missing", "consent_categorypreferences_should_exist", `{` + preferences + `}`},
		{"preferences that are none", "consent_categorypreferences_fields_should_be_object", `{` + preferences + `,"context":{"consent":{"categoryPreferences":[]}}}`},
		{"a preference that is none", "consent_categorypreferences_fields_should_be_bool", `{` + preferences + `,"context":{"consent":{"categoryPreferences":{"ad":"yes"}}}}`},
		{"a version that is none", "consent_version_should_be_number", `{` + preferences + `,"context":{"consent":{"version":"1","categoryPreferences":{"ad":true}}}}`},
		{"an advertisingId that is none", "device_advertisingid_should_be_string", `{` + preferences + `,"context":{"device":{"advertisingId":7},"consent":{"categoryPreferences":{"ad":true}}}}`},
	}
	for _, value := range []string{`[]`, `"x"`, `7`, `true`} {
		all = append(all, badMessage{"properties " + value, "properties_not_object", `{"type":"track","event":"E",` + user + `,"properties":` + value + `}`},
			badMessage{"traits " + value, "traits_not_object", `{"type":"identify",` + user + `,"traits":` + value + `}`},
			badMessage{"group traits " + value, "traits_not_object", `{"type":"group","groupId":"g-1",` + user + `,"traits":` + value + `}`})
	}
	for _, kind := range []string{"page", "screen"} {
		for _, value := range []string{`7`, `""`, `{}`} {
			all = append(all, badMessage{kind + " name " + value, "name_not_string", `{"type":"` + kind + `",` + user + `,"name":` + value + `}`},
				badMessage{kind + " category " + value, "category_not_string", `{"type":"` + kind + `",` + user + `,"category":` + value + `}`})
		}
	}
	return all
}

// TestBadMessages: the others of their batch get in, the answer is that of a good
// request, and the discard says why; strictly, the answer does.
func TestBadMessages(t *testing.T) {
	f, s := newFixture(t), newFixture(t, strict)
	for i, bad := range badMessages() {
		t.Run(bad.name, func(t *testing.T) {
			f.t, s.t = t, t
			good := func(n int) string {
				return fmt.Sprintf(`{"type":"track","event":"E","userId":"u-1","messageId":"%d-%d"}`, i, n)
			}
			f.accepted(f.post("/v1/batch", `{"batch":[`+good(1)+`,`+bad.message+`,`+good(2)+`]}`))
			require.Equal(t, []string{fmt.Sprint(i, "-1"), fmt.Sprint(i, "-2")}, f.ids())
			require.Equal(t, []string{bad.code}, f.codes())

			s.refused(s.post("/v1/batch", `{"batch":[`+bad.message+`,`+good(3)+`]}`), http.StatusBadRequest, bad.code)
			s.raw()
			s.codes()
		})
	}
}

func TestConsentOfTheBatchStandsIn(t *testing.T) {
	f := newFixture(t)
	const event = `"type":"track","event":"Segment Consent Preference Updated","userId":"u-1","messageId":`
	f.accepted(f.post("/v1/batch", `{"context":{"consent":{"categoryPreferences":{"ad":true}}},"batch":[{`+event+`"m-1"},{`+event+`"m-2","context":{"consent":null}}]}`))
	f.accepted(f.post("/v1/track", `{`+event+`"m-3","context":{"device":{"advertisingId":null},"consent":{"version":null,"categoryPreferences":{}}}}`))
	require.Equal(t, []string{"m-1", "m-2", "m-3"}, f.ids())
	require.Empty(t, f.codes())
}

// TestBadMessagesAlone: a single call that is not valid is answered as at Segment.
func TestBadMessagesAlone(t *testing.T) {
	f := newFixture(t)
	for _, bad := range badMessages() {
		kind, ok := strings.CutPrefix(bad.message, `{"type":"`)
		kind, _, _ = strings.Cut(kind, `"`)
		if path := "/v1/" + kind; ok && len(bad.message) < 1000 && analytics.SixCalls.Has(analytics.Call(kind)) {
			for _, body := range []string{bad.message, "{" + strings.TrimPrefix(bad.message, `{"type":"`+kind+`",`)} {
				f.accepted(f.post(path, body))
				require.Empty(t, f.ids(), bad.name)
				require.Equal(t, []string{bad.code}, f.codes(), bad.name)
			}
		}
	}
}

func TestDiscardsSayWhoAndWhat(t *testing.T) {
	var got []trackingapi.Discard
	f := newFixture(t, func(cfg *trackingapi.Config, _ *analytics.Config) {
		cfg.OnDiscard = func(d trackingapi.Discard) { got = append(got, d) }
	})
	f.accepted(f.post("/v1/batch", `{"batch":[{"type":"track","event":7,"userId":"u-1","messageId":"m-7"},{"type":"group","userId":"u-1"}]}`))
	require.Len(t, got, 2)
	for _, d := range got {
		require.Equal(t, "fixture", d.Source)
		require.Error(t, d.Err)
	}
	require.Equal(t, trackingapi.Code("event_not_string"), got[0].Code)
	require.Equal(t, "event", got[0].Field)
	require.Equal(t, "m-7", got[0].MessageID)
	require.Equal(t, "groupId", got[1].Field)
}

func TestEmptyBatch(t *testing.T) {
	f := newFixture(t)
	f.accepted(f.post("/v1/batch", `{"batch":[]}`))
	require.Equal(t, []string{"empty_batch"}, f.codes())
	require.Empty(t, f.ids())
	for _, body := range []string{`{"batch":{}}`, `{"batch":"x"}`, `{"batch":7}`} {
		f.refused(f.post("/v1/batch", body), http.StatusBadRequest, "bad_request")
		require.Empty(t, f.ids())
	}
}

func TestBatchWideMembersAreMerged(t *testing.T) {
	f := newFixture(t)
	f.accepted(f.post("/v1/batch", `{
		"context": {"app": {"name": "shop", "version": "1"}, "locale": "de-DE", "custom": 1.0, "ip": "203.0.113.9"},
		"integrations": {"All": false, "Amplitude": {"session_id": 1}},
		"messageId": "of the batch", "sentAt": null,
		"batch": [
			{"type":"track","event":"A","userId":"u-1","messageId":"m-1"},
			{"type":"track","event":"B","userId":"u-1","messageId":"m-2","context":{"app":{"version":"2"},"custom":{"own":true}},"integrations":{"Amplitude":true,"Mixpanel":false}}
		]}`))
	got := f.events()
	require.Len(t, got, 2)
	whole := decoded(t, `{"app":{"name":"shop","version":"1"},"locale":"de-DE","custom":1.0,"ip":"203.0.113.9"}`)
	require.Equal(t, whole, got[0]["context"])
	require.Equal(t, decoded(t, `{"All":false,"Amplitude":{"session_id":1}}`), got[0]["integrations"])
	require.Equal(t, "m-1", got[0]["messageId"])
	require.Equal(t, decoded(t, `{"app":{"name":"shop","version":"2"},"locale":"de-DE","custom":{"own":true},"ip":"203.0.113.9"}`), got[1]["context"])
	require.Equal(t, decoded(t, `{"All":false,"Amplitude":true,"Mixpanel":false}`), got[1]["integrations"])
}

// TestTimes goes by the formula: timestamp = receivedAt - (sentAt - originalTimestamp).
func TestTimes(t *testing.T) {
	for _, c := range []struct {
		name, envelope, message   string
		timestamp, original, sent string // offsets from receivedAt; empty: absent
	}{
		{"nothing is given", ``, ``, "0s", "", ""},
		{"no sentAt", ``, `,"timestamp":"-1h"`, "-1h", "-1h", ""},
		{"sentAt is null", `,"sentAt":null`, `,"timestamp":"-1h"`, "-1h", "-1h", ""},
		{"a clock that is right", `,"sentAt":"0s"`, `,"timestamp":"-1h"`, "-1h", "-1h", "0s"},
		{"a clock that is behind", `,"sentAt":"-24h"`, `,"timestamp":"-24h0m5s"`, "-5s", "-24h0m5s", "-24h"},
		{"a clock that is ahead", `,"sentAt":"1000h"`, `,"timestamp":"999h"`, "-1h", "999h", "1000h"},
		{"sent before it happened", `,"sentAt":"0s"`, `,"timestamp":"1h"`, "1h", "1h", "0s"},
		{"the message's own sentAt wins", `,"sentAt":"-2h"`, `,"timestamp":"-1h","sentAt":"-30m"`, "-30m", "-1h", "-30m"},
		{"the batch's timestamp", `,"timestamp":"-3h","sentAt":"-1h"`, ``, "-2h", "-3h", "-1h"},
		{"the message's own timestamp wins", `,"timestamp":"-3h","sentAt":"-1h"`, `,"timestamp":"-2h"`, "-1h", "-2h", "-1h"},
		{"sentAt alone", `,"sentAt":"-1h"`, ``, "0s", "", "-1h"},
		{"a receivedAt of the client", ``, `,"receivedAt":"-9h"`, "0s", "", ""},
		{"a millisecond", `,"sentAt":"-1ms"`, `,"timestamp":"-3ms"`, "-2ms", "-3ms", "-1ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				time.Sleep(72*time.Hour + 12*time.Millisecond)
				now := time.Now()
				iso := func(offset string) string {
					d, err := time.ParseDuration(offset)
					require.NoError(t, err)
					return now.Add(d).UTC().Format("2006-01-02T15:04:05.000Z")
				}
				dates := func(s string) string {
					parts := strings.Split(s, `"`)
					for i, p := range parts {
						if _, err := time.ParseDuration(p); err == nil {
							parts[i] = iso(p)
						}
					}
					return strings.Join(parts, `"`)
				}
				f.accepted(f.post("/v1/batch", `{"batch":[{"type":"track","event":"E","userId":"u-1"`+dates(c.message)+`},{"type":"track","event":"F","userId":"u-1"`+dates(c.message)+`}]`+dates(c.envelope)+`}`))
				got := f.events()
				require.Len(t, got, 2)
				for _, e := range got {
					require.Equal(t, iso("0s"), e["receivedAt"])
					for name, offset := range map[string]string{"timestamp": c.timestamp, "originalTimestamp": c.original, "sentAt": c.sent} {
						if offset == "" {
							require.NotContains(t, e, name)
						} else {
							require.Equal(t, iso(offset), e[name], name)
						}
					}
					require.NotEmpty(t, e["messageId"], "one is made")
				}
				require.NotEqual(t, got[0]["messageId"], got[1]["messageId"])
			})
		})
	}
}

func TestDuplicateMessages(t *testing.T) {
	f := newFixture(t)
	message := func(id string) string {
		return fmt.Sprintf(`{"type":"track","event":"E","userId":"u-1","messageId":%q}`, id)
	}
	f.accepted(f.post("/v1/batch", `{"batch":[`+message("a")+`,`+message("b")+`,`+message("a")+`]}`))
	require.Equal(t, []string{"a", "b"}, f.ids())
	f.accepted(f.post("/v1/batch", `{"batch":[`+message("b")+`,`+message("c")+`]}`))
	f.accepted(f.post("/v1/track", message("c")))
	f.accepted(f.post("/v1/track", message("A"))) // another id
	require.Equal(t, []string{"c", "A"}, f.ids())

	f.accepted(f.post("/v1/track", `{"messageId":"d","userId":"u-1"}`)) // no event: not accepted, so not seen
	f.accepted(f.post("/v1/track", message("d")))
	require.Equal(t, []string{"d"}, f.ids())

	f.accepted(f.post("/v1/track", `{"messageId":"d","userId":"u-1"}`)) // and does not make what was accepted forgotten
	f.accepted(f.post("/v1/track", message("d")))
	require.Empty(t, f.ids())

	long := strings.Repeat("x", 99)
	f.accepted(f.post("/v1/batch", `{"batch":[`+message(long+"1")+`,`+message(long+"2")+`]}`))
	require.Len(t, f.ids(), 2, "the whole id counts")
	f.accepted(f.post("/v1/batch", `{"batch":[`+message("\u00e9")+`,`+strings.Replace(message("E"), `"E"}`, `"\u00e9"}`, 1)+`]}`))
	require.Len(t, f.ids(), 1, "an id is its text, however it is written")

	off := newFixture(t, func(cfg *trackingapi.Config, _ *analytics.Config) { cfg.NoDedupe = true })
	off.accepted(off.post("/v1/batch", `{"batch":[`+message("a")+`,`+message("a")+`]}`))
	require.Equal(t, []string{"a", "a"}, off.ids())
}

func TestAddressOfThePeer(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct{ context, want string }{
		{`{}`, "192.0.2.1"},
		{`{"library":{"name":"analytics.js"}}`, "192.0.2.1"},
		{`{"ip":"0.0.0.0"}`, "0.0.0.0"},
		{`{"library":{"name":"@segment/analytics-node"}}`, ""},
		{`{"library":{"name":"@segment/analytics-node"},"direct":true}`, "192.0.2.1"},
		{`{"library":{"name":"analytics.js"},"direct":false}`, ""},
	} {
		h := joined(basic(fixtureKey+":"), http.Header{"X-Forwarded-For": {"198.51.100.1"}}) // of nobody whom we trust
		f.accepted(f.do(call{http.MethodPost, "/v1/track", h, strings.NewReader(`{"event":"E","userId":"u-1","context":` + c.context + `}`)}))
		got := f.events()
		require.Len(t, got, 1)
		ip, _ := got[0]["context"].(map[string]any)["ip"].(string)
		require.Equal(t, c.want, ip, c.context)
	}
}
