package hubspot_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/hubspot"
)

const (
	secret = "hs_token"
	portal = "62515"
)

// newHubSpot has the settings of the sheet's examples.
func newHubSpot() *hubspot.Destination {
	return &hubspot.Destination{AccessToken: secret, PortalID: portal, AutoEvents: true, Companies: true}
}

// open returns a destination in front of a fake.
func open(t *testing.T, f *fake) (*hubspot.Destination, *desttest.Tool) {
	d, tool := newHubSpot(), desttest.Serve(f)
	desttest.Open(t, d, tool)
	return d, tool
}

const at = `"timestamp":"2026-05-02T18:00:00.000Z"`

// messageID is a UUID of its own for each n.
func messageID(n int) string { return fmt.Sprintf("0d3f1a52-7f5e-4b0e-9a44-%012x", n) }

func person(n int) string { return fmt.Sprintf("person%d@example.com", n) }

// events makes n of what becomes an item of the lane, each of another user. Those whose
// number is one of bad are named so.
func events(t testing.TB, lane string, n int, bad ...int) []*analytics.Event {
	t.Helper()
	list := make([]*analytics.Event, n)
	for i := range list {
		name := "Good"
		if slices.Contains(bad, i) {
			name = "Bad"
		}
		head := fmt.Sprintf(`{"messageId":%q,"userId":"user-%d",%s,`, messageID(i), i, at)
		switch lane {
		case "contacts":
			head += fmt.Sprintf(`"type":"identify","traits":{"email":%q,"firstName":%q}}`, person(i), name)
		case "companies":
			head += fmt.Sprintf(`"type":"group","groupId":"org-%d","traits":{"name":%q}}`, i, name)
		case "events":
			head += fmt.Sprintf(`"type":"track","event":"Song Played","properties":{"email":%q,"title":%q}}`, person(i), name)
		}
		list[i] = desttest.Event(t, head)
	}
	return list
}

// isBad tells of the inputs that events names so.
func isBad(input map[string]any) bool {
	p, _ := input["properties"].(map[string]any)
	return p["firstname"] == "Bad" || p["name"] == "Bad" || p["title"] == "Bad"
}

// ids are those under which the fake knows the numbered events of a lane.
func ids(lane string, numbers ...int) []string {
	list := []string{}
	for _, n := range numbers {
		list = append(list, map[string]string{"contacts": person(n), "companies": fmt.Sprintf("org-%d", n), "events": messageID(n)}[lane])
	}
	return list
}

var lanes = []string{"contacts", "companies", "events"}

// crm are the lanes whose answers list what was done.
var crm = []string{"contacts", "companies"}

// batch is one request's worth of the events.
func batch(t testing.TB, d analytics.Destination, list []*analytics.Event) *analytics.Batch {
	t.Helper()
	batches := desttest.Batches(t, d, desttest.Translate(t, d, list...))
	require.Len(t, batches, 1)
	return batches[0]
}

// drive delivers a batch as the client does until each of its items has its last word,
// in the order of the batch. What is to be tried once more is tried once more.
func drive(t *testing.T, d analytics.Destination, b *analytics.Batch) []analytics.Word {
	t.Helper()
	last, twice := map[string]analytics.Word{}, map[string]bool{}
	queue := []*analytics.Batch{b}
	for round := 0; len(queue) > 0; round++ {
		require.Less(t, round, 100, "it does not end")
		one := queue[0]
		queue = queue[1:]
		results := desttest.DeliverBatch(t, d, one)
		n := len(one.Items)
		if n > 1 && results.All(analytics.WordSplit) {
			for _, half := range [][]analytics.Item{one.Items[:n/2], one.Items[n/2:]} {
				queue = append(queue, &analytics.Batch{Lane: b.Lane, Items: half, Attempt: one.Attempt})
			}
			continue
		}
		again := &analytics.Batch{Lane: b.Lane, Attempt: one.Attempt + 1}
		for i, r := range results {
			word := r.Word
			switch {
			case word == analytics.WordSplit, word == analytics.WordRetryAtMost && twice[r.ID]:
				word = analytics.WordPermanent
			case word == analytics.WordRetryAtMost:
				twice[r.ID] = true
				again.Items = append(again.Items, one.Items[i])
			case word == analytics.WordRetryAfter, word == analytics.WordAgain:
				again.Items = append(again.Items, one.Items[i])
			}
			last[r.ID] = word
		}
		if len(again.Items) > 0 {
			queue = append(queue, again)
		}
	}
	words := make([]analytics.Word, len(b.Items))
	for i, it := range b.Items {
		words[i] = last[it.ID]
	}
	return words
}

// words are n times w.
func words(n int, w analytics.Word) []analytics.Word { return slices.Repeat([]analytics.Word{w}, n) }

func TestDescription(t *testing.T) {
	desc := newHubSpot().Describe()
	require.Equal(t, "HubSpot", desc.Name)
	require.ElementsMatch(t, []string{"HubSpot Cloud Mode (Actions)", "Actions Hubspot Cloud"}, desc.Aliases)
	require.Equal(t, analytics.PerKey, desc.Order) // sheet: Limits, identify before track
	require.Len(t, desc.Lanes, 3)
	for lane, most := range map[string]int{"contacts": 100, "companies": 100, "events": 500} { // sheet: Requests
		require.Equal(t, most, desc.Lanes[lane].MaxItems, lane)
	}
}

func TestAContactIsThereBeforeItsEvents(t *testing.T) {
	d, _ := open(t, newFake())
	items := desttest.Translate(t, d, append(events(t, "contacts", 1), events(t, "events", 1)...)...)
	require.Len(t, items, 2)
	require.NotEqual(t, items[0].Lane, items[1].Lane)
	require.Equal(t, items[0].Key, items[1].Key)
}

// fixtures are the recorded requests. An object that became text has its keys in
// alphabetical order here: which order they had, no event remembers.
func fixtures(t *testing.T) string {
	raw, err := os.ReadFile("testdata/examples.json")
	require.NoError(t, err)
	for recorded, sorted := range map[string]string{
		`{"product_id":"p1","name":"LP","price":20,"quantity":1,"category":"Vinyl"}`: `{"category":"Vinyl","name":"LP","price":20,"product_id":"p1","quantity":1}`,
		`{"product_id":"p2","name":"Sleeve","price":2.5,"quantity":2}`:               `{"name":"Sleeve","price":2.5,"product_id":"p2","quantity":2}`,
	} {
		quote := func(s string) []byte { return []byte(strings.ReplaceAll(s, `"`, `\"`)) }
		raw = bytes.Replace(raw, quote(recorded), quote(sorted), 1)
	}
	file := filepath.Join(t.TempDir(), "examples.json")
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	return file
}

func TestFixtures(t *testing.T) {
	desttest.Fixtures(t, fixtures(t), func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		f := newFake()
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return open(t, f)
	})
}

func TestSuccess(t *testing.T) {
	for _, lane := range lanes {
		t.Run(lane, func(t *testing.T) {
			f := newFake()
			d, tool := open(t, f)
			results := desttest.Deliver(t, d, events(t, lane, 3)...)
			require.Equal(t, words(3, analytics.WordDelivered), results.Words())
			require.Equal(t, ids(lane, 0, 1, 2), f.ids())
			require.Empty(t, f.violations)
			require.Len(t, tool.Requests(), 1)
		})
	}
	t.Run("201 is as good as 200", func(t *testing.T) {
		f := newFake()
		d, _ := open(t, f)
		f.next(201, nil, `{"status":"COMPLETE","results":[{"id":"1"},{"id":"2"},{"id":"3"}]}`)
		require.True(t, desttest.Deliver(t, d, events(t, "contacts", 3)...).All(analytics.WordDelivered))
	})
}

// sheet: Responses, 200 and 201
func TestASuccessThatListsNothing(t *testing.T) {
	for _, lane := range crm {
		for _, body := range []string{`{}`, `{"status":"COMPLETE"}`, `{"status":"COMPLETE","results":[]}`} {
			t.Run(lane+" "+body, func(t *testing.T) {
				f := newFake()
				d, _ := open(t, f)
				f.next(200, nil, body)
				results := desttest.Deliver(t, d, events(t, lane, 3)...)
				require.Equal(t, words(3, analytics.WordRetryAtMost), results.Words())

				f.next(200, nil, body)
				require.Equal(t, words(3, analytics.WordDelivered), drive(t, d, batch(t, d, events(t, lane, 3))))
				require.Equal(t, ids(lane, 0, 1, 2), f.ids())

				f.next(200, nil, body)
				f.next(200, nil, body)
				require.Equal(t, words(3, analytics.WordPermanent), drive(t, d, batch(t, d, events(t, lane, 3))))
			})
		}
	}
}

// sheet: Responses, 207
func TestAnAnswerInParts(t *testing.T) {
	for _, lane := range crm {
		for _, byTrace := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, objectWriteTraceId %v", lane, byTrace), func(t *testing.T) {
				f := newFake()
				f.bad, f.partial, f.byTrace = isBad, true, byTrace
				d, tool := open(t, f)
				results := desttest.Deliver(t, d, events(t, lane, 5, 1, 4)...)
				require.Equal(t, []analytics.Word{
					analytics.WordDelivered, analytics.WordPermanent, analytics.WordDelivered, analytics.WordDelivered, analytics.WordPermanent,
				}, results.Words())
				require.Equal(t, ids(lane, 0, 2, 3), f.ids())
				require.Empty(t, f.violations)
				require.Len(t, tool.Requests(), 1)
			})
		}
	}
	t.Run("207 with an objectWriteTraceId of the item's number", func(t *testing.T) {
		f := newFake()
		d, _ := open(t, f)
		f.next(207, nil, `{"status":"COMPLETE","results":[{"id":"1"},{"id":"2"}],"numErrors":1,"errors":[{"status":"error",`+
			`"category":"VALIDATION_ERROR","message":"no","context":{"objectWriteTraceId":["1"]}}]}`)
		results := desttest.Deliver(t, d, events(t, "contacts", 3)...)
		require.Equal(t, []analytics.Word{analytics.WordDelivered, analytics.WordPermanent, analytics.WordDelivered}, results.Words())
	})
	t.Run("an error that names nobody is no success where nothing is listed", func(t *testing.T) {
		for _, n := range []int{1, 3} {
			f := newFake()
			d, _ := open(t, f)
			f.next(207, nil, `{"status":"COMPLETE","results":[],"numErrors":1,"errors":[{"status":"error","category":"VALIDATION_ERROR","message":"no"}]}`)
			for _, r := range desttest.Deliver(t, d, events(t, "contacts", n)...) {
				require.NotEqual(t, analytics.WordDelivered, r.Word, n) // delivered means that it has arrived
			}
		}
	})
	t.Run("two items that became one input are rejected together", func(t *testing.T) {
		f := newFake()
		f.bad, f.partial = isBad, true
		d, _ := open(t, f)
		list := append(events(t, "contacts", 2), events(t, "contacts", 1, 0)...)
		list[2].MessageID = messageID(7)
		results := desttest.Deliver(t, d, list...)
		require.Equal(t, []analytics.Word{analytics.WordPermanent, analytics.WordDelivered, analytics.WordPermanent}, results.Words())
		require.Equal(t, ids("contacts", 1), f.ids())
	})
}

// sheet: Responses, 400
func TestABadRequest(t *testing.T) {
	for _, lane := range lanes {
		t.Run(lane+" of several are halved until the bad one is alone", func(t *testing.T) {
			f := newFake()
			f.bad = isBad
			d, _ := open(t, f)
			require.Equal(t, words(5, analytics.WordSplit), desttest.Deliver(t, d, events(t, lane, 5, 3)...).Words())
			require.Empty(t, f.ids())

			got := drive(t, d, batch(t, d, events(t, lane, 5, 3)))
			want := words(5, analytics.WordDelivered)
			want[3] = analytics.WordPermanent
			require.Equal(t, want, got)
			require.ElementsMatch(t, ids(lane, 0, 1, 2, 4), f.ids())
			require.Empty(t, f.violations)
		})
		t.Run(lane+" of one is rejected", func(t *testing.T) {
			f := newFake()
			f.bad = isBad
			d, tool := open(t, f)
			require.Equal(t, words(1, analytics.WordPermanent), drive(t, d, batch(t, d, events(t, lane, 1, 0))))
			require.Len(t, tool.Requests(), 1)
		})
	}
	t.Run("an unknown property costs nobody but its contact", func(t *testing.T) {
		f := newFake()
		d, _ := open(t, f)
		f.queue = append(f.queue, fault(400, "VALIDATION_ERROR", `Property "shoe" does not exist`, "shoe"))
		require.Equal(t, words(3, analytics.WordDelivered), drive(t, d, batch(t, d, events(t, "contacts", 3))))
		require.ElementsMatch(t, ids("contacts", 0, 1, 2), f.ids())
		require.Zero(t, f.created)
	})
}

// sheet: Requests, group
func TestThePropertyOfCompanies(t *testing.T) {
	for name, there := range map[string]bool{"is created where it is missing": false, "may be there already": true} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			f.noGroupID = !there
			if there { // somebody else has just created it
				f.queue = append(f.queue, fault(400, "VALIDATION_ERROR", `Property "segment_group_id" does not exist`, "segment_group_id"))
			}
			d, _ := open(t, f)
			for _, r := range desttest.Deliver(t, d, events(t, "companies", 3)...) {
				require.Contains(t, []analytics.Word{analytics.WordDelivered, analytics.WordRetryAfter, analytics.WordAgain}, r.Word)
			}
			f.accepted = nil
			require.Equal(t, words(3, analytics.WordDelivered), drive(t, d, batch(t, d, events(t, "companies", 3))))
			require.Equal(t, ids("companies", 0, 1, 2), f.ids())
			require.Equal(t, 1, f.created)
			require.Empty(t, f.violations)

			f.queue = append(f.queue, fault(400, "VALIDATION_ERROR", `Property "segment_group_id" does not exist`, "segment_group_id"))
			_ = desttest.Deliver(t, d, events(t, "companies", 3)...)
			require.Equal(t, 1, f.created, "once")
		})
	}
	t.Run("is created once, whatever comes of it", func(t *testing.T) {
		f := newFake()
		d, tool := open(t, f)
		missing := fault(400, "VALIDATION_ERROR", `Property "segment_group_id" does not exist`, "segment_group_id")
		f.queue = append(f.queue, missing, answer{status: 201, body: "{}"}, missing, missing, missing)
		for _, r := range desttest.Deliver(t, d, events(t, "companies", 3)...) {
			require.NotEqual(t, analytics.WordDelivered, r.Word)
		}
		require.LessOrEqual(t, len(tool.Requests()), 3)
	})
	t.Run("that may not be created is a fault of the token", func(t *testing.T) {
		f := newFake()
		d, _ := open(t, f)
		f.queue = append(f.queue, fault(400, "VALIDATION_ERROR", `Property "segment_group_id" does not exist`, "segment_group_id"))
		f.next(403, nil, `{"status":"error","category":"MISSING_SCOPES"}`)
		require.Equal(t, words(3, analytics.WordUnauthorized), desttest.Deliver(t, d, events(t, "companies", 3)...).Words())
		require.Empty(t, f.ids())
	})
}

// sheet: Responses, 409
func TestAConflictIsTriedOnceMore(t *testing.T) {
	const body = `{"status":"error","category":"CONFLICT","message":"conflict"}`
	for _, lane := range crm {
		f := newFake()
		d, _ := open(t, f)
		f.next(409, nil, body)
		require.Equal(t, words(3, analytics.WordRetryAtMost), desttest.Deliver(t, d, events(t, lane, 3)...).Words())

		f.next(409, nil, body)
		require.Equal(t, words(3, analytics.WordDelivered), drive(t, d, batch(t, d, events(t, lane, 3))))
		require.Equal(t, ids(lane, 0, 1, 2), f.ids())

		f.next(409, nil, body)
		f.next(409, nil, body)
		require.Equal(t, words(3, analytics.WordPermanent), drive(t, d, batch(t, d, events(t, lane, 3))))
	}
}

// The words for statuses, by the sheet's table and the contract's.
func TestStatuses(t *testing.T) {
	statuses := map[analytics.Word][]int{
		analytics.WordUnauthorized: {401, 403, 407, 511},
		analytics.WordRetryAfter:   {423, 429},
		analytics.WordAgain:        {408, 425, 500, 502, 503, 504}, // the contract's table wins over the sheet's pause
		analytics.WordSplit:        {400, 413, 422},
		analytics.WordPermanent:    {301, 404, 405, 406, 410, 415, 501, 505},
	}
	for _, lane := range lanes {
		for word, list := range statuses {
			for _, status := range list {
				t.Run(fmt.Sprintf("%s %d", lane, status), func(t *testing.T) {
					f := newFake()
					d, tool := open(t, f)
					f.next(status, nil, `{"status":"error","message":"no"}`)
					require.Equal(t, words(3, word), desttest.Deliver(t, d, events(t, lane, 3)...).Words())
					require.Len(t, tool.Requests(), 1)
					require.Empty(t, f.ids())
				})
			}
		}
	}
}

// sheet: Responses, 423, 429, 5xx
func TestPauses(t *testing.T) {
	const policy = `{"status":"error","category":"RATE_LIMITS","errorType":"RATE_LIMIT","message":"You have reached your limit.","policyName":%q}`
	for _, lane := range lanes {
		for name, c := range map[string]struct {
			status      int
			header      http.Header
			body        string
			least, most time.Duration
		}{
			"ten seconds":                 {429, nil, fmt.Sprintf(policy, "TEN_SECONDLY_ROLLING"), 10 * time.Second, 10 * time.Second},
			"locked":                      {423, nil, `{"status":"error"}`, 10 * time.Second, 10 * time.Second},
			"429 without a policy":        {429, nil, ``, 10 * time.Second, 10 * time.Second},
			"the day":                     {429, nil, fmt.Sprintf(policy, "DAILY"), time.Hour, 24 * time.Hour},
			"what the header says":        {429, http.Header{"Retry-After": {"33"}}, fmt.Sprintf(policy, "TEN_SECONDLY_ROLLING"), 33 * time.Second, 33 * time.Second},
			"what the header of 423 says": {423, http.Header{"Retry-After": {"44"}}, ``, 44 * time.Second, 44 * time.Second},
		} {
			t.Run(lane+", "+name, func(t *testing.T) {
				f := newFake()
				d, _ := open(t, f)
				f.next(c.status, c.header, c.body)
				for _, r := range desttest.Deliver(t, d, events(t, lane, 3)...) {
					require.Equal(t, analytics.WordRetryAfter, r.Word)
					require.GreaterOrEqual(t, r.After, c.least)
					require.LessOrEqual(t, r.After, c.most)
				}
			})
		}
	}
	t.Run("what failed for a while arrives once, in its order", func(t *testing.T) {
		for _, lane := range lanes {
			f := newFake()
			d, _ := open(t, f)
			f.next(503, nil, "")
			f.next(429, nil, fmt.Sprintf(policy, "TEN_SECONDLY_ROLLING"))
			require.Equal(t, words(4, analytics.WordDelivered), drive(t, d, batch(t, d, events(t, lane, 4))))
			require.Equal(t, ids(lane, 0, 1, 2, 3), f.ids())
			require.Zero(t, f.repeated())
		}
	})
}
