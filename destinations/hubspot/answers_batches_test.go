package hubspot_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/hubspot"
)

func TestBatches(t *testing.T) {
	t.Run("the inputs of a batch are those of single requests, in order", func(t *testing.T) {
		for _, lane := range lanes {
			one, all := newFake(), newFake()
			d, _ := open(t, one)
			for _, e := range events(t, lane, 4) {
				require.True(t, desttest.Deliver(t, d, e).All(analytics.WordDelivered))
			}
			d, _ = open(t, all)
			require.True(t, desttest.Deliver(t, d, events(t, lane, 4)...).All(analytics.WordDelivered))
			for _, r := range append(one.accepted, all.accepted...) {
				delete(r.input, "objectWriteTraceId") // the place in the request
			}
			require.Equal(t, one.accepted, all.accepted)
		}
	})
	t.Run("calls of several kinds make a request for each kind", func(t *testing.T) {
		f := newFake()
		d, tool := open(t, f)
		var mixed []*analytics.Event
		for i := range 3 {
			for _, lane := range lanes {
				mixed = append(mixed, events(t, lane, 3)[i])
			}
		}
		require.True(t, desttest.Deliver(t, d, mixed...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 3)
		require.ElementsMatch(t, append(append(ids("contacts", 0, 1, 2), ids("companies", 0, 1, 2)...), ids("events", 0, 1, 2)...), f.ids())
	})
	t.Run("one more than fit makes two requests", func(t *testing.T) {
		for lane, most := range map[string]int{"contacts": 100, "companies": 100, "events": 500} { // sheet: Requests
			f := newFake()
			d, tool := open(t, f)
			require.True(t, desttest.Deliver(t, d, events(t, lane, most+1)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 2)
			require.Len(t, f.ids(), most+1)
			require.Empty(t, f.violations)
		}
	})
	t.Run("the same events twice have the same dedupe keys", func(t *testing.T) {
		f := newFake()
		d, _ := open(t, f)
		for range 2 {
			require.True(t, desttest.Deliver(t, d, events(t, "events", 3)...).All(analytics.WordDelivered))
		}
		require.Equal(t, ids("events", 0, 1, 2, 0, 1, 2), f.ids())
		require.Equal(t, 3, f.repeated())
	})
	t.Run("a request is no larger than it was counted", func(t *testing.T) {
		for _, lane := range lanes {
			testBytes(t, lane)
		}
	})
}

// testBytes fills a request of the lane to the byte, and then adds one.
func testBytes(t *testing.T, lane string) {
	d, _ := open(t, newFake())
	limits := d.Describe().Lanes[lane]
	room := limits.MaxBytes
	if room == 0 {
		room = 1_000_000 // the contract's default
	}
	items := desttest.Translate(t, d, events(t, lane, 3)...)
	left := room - limits.Overhead
	for i := range items {
		left -= len(items[i].Body) + limits.ItemOverhead
	}
	pad := func(n int) []analytics.Item {
		full := append([]analytics.Item(nil), items...)
		for i, share := range []int{n / 3, n / 3, n - n/3*2} {
			full[i].Body = bytes.Replace(items[i].Body, []byte("Good"), append([]byte("Good"), bytes.Repeat([]byte("x"), share)...), 1)
			full[i].Size = len(full[i].Body)
		}
		return full
	}
	for n, want := range map[int]int{left: 1, left + 1: 2} {
		f := newFake()
		f.maxText = 0
		tool := desttest.Serve(f)
		d := newHubSpot()
		desttest.Open(t, d, tool)
		batches := desttest.Batches(t, d, pad(n))
		require.Len(t, batches, want, lane)
		for _, b := range batches {
			require.True(t, desttest.DeliverBatch(t, d, b).All(analytics.WordDelivered))
		}
		for _, r := range tool.Requests() {
			require.LessOrEqual(t, len(r.Body), room, lane)
		}
		require.ElementsMatch(t, ids(lane, 0, 1, 2), f.ids())
	}
}

// sheet: Requests, keep the last, merge the properties
func TestOneInputForOneContact(t *testing.T) {
	f := newFake()
	d, tool := open(t, f)
	list := events(t, "contacts", 3)
	for i, traits := range []string{
		`{"email":"Ann@Example.com","firstName":"Ann","phone":"+1"}`,
		`{"email":"bob@example.com","firstName":"Bob"}`,
		`{"email":" ann@example.com ","firstName":"Anna","lastName":"Lee"}`,
	} {
		list[i].Traits = nil
		require.NoError(t, json.Unmarshal([]byte(traits), &list[i].Traits))
	}
	require.Equal(t, words(3, analytics.WordDelivered), desttest.Deliver(t, d, list...).Words())
	require.Len(t, tool.Requests(), 1)
	require.Empty(t, f.violations)
	require.ElementsMatch(t, []string{"ann@example.com", "bob@example.com"}, f.ids())
	for _, r := range f.accepted {
		if r.id == "ann@example.com" {
			require.Equal(t, map[string]any{
				"email": "ann@example.com", "firstname": "Anna", "lastname": "Lee", "phone": "+1",
			}, r.input["properties"])
		}
	}
}

// HubSpot refuses a batch in which two inputs are one record, of any kind.
func TestOneInputForOneCompany(t *testing.T) {
	f := newFake()
	d, _ := open(t, f)
	list := events(t, "companies", 3)
	list[2].GroupID = list[0].GroupID
	require.Equal(t, words(3, analytics.WordDelivered), desttest.Deliver(t, d, list...).Words())
	require.Empty(t, f.violations)
	require.ElementsMatch(t, ids("companies", 0, 1), f.ids())
}

func TestWide(t *testing.T) {
	f := newFake()
	f.maxProperties, f.maxText = 0, 0 // general knowledge, which no test asserts
	d, _ := open(t, f)
	for _, in := range append(desttest.Inputs(t), desttest.Wide(t)...) {
		items, err := d.Translate(in.Event)
		if err != nil {
			desttest.CheckError(t, err, secret)
			continue
		}
		if len(items) == 0 {
			continue
		}
		before := len(f.violations)
		results := desttest.Deliver(t, d, in.Event)
		require.Len(t, f.violations, before, "%s: %v", in.ID, f.violations)
		require.True(t, results.All(analytics.WordDelivered), "%s: %+v", in.ID, results)
	}
	kinds := map[string]int{}
	for _, r := range f.accepted {
		kinds[r.kind]++
	}
	require.Len(t, kinds, 3)
	require.Greater(t, kinds["contact"], 10)
	require.Greater(t, kinds["event"], 10)
}

func TestOffUnlessAskedFor(t *testing.T) {
	d := &hubspot.Destination{AccessToken: secret, PortalID: portal}
	desttest.Open(t, d, desttest.Serve(newFake()))
	require.Empty(t, desttest.Translate(t, d, events(t, "companies", 1)...)) // sheet: Settings, Companies
	require.Empty(t, desttest.Translate(t, d, events(t, "events", 1)...))    // sheet: Settings, AutoEvents
	require.Len(t, desttest.Translate(t, d, events(t, "contacts", 1)...), 1)
}

// sheet: Settings, Events
func TestEventsThatAreDefined(t *testing.T) {
	f := newFake()
	d := &hubspot.Destination{AccessToken: secret, Events: map[string]hubspot.Event{
		"Song Played":  {Name: "pe62515_played", Properties: []string{"title", "seconds"}},
		"Song Stopped": {Name: "pe62515_stopped"},
	}}
	desttest.Open(t, d, desttest.Serve(f))
	list := events(t, "events", 3)
	list[1].Event, list[2].Event = "Song Stopped", "Song Skipped"
	require.Equal(t, words(2, analytics.WordDelivered), desttest.Deliver(t, d, list...).Words())
	require.Equal(t, ids("events", 0, 1), f.ids())
	require.Equal(t, "pe62515_played", f.accepted[0].input["eventName"])
	require.Equal(t, map[string]any{"title": "Good"}, f.accepted[0].input["properties"])
	require.Equal(t, "pe62515_stopped", f.accepted[1].input["eventName"])
	require.Equal(t, map[string]any{"title": "Good", "email": person(1)}, f.accepted[1].input["properties"])
	require.Empty(t, f.violations)
}

// sheet: Settings, ContactProperties and CompanyProperties
func TestPropertiesThatAreAdded(t *testing.T) {
	f := newFake()
	for _, added := range []string{"lifecyclestage", "shoe_size", "colours"} {
		f.contactProperties[added], f.companyProperties[added] = true, true
	}
	paths := map[string]string{"stage": "lifecyclestage", "body.shoe": "shoe_size", "colours": "colours", "none": "missing"}
	d := &hubspot.Destination{AccessToken: secret, Companies: true, ContactProperties: paths, CompanyProperties: paths}
	desttest.Open(t, d, desttest.Serve(f))
	for _, lane := range crm {
		e := events(t, lane, 1)[0]
		e.Traits = nil
		require.NoError(t, json.Unmarshal([]byte(`{"email":"ann@example.com","stage":"Lead","body":{"shoe":42},"colours":["red",null,{"a":1}],"plan":"pro"}`), &e.Traits))
		require.True(t, desttest.Deliver(t, d, e).All(analytics.WordDelivered))
	}
	require.Empty(t, f.violations)
	for i, key := range []string{"email", "segment_group_id"} {
		got := f.accepted[i].input["properties"].(map[string]any)
		require.Equal(t, map[string]any{
			key: f.accepted[i].id, "lifecyclestage": "lead", "shoe_size": json.Number("42"), "colours": `red;{"a":1}`,
		}, got)
	}
}

// send hands events to a client in front of the fake and closes it when all have an
// outcome. It returns the reasons of those that were dropped.
func send(t *testing.T, f *fake, list []*analytics.Event) (dropped []analytics.Reason) {
	client, err := analytics.New(analytics.Config{
		Destinations: []analytics.Destination{newHubSpot()},
		HTTPClient:   desttest.Serve(f).Client(),
		Logger:       slog.New(slog.DiscardHandler),
		DeadLetters: func(l analytics.DeadLetter) error {
			dropped = append(dropped, l.Reason)
			return nil
		},
	})
	require.NoError(t, err)
	for _, e := range list {
		switch e.Type {
		case analytics.CallIdentify:
			err = client.Identify(t.Context(), analytics.Identify{UserID: e.UserID, MessageID: e.MessageID, Traits: e.Traits})
		default:
			err = client.Track(t.Context(), analytics.Track{UserID: e.UserID, MessageID: e.MessageID, Event: e.Event, Properties: e.Properties})
		}
		require.NoError(t, err)
	}
	require.NoError(t, client.Flush(t.Context()))
	require.NoError(t, client.Close(t.Context()))
	return dropped
}

// sheet: Limits, Order
func TestAnEventWaitsForItsContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.next(503, nil, "")
		f.next(429, nil, `{"policyName":"TEN_SECONDLY_ROLLING"}`)
		list := append(events(t, "contacts", 1), events(t, "events", 1)...)
		list[1].MessageID = messageID(9)
		require.Empty(t, send(t, f, list))
		require.Equal(t, []string{person(0), messageID(9)}, f.ids())
	})
}

// sheet: Responses, 200 and 409
func TestOnceMoreIsOnce(t *testing.T) {
	for status, body := range map[int]string{409: `{"category":"CONFLICT"}`, 200: `{"status":"COMPLETE"}`} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.next(status, nil, body)
			require.Empty(t, send(t, f, events(t, "contacts", 1)))
			require.Equal(t, ids("contacts", 0), f.ids())

			f = newFake()
			f.next(status, nil, body)
			f.next(status, nil, body)
			require.Len(t, send(t, f, events(t, "contacts", 1)), 1)
			require.Empty(t, f.ids())
		})
	}
}
