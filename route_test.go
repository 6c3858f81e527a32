package analytics

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// encoded is an event as the log holds it.
func encoded(t testing.TB, m Message) (string, recordFlags) {
	t.Helper()
	env, err := newSurroundings(nil)
	require.NoError(t, err)
	f, err := fieldsOf(m)
	require.NoError(t, err)
	f.stamp(epoch, Identity{})
	require.NoError(t, f.validate().err())
	b, flags, err := f.append(nil, epoch, env, nil)
	require.NoError(t, err)
	require.True(t, json.Valid(b), string(b))
	return string(b), flags
}

// decoded is an event that comes as JSON, with these members beside the usual ones.
func decoded(t testing.TB, members string) (string, recordFlags) {
	t.Helper()
	e := &Event{}
	if members != "" {
		members = "," + members
	}
	require.NoError(t, e.UnmarshalJSON([]byte(`{"type":"track","event":"E","userId":"u","messageId":"m"`+members+`}`)))
	return encoded(t, e)
}

// routed asks a router with all that it may know.
func routed(t testing.TB, desc Description, instance string, consent map[string][]string, members string) Reason {
	t.Helper()
	if desc.Calls == 0 {
		desc.Calls = SixCalls
	}
	event, flags := decoded(t, members)
	return newRouter(instance, desc, consent).route(flags, event)
}

func TestRouteIntegrations(t *testing.T) {
	a := Description{Name: "A", Aliases: []string{"Old A", "A (Actions)"}}
	cloud := Description{Name: IntegrationSegment, Aliases: []string{"Segment"}, IgnoreAll: true}
	house := Description{Name: IntegrationWarehouses, IgnoreAll: true}
	sales := Description{Name: "Salesforce"}
	yes, no := ReasonNone, ReasonIntegrations
	for _, row := range []struct {
		name         string
		desc         Description
		integrations string
		want         Reason
	}{
		{"1 no object", a, ``, yes},
		{"1 empty object", a, `{}`, yes},
		{"1 explicit true", a, `{"A":true}`, yes},
		{"1 explicit false", a, `{"A":false}`, no},
		{"1 All stands in for it", a, `{"All":false}`, no},
		{"1 All true", a, `{"All":true}`, yes},
		{"1 explicit true wins over All", a, `{"All":false,"A":true}`, yes},
		{"1 explicit true wins over All that comes later", a, `{"A":true,"All":false}`, yes},
		{"1 explicit false wins over All", a, `{"All":true,"A":false}`, no},
		{"1 others do not matter", a, `{"B":false,"C":{}}`, yes},
		{"1 null is no entry", a, `{"A":null,"All":false}`, no},
		{"1 null alone is no entry", a, `{"A":null}`, yes},
		{"1 Salesforce is off by default", sales, ``, no},
		{"1 Salesforce is off with an object that says nothing", sales, `{}`, no},
		{"1 Salesforce is off with entries of others", sales, `{"A":true}`, no},
		{"1 Salesforce on", sales, `{"Salesforce":true}`, yes},
		{"1 Salesforce with options", sales, `{"Salesforce":{"x":1}}`, yes},
		{"1 Salesforce off", sales, `{"Salesforce":false,"All":true}`, no},
		{"2 names are case-sensitive", a, `{"a":false}`, yes},
		{"2 All is case-sensitive", a, `{"all":false}`, yes},
		{"2 a former name", a, `{"Old A":false}`, no},
		{"2 another name", a, `{"All":false,"A (Actions)":true}`, yes},
		{"2 a name with escapes", Description{Name: "Ä \"x\""}, `{"Ä \"x\"":false}`, no},
		{"3 an object means enabled", a, `{"A":{"session_id":1},"All":false}`, yes},
		{"3 so does an empty one", a, `{"A":{},"All":false}`, yes},
		{"3 and one that holds false", a, `{"A":{"A":false,"All":false},"All":false}`, yes},
		{"4 All does not stop warehouses", house, `{"All":false}`, yes},
		{"4 All does not stop the cloud mode", cloud, `{"All":false}`, yes},
		{"4 its own entry does", cloud, `{"Segment.io":false}`, no},
		{"4 and on", cloud, `{"All":false,"Segment.io":true}`, yes},
		{"5 none", house, `{"Warehouses":{"all":false}}`, no},
		{"5 all", house, `{"Warehouses":{"all":true},"All":false}`, yes},
		{"5 a bool: off", house, `{"Warehouses":false}`, no},
		{"5 a bool: on", house, `{"Warehouses":true}`, yes},
		{"5 this one", house, `{"Warehouses":{"warehouseIds":["x","wh-1"]}}`, yes},
		{"5 others", house, `{"Warehouses":{"warehouseIds":["x","wh-2"]}}`, no},
		{"5 no id", house, `{"Warehouses":{"warehouseIds":[]}}`, no},
		{"5 ids that are none", house, `{"Warehouses":{"warehouseIds":[1,null,{"a":[]}]}}`, no},
		{"5 an empty entry", house, `{"Warehouses":{}}`, yes},
		{"11 a replay: the target", a, `{"All":false,"A":true}`, yes},
		{"11 a replay: others", Description{Name: "B"}, `{"All":false,"A":true}`, no},
		{"the last of two entries of a key counts", a, `{"A":true,"A":false}`, no},
	} {
		t.Run(row.name, func(t *testing.T) {
			members := ""
			if row.integrations != "" {
				members = `"integrations":` + row.integrations
			}
			require.Equal(t, row.want, routed(t, row.desc, "wh-1", nil, members))
			require.Equal(t, ReasonNone, routed(t, row.desc, "wh-1", nil, `"integrations":{"Salesforce":true}`))
		})
	}
	t.Run("7 all instances share one entry", func(t *testing.T) {
		require.Equal(t, no, routed(t, a, "A-eu", nil, `"integrations":{"A":false}`))
		require.Equal(t, yes, routed(t, a, "A-eu", nil, `"integrations":{"A-eu":false}`))
	})
	t.Run("9 every call", func(t *testing.T) {
		off := Integrations{}.Disable("A")
		for _, m := range []Message{
			Identify{UserID: "u", Integrations: off}, Track{UserID: "u", Event: "E", Integrations: off},
			Page{UserID: "u", Integrations: off}, Screen{UserID: "u", Integrations: off},
			Group{UserID: "u", GroupID: "g", Integrations: off}, Alias{UserID: "u", PreviousID: "p", Integrations: off},
			Object{Collection: "c", ID: "1", Properties: map[string]any{}, Integrations: off},
		} {
			event, flags := encoded(t, m)
			d := a
			d.Calls = SixCalls | CallsOf(CallObject)
			require.Equal(t, no, newRouter("A", d, nil).route(flags, event), "%T", m)
		}
	})
}

// The order of members is the order of a Go map, which is another one each time.
func TestRouteNameAndAliasInAnyOrder(t *testing.T) {
	r := newRouter("A", Description{Name: "A", Aliases: []string{"Old A", "Older A"}, Calls: SixCalls}, nil)
	event := func(integrations string) string { return `{"type":"track","integrations":` + integrations + `}` }
	flags := recordFlags(callTrack) | flagIntegrations
	for _, row := range []struct {
		one, other string
		want       Reason
	}{
		{`"A":false`, `"Old A":true`, ReasonIntegrations},
		{`"A":true`, `"Old A":false`, ReasonNone},
		{`"A":{}`, `"Older A":false`, ReasonNone},
		{`"A":null`, `"Old A":false`, ReasonIntegrations},
	} {
		require.Equal(t, row.want, r.route(flags, event(`{`+row.one+`,`+row.other+`}`)), "%s, %s", row.one, row.other)
		require.Equal(t, row.want, r.route(flags, event(`{`+row.other+`,`+row.one+`}`)), "%s, %s: the name wins over an alias", row.other, row.one)
	}
	require.Equal(t, r.route(flags, event(`{"Old A":false,"Older A":true}`)), r.route(flags, event(`{"Older A":true,"Old A":false}`)),
		"two aliases")
}

// The rows of the table of consent: which of F, G, M and the unmapped U get the event.
func TestRouteConsent(t *testing.T) {
	two := map[string][]string{"ad": {"F", "G"}, "an": {"M"}}
	both := map[string][]string{"ad": {"F", "G"}, "an": {"M", "F"}}
	for _, row := range []struct {
		name                  string
		mapping               map[string][]string
		consent, integrations string
		want                  string
	}{
		{"no consent", two, ``, ``, "FGMU"},
		{"no consent, empty integrations", two, ``, `{}`, "FGMU"},
		{"empty consent", two, `{}`, ``, "FGMU"},
		{"empty consent, empty integrations", two, `{}`, `{}`, "FGMU"},
		{"empty preferences", two, `{"categoryPreferences":{}}`, ``, "U"},
		{"empty preferences, empty integrations", two, `{"categoryPreferences":{}}`, `{}`, "U"},
		{"no consent, integrations", two, ``, `{"F":true,"M":false}`, "FGU"},
		{"empty consent, integrations", two, `{}`, `{"F":true,"M":false}`, "U"},
		{"empty consent, integrations that disable an unmapped one", two, `{}`, `{"F":true,"U":false}`, ""},
		{"empty preferences, integrations", two, `{"categoryPreferences":{}}`, `{"F":true,"M":false}`, "U"},
		{"empty preferences, integrations that disable an unmapped one", two, `{"categoryPreferences":{}}`, `{"F":true,"U":false}`, ""},
		{"categories without a mapping", nil, `{"categoryPreferences":{"ad":false,"an":false}}`, ``, "FGMU"},
		{"categories without a mapping, integrations", nil, `{"categoryPreferences":{"ad":false}}`, `{"F":false}`, "GMU"},
		{"granted and not", two, `{"categoryPreferences":{"ad":true,"an":false}}`, ``, "FGU"},
		{"granted and not, empty integrations", two, `{"categoryPreferences":{"ad":true,"an":false}}`, `{}`, "FGU"},
		{"one that is not listed still flows", two, `{"categoryPreferences":{"ad":true,"an":false}}`, `{"F":true,"M":false}`, "FGU"},
		{"integrations disable", two, `{"categoryPreferences":{"ad":true,"an":false}}`, `{"F":false,"M":false}`, "GU"},
		{"integrations never override consent", two, `{"categoryPreferences":{"ad":false,"an":true}}`, `{"F":true}`, "MU"},
		{"All never overrides consent", two, `{"categoryPreferences":{"ad":false,"an":true}}`, `{"All":true}`, "MU"},
		{"F in both, one granted", both, `{"categoryPreferences":{"ad":true,"an":false}}`, `{"F":true,"M":false}`, "GU"},
		{"F in both, both granted", both, `{"categoryPreferences":{"ad":true,"an":true}}`, `{"F":true,"M":false}`, "FGU"},
		{"F in both, the other granted", both, `{"categoryPreferences":{"ad":false,"an":true}}`, `{"F":true,"M":false}`, "U"},
		{"a category that only the CMP has", two, `{"categoryPreferences":{"ad":true,"an":true,"more":false}}`, ``, "FGMU"},
		{"a category that only we have", two, `{"categoryPreferences":{"ad":true}}`, ``, "FGU"},
		{"a preference that is no bool is not granted", two, `{"categoryPreferences":{"ad":"true","an":1}}`, ``, "U"},
		{"null is not granted", two, `{"categoryPreferences":{"ad":null,"an":true}}`, ``, "MU"},
		{"categories are case-sensitive", two, `{"categoryPreferences":{"Ad":true,"an":true}}`, ``, "MU"},
		{"consent without preferences but with more", two, `{"version":2}`, ``, "FGMU"},
		{"preferences beside more", two, `{"version":2,"categoryPreferences":{"ad":true}}`, ``, "FGU"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var members []string
			if row.consent != "" {
				members = append(members, `"context":{"consent":`+row.consent+`}`)
			}
			if row.integrations != "" {
				members = append(members, `"integrations":`+row.integrations)
			}
			got := ""
			for _, name := range []string{"F", "G", "M", "U"} {
				if routed(t, Description{Name: name}, name, row.mapping, strings.Join(members, ",")) == ReasonNone {
					got += name
				}
			}
			require.Equal(t, row.want, got)
		})
	}
	t.Run("by the reason", func(t *testing.T) {
		members := `"context":{"consent":{"categoryPreferences":{"ad":false}}},"integrations":{"F":false}`
		require.Equal(t, ReasonConsent, routed(t, Description{Name: "F"}, "F", two, members), "consent comes before integrations")
		members = `"context":{"consent":{"categoryPreferences":{"ad":false}}}`
		require.Equal(t, ReasonUnsupported, routed(t, Description{Name: "F", Calls: CallsOf(CallPage)}, "F", two, members),
			"what is not supported comes before consent")
	})
	t.Run("aliases and instances are meant as well", func(t *testing.T) {
		members := `"context":{"consent":{"categoryPreferences":{"ad":false}}}`
		require.Equal(t, ReasonConsent, routed(t, Description{Name: "New F", Aliases: []string{"F"}}, "F-eu", two, members))
	})
	t.Run("the cloud mode may be mapped", func(t *testing.T) {
		members := `"context":{"consent":{"categoryPreferences":{"ad":false}}}`
		mapping := map[string][]string{"ad": {IntegrationSegment}}
		require.Equal(t, ReasonConsent, routed(t, Description{Name: IntegrationSegment, IgnoreAll: true}, "", mapping, members))
	})
	t.Run("consent of Config.Context and of a call", func(t *testing.T) {
		env, err := newSurroundings(&Context{Consent: ConsentPreferences{CategoryPreferences: map[string]bool{"ad": false}}})
		require.NoError(t, err)
		r := newRouter("F", Description{Name: "F", Calls: SixCalls}, two)
		f := Track{UserID: "u", Event: "E", Timestamp: epoch}.fields()
		b, flags, err := f.append(nil, epoch, env, nil)
		require.NoError(t, err)
		require.Equal(t, ReasonConsent, r.route(flags, string(b)))
		f.context = &Context{Consent: ConsentPreferences{CategoryPreferences: map[string]bool{"ad": true}}}
		b, flags, err = f.append(nil, epoch, env, nil)
		require.NoError(t, err)
		require.Equal(t, ReasonNone, r.route(flags, string(b)))
	})
	t.Run("preferences that are empty and not nil", func(t *testing.T) {
		event, flags := encoded(t, Track{UserID: "u", Event: "E", Context: &Context{Consent: ConsentPreferences{CategoryPreferences: map[string]bool{}}}})
		require.Equal(t, ReasonConsent, newRouter("F", Description{Name: "F", Calls: SixCalls}, two).route(flags, event))
	})
}

func TestRouteUnsupportedCalls(t *testing.T) {
	all := map[Call]Message{
		CallIdentify: Identify{UserID: "u"}, CallTrack: Track{UserID: "u", Event: "E"}, CallPage: Page{UserID: "u"},
		CallScreen: Screen{UserID: "u"}, CallGroup: Group{UserID: "u", GroupID: "g"}, CallAlias: Alias{UserID: "u", PreviousID: "p"},
		CallObject: Object{Collection: "c", ID: "1", Properties: map[string]any{}},
	}
	for call, m := range all {
		event, flags := encoded(t, m)
		require.Equal(t, ReasonNone, newRouter("", Description{Name: "A", Calls: CallsOf(call)}, nil).route(flags, event), call)
		others := (SixCalls | CallsOf(CallObject)) &^ CallsOf(call)
		require.Equal(t, ReasonUnsupported, newRouter("", Description{Name: "A", Calls: others}, nil).route(flags, event), call)
	}
	require.False(t, SixCalls.Has(CallObject))
	require.Zero(t, CallsOf("", "Track", "nonsense"))
	require.Equal(t, ReasonUnsupported, newRouter("", Description{Name: "A", Calls: 255}, nil).route(0, `{}`), "an unknown call")
}

func TestRouteMetadata(t *testing.T) {
	a := Description{Name: "A", Aliases: []string{"Old A"}}
	for _, row := range []struct {
		name, metadata string
		desc           Description
		want           Reason
	}{
		{"bundled", `{"bundled":["B","A"],"unbundled":[],"bundledIds":[]}`, a, ReasonDevice},
		{"bundled by an alias", `{"bundled":["Old A"]}`, a, ReasonDevice},
		{"bundled with escapes", `{"bundled":["\u0041"]}`, a, ReasonDevice},
		{"unbundled", `{"bundled":["B"],"unbundled":["A"]}`, a, ReasonNone},
		{"in another letter case", `{"bundled":["a"]}`, a, ReasonNone},
		{"nothing bundled", `{"bundled":[]}`, a, ReasonNone},
		{"no list", `{"bundled":"A"}`, a, ReasonNone},
		{"odd members", `{"bundled":[1,null,["A"],{"A":"A"},true]}`, a, ReasonNone},
		{"null", `null`, a, ReasonNone},
		{"a string", `"A"`, a, ReasonNone},
		{"Segment itself gets the event all the same", `{"bundled":["A","Segment.io"]}`, Description{Name: IntegrationSegment, IgnoreAll: true}, ReasonNone},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.Equal(t, row.want, routed(t, row.desc, "A", nil, `"_metadata":`+row.metadata))
		})
	}
	t.Run("integrations come first", func(t *testing.T) {
		require.Equal(t, ReasonIntegrations, routed(t, a, "A", nil, `"_metadata":{"bundled":["A"]},"integrations":{"A":false}`))
	})
}

// An event that brings a _metadata of its own keeps it, of whatever kind it is: a
// second one beside it would leave the receiver to choose.
func TestCloudMetadataStandsOnce(t *testing.T) {
	for _, own := range []string{``, `{"bundled":[]}`, `{}`, `null`, `"x"`, `[1]`} {
		t.Run("own "+own, func(t *testing.T) {
			members := ""
			if own != "" {
				members = `"_metadata":` + own
			}
			event, flags := decoded(t, members)
			c := &Cloud{WriteKey: "k"}
			require.NoError(t, c.Open(Env{DeviceMode: []string{"A"}}))
			h := Header{HasMetadata: flags&flagMetadata != 0}
			h.scan([]byte(event))
			it, err := c.TranslateRaw(&h, []byte(event))
			require.NoError(t, err)
			body := c.appendBody(nil, &Batch{Items: []Item{it}})
			require.True(t, json.Valid(body), string(body))
			require.Equal(t, 1, strings.Count(string(body), `"_metadata"`), string(body))

			e := &Event{}
			require.NoError(t, e.UnmarshalJSON([]byte(event)))
			items, err := c.Translate(e)
			require.NoError(t, err)
			require.Equal(t, it.Data, items[0].Data, "TranslateRaw agrees with Translate")
			require.Equal(t, it.Size, items[0].Size)
		})
	}
}

func TestHeaderScan(t *testing.T) {
	full := Event{
		Type: CallTrack, MessageID: "m", UserID: "u", AnonymousID: "a", Event: "Order Completed", Timestamp: epoch,
		Properties: map[string]any{"userId": "wrong", "event": "wrong"}, Traits: map[string]any{"type": "wrong"},
		Integrations: Integrations{"messageId": true}, Metadata: map[string]any{"userId": "wrong"},
		Context: &Context{GroupID: "wrong", Extra: map[string]any{"anonymousId": "wrong"}},
		Extra:   map[string]any{"more": map[string]any{"userId": "wrong"}},
	}
	for _, row := range []struct {
		name string
		m    Message
		want Header
	}{
		{"track", full, Header{Type: CallTrack, MessageID: "m", UserID: "u", AnonymousID: "a", Event: "Order Completed"}},
		{"identify", Identify{MessageID: "m", UserID: "u"}, Header{Type: CallIdentify, MessageID: "m", UserID: "u"}},
		{"page", Page{MessageID: "m", AnonymousID: "a", Name: "Home", Category: "c"}, Header{Type: CallPage, MessageID: "m", AnonymousID: "a", Event: "Home"}},
		{"page without a name", Page{MessageID: "m", AnonymousID: "a", Category: "c"}, Header{Type: CallPage, MessageID: "m", AnonymousID: "a"}},
		{"screen", Screen{MessageID: "m", UserID: "u", Name: "Home"}, Header{Type: CallScreen, MessageID: "m", UserID: "u", Event: "Home"}},
		{"group", Group{MessageID: "m", UserID: "u", GroupID: "g"}, Header{Type: CallGroup, MessageID: "m", UserID: "u"}},
		{"alias", Alias{MessageID: "m", UserID: "u", PreviousID: "p"}, Header{Type: CallAlias, MessageID: "m", UserID: "u"}},
		{"object", Object{MessageID: "m", Collection: "rooms", ID: "1", Properties: map[string]any{"userId": "wrong"}},
			Header{Type: CallObject, MessageID: "m", Event: "rooms"}},
		{"escapes", Track{MessageID: "m\"\n\\", UserID: "ü\u2028\x01", AnonymousID: "\xff", Event: "a\tb/\U0001F600"},
			Header{Type: CallTrack, MessageID: "m\"\n\\", UserID: "ü\u2028\x01", AnonymousID: "\ufffd", Event: "a\tb/\U0001F600"}},
		{"text that looks like JSON", Track{MessageID: `m","userId":"x`, UserID: `{"u":1}`, Event: `"`},
			Header{Type: CallTrack, MessageID: `m","userId":"x`, UserID: `{"u":1}`, Event: `"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			event, _ := encoded(t, row.m)
			raw := []byte(event)
			var h Header
			h.scan(raw)
			require.Equal(t, row.want, h)
			for i := range raw {
				raw[i] = 'x' // the log uses its memory again
			}
			require.Equal(t, row.want, h, "a header keeps nothing of the log")
		})
	}
	t.Run("what the caller filled in stays", func(t *testing.T) {
		event, _ := encoded(t, Track{MessageID: "m", UserID: "u", Event: "E"})
		h := Header{Seq: 7, AcceptedAt: epoch, HasMetadata: true}
		h.scan([]byte(event))
		require.Equal(t, Header{Type: CallTrack, MessageID: "m", UserID: "u", Event: "E", Seq: 7, AcceptedAt: epoch, HasMetadata: true}, h)
	})
	t.Run("anything is survived", func(t *testing.T) {
		for _, raw := range []string{``, `{`, `{}`, `[]`, `null`, `{"type"`, `{"type":`, `{"type":"track"`, `{"userId":1}`, `{"userId":null,"event":["x"]}`, `{"messageId":"m`, "\xff"} {
			h := headerOf([]byte(raw))
			require.Empty(t, h.UserID, raw)
		}
	})
	t.Run("key", func(t *testing.T) {
		require.Equal(t, "u", (&Header{UserID: "u", AnonymousID: "a"}).Key())
		require.Equal(t, "a", (&Header{AnonymousID: "a"}).Key())
		require.Empty(t, (&Header{}).Key())
	})
}

// "event of a track call, name of a page or screen": an Event may carry fields of
// other calls.
func TestHeaderEventIsThatOfTheCall(t *testing.T) {
	for _, row := range []struct {
		call Call
		want string
	}{{CallTrack, "event"}, {CallPage, "name"}, {CallScreen, "name"}} {
		event, _ := encoded(t, Event{Type: row.call, UserID: "u", GroupID: "g", Event: "event", Name: "name"})
		require.Equal(t, row.want, headerOf([]byte(event)).Event, row.call)
	}
}

// What routing and ordering need comes first, in a fixed order, and nothing but
// strings: the scan of the header stops at the first key that is none of them.
func TestEncoderWritesTheHeaderFirst(t *testing.T) {
	header := []string{"type", "messageId", "timestamp", "userId", "anonymousId", "event", "name", "category", "groupId", "previousId", "collection", "id"}
	rank := func(key string) int {
		for i, k := range header {
			if k == key {
				return i
			}
		}
		return len(header)
	}
	messages := []Message{
		Event{Type: CallTrack, MessageID: "m", UserID: "u", AnonymousID: "a", Event: "e", Name: "n", Category: "c", GroupID: "g", PreviousID: "p",
			Collection: "col", ObjectID: "o", Channel: "server", SentAt: epoch, ReceivedAt: epoch, OriginalTimestamp: epoch,
			Properties: map[string]any{"a": 1}, Traits: map[string]any{"b": 2}, Context: &Context{IP: "1.2.3.4"}, Integrations: Integrations{"A": true},
			Metadata: map[string]any{"bundled": []any{}}, Extra: map[string]any{"x": 1}},
		Identify{UserID: "u", Traits: map[string]any{"a": 1}}, Track{AnonymousID: "a", Event: "E"}, Page{UserID: "u", Name: "n"},
		Screen{UserID: "u", Category: "c"}, Group{UserID: "u", GroupID: "g"}, Alias{UserID: "u", PreviousID: "p"},
		Object{Collection: "c", ID: "1", Properties: map[string]any{"a": 1}},
	}
	for _, m := range messages {
		for range 20 { // maps have another order each time
			event, _ := encoded(t, m)
			last, keys := -1, map[string]bool{}
			jsontext.EachMember(event, func(key, value string) bool {
				require.False(t, keys[key], "%T has %s twice: %s", m, key, event)
				keys[key] = true
				r := rank(key)
				require.GreaterOrEqual(t, r, last, "%T: %s is too late in %s", m, key, event)
				if r < len(header) {
					require.Equal(t, byte('"'), value[0], key)
				}
				last = r
				return true
			})
			require.True(t, strings.HasPrefix(event, `{"type":"`))
		}
	}
}

func TestEventCache(t *testing.T) {
	raw := func(n int) []byte {
		return fmt.Appendf(nil, `{"type":"track","event":"E%d","userId":"u","messageId":"m"}`, n)
	}
	log, other := LogID{1}, LogID{2}
	t.Run("an event is decoded once", func(t *testing.T) {
		c := &eventCache{}
		a, err := c.get(log, 5, raw(5))
		require.NoError(t, err)
		b, err := c.get(log, 5, raw(5))
		require.NoError(t, err)
		require.Same(t, a, b)
	})
	t.Run("logs and sequences are kept apart", func(t *testing.T) {
		c := &eventCache{}
		for i, id := range []LogID{log, other, log} {
			e, err := c.get(id, 5, raw(i))
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("E%d", i), e.Event)
		}
		e, err := c.get(log, 5+1024, raw(9))
		require.NoError(t, err)
		require.Equal(t, "E9", e.Event)
		e, err = c.get(log, 5, raw(7))
		require.NoError(t, err)
		require.Equal(t, "E7", e.Event, "who is far behind decodes for itself")
	})
	t.Run("sequence 0 of the zero log", func(t *testing.T) {
		e, err := new(eventCache).get(LogID{}, 0, raw(1))
		require.NoError(t, err)
		require.Equal(t, "E1", e.Event)
	})
	t.Run("an event keeps nothing of the log", func(t *testing.T) {
		b := raw(3)
		e, err := new(eventCache).get(log, 3, b)
		require.NoError(t, err)
		clear(b)
		require.Equal(t, "E3", e.Event)
		require.Equal(t, "u", e.UserID)
	})
	t.Run("what cannot be decoded is an error and not kept", func(t *testing.T) {
		c := &eventCache{}
		_, err := c.get(log, 1, []byte(`{"type":`))
		require.Error(t, err)
		_, err = c.get(log, 1, raw(1))
		require.NoError(t, err)
	})
	t.Run("from many goroutines", func(t *testing.T) {
		c := &eventCache{}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := range 3000 {
					e, err := c.get(log, uint64(i+g*100), raw(i+g*100))
					if err != nil || e.Event != fmt.Sprintf("E%d", i+g*100) {
						t.Errorf("%d: %v %v", i, e, err)
					}
				}
			}()
		}
		wg.Wait()
	})
}
