package klaviyo_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/klaviyo"
)

// sheet: Settings, ListID; Requests, list
func TestLists(t *testing.T) {
	// list delivers n profiles, those with an odd number under an option.
	list := func(t *testing.T, f *fake, n int) {
		d := &klaviyo.Destination{APIKey: secret, ListID: "LIST1"}
		desttest.Open(t, d, desttest.Serve(f))
		all := events(t, "profiles", n)
		for i := 1; i < n; i += 2 {
			all[i].Integrations = analytics.Integrations{"Klaviyo": map[string]any{"listId": "LIST2"}}
		}
		require.Equal(t, slices.Repeat([]analytics.Word{analytics.WordDelivered}, n), drive(t, d, all...))
		require.Empty(t, f.violations)
		var even, odd []string
		for i := range n {
			if i%2 == 0 {
				even = append(even, id("profiles", i))
			} else {
				odd = append(odd, id("profiles", i))
			}
		}
		require.ElementsMatch(t, even, f.members["LIST1"])
		require.ElementsMatch(t, odd, f.members["LIST2"])
	}
	t.Run("single profiles are added to their list", func(t *testing.T) { list(t, newFake(), 5) })
	t.Run("a job names its list", func(t *testing.T) { list(t, newFake(), 50) })
	t.Run("a profile that cannot be added for a while is added later", func(t *testing.T) {
		for _, status := range []int{429, 503} {
			f := newFake()
			failed := false
			d := &klaviyo.Destination{APIKey: secret, ListID: "LIST1"}
			desttest.Open(t, d, desttest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/api/lists/") && !failed {
					failed = true
					f.next(status, nil, "")
				}
				f.ServeHTTP(w, r)
			})))
			require.Equal(t, slices.Repeat([]analytics.Word{analytics.WordDelivered}, 3), drive(t, d, events(t, "profiles", 3)...))
			require.ElementsMatch(t, []string{"user-0", "user-1", "user-2"}, f.members["LIST1"])
		}
	})
	t.Run("a list that does not exist is not taken for a success", func(t *testing.T) {
		f := newFake()
		d := &klaviyo.Destination{APIKey: secret, ListID: "LIST1"}
		desttest.Open(t, d, desttest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/api/lists/") {
				w.WriteHeader(404)
				return
			}
			f.ServeHTTP(w, r)
		})))
		require.True(t, desttest.Deliver(t, d, events(t, "profiles", 3)...).All(analytics.WordPermanent))
	})
}

func TestBatches(t *testing.T) {
	t.Run("the items of a job are those of single requests, in order", func(t *testing.T) {
		for _, pair := range [][2]mode{{singleEvents, eventsOfAJob}, {singleProfiles, profilesOfAJob}} {
			one, all := newFake(), newFake()
			d, _ := pair[0].open(t, one)
			for _, e := range pair[1].events(t) {
				require.True(t, desttest.Deliver(t, d, e).All(analytics.WordDelivered))
			}
			d, _ = pair[1].open(t, all)
			require.True(t, desttest.Deliver(t, d, pair[1].events(t)...).All(analytics.WordDelivered))
			require.Equal(t, one.accepted, all.accepted)
		}
	})
	t.Run("an order and its products ride in one job", func(t *testing.T) {
		f := newFake()
		d, tool := eventsOfAJob.open(t, f)
		order := desttest.Inputs(t)[1].Event
		results := desttest.Deliver(t, d, order, events(t, "events", 1)[0])
		require.True(t, results.All(analytics.WordDelivered))
		want := []string{order.MessageID, order.MessageID + ":0", order.MessageID + ":1", messageID(0)} // sheet: Mapping
		require.Equal(t, want, f.ids())
		for i, r := range results {
			require.Equal(t, want[i], r.ID)
		}
		require.Len(t, tool.Requests(), 1)
	})
	t.Run("calls of both kinds make a request for each", func(t *testing.T) {
		f := newFake()
		d, _ := eventsOfAJob.open(t, f)
		a, b := eventsOfAJob.events(t), singleProfiles.events(t)
		var mixed []*analytics.Event
		for i := range a {
			mixed = append(mixed, b[i], a[i])
		}
		require.True(t, desttest.Deliver(t, d, mixed...).All(analytics.WordDelivered))
		require.ElementsMatch(t, append(eventsOfAJob.ids(), singleProfiles.ids()...), f.ids())
		require.Empty(t, f.violations)
	})
	t.Run("1,001 events make two requests", func(t *testing.T) { // sheet: Limits
		f := newFake()
		d, tool := eventsOfAJob.open(t, f)
		require.True(t, desttest.Deliver(t, d, events(t, "events", 1001)...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 2)
		require.Len(t, f.ids(), 1001)
	})
	t.Run("the same events twice have the same dedupe keys", func(t *testing.T) {
		f := newFake()
		d, _ := eventsOfAJob.open(t, f)
		for range 2 {
			require.True(t, desttest.Deliver(t, d, append(eventsOfAJob.events(t), desttest.Inputs(t)[1].Event)...).All(analytics.WordDelivered))
		}
		require.Len(t, f.ids(), 2*f.repeated())
	})
	for _, m := range jobs {
		t.Run(m.name+" is no larger than it was counted", func(t *testing.T) { testBytes(t, m) })
	}
}

// testBytes fills a job to the byte, and then adds one.
func testBytes(t *testing.T, m mode) {
	const n = 80
	d, _ := m.open(t, newFake())
	limits := d.Describe().Lanes[m.lane]
	padded := func(pad int) []analytics.Item {
		all := events(t, m.lane, n)
		for i, e := range all {
			share := pad / n
			if i == n-1 {
				share = pad - pad/n*(n-1)
			}
			name := "Good" + strings.Repeat("x", share)
			if m.lane == "profiles" {
				e.Traits["firstName"] = name
			} else {
				e.Properties["title"] = name
			}
		}
		return desttest.Translate(t, d, all...)
	}
	left := limits.MaxBytes - limits.Overhead
	for _, it := range padded(0) {
		left -= it.Size + limits.ItemOverhead
	}
	for pad, want := range map[int]int{left: 1, left + 1: 2} {
		f := newFake()
		d, tool := m.open(t, f)
		batches := desttest.Batches(t, d, padded(pad))
		require.Len(t, batches, want)
		for _, b := range batches {
			require.True(t, desttest.DeliverBatch(t, d, b).All(analytics.WordDelivered))
		}
		for _, r := range tool.Requests() {
			require.LessOrEqual(t, len(r.Body), limits.MaxBytes)
		}
		require.Len(t, f.ids(), n)
		require.Empty(t, f.violations)
	}
}

func TestWide(t *testing.T) {
	for _, m := range []mode{singleEvents, eventsOfAJob} {
		t.Run(m.name, func(t *testing.T) {
			f := newFake()
			d, _ := m.open(t, f)
			var all []*analytics.Event
			for _, in := range append(desttest.Inputs(t), desttest.Wide(t)...) {
				if _, err := d.Translate(in.Event); err != nil {
					desttest.CheckError(t, err, secret)
					continue
				}
				all = append(all, in.Event)
				for _, r := range desttest.Deliver(t, d, in.Event) {
					require.Contains(t, []analytics.Word{analytics.WordDelivered, analytics.WordPermanent}, r.Word, in.ID)
				}
				require.Empty(t, f.violations, in.ID)
			}
			words := drive(t, d, all...)
			require.Empty(t, f.violations)
			require.Contains(t, words, analytics.WordDelivered)
			require.Greater(t, len(f.accepted), 2*200)
		})
	}
}

// sheet: Limits, per event
func TestWhatKlaviyoCannotTakeCostsNobodyElse(t *testing.T) {
	deep := any("leaf")
	for range 14 {
		deep = map[string]any{"in": deep}
	}
	many := map[string]any{}
	for i := range 401 {
		many[fmt.Sprint("p", i)] = "x"
	}
	for name, spoil := range map[string]func(*analytics.Event){
		"401 properties":      func(e *analytics.Event) { e.Properties = many },
		"a long string":       func(e *analytics.Event) { e.Properties["text"] = strings.Repeat("x", 110_000) },
		"a long list":         func(e *analytics.Event) { e.Properties["list"] = slices.Repeat([]any{"x"}, 4001) },
		"a deep value":        func(e *analytics.Event) { e.Properties["deep"] = deep },
		"a long name":         func(e *analytics.Event) { e.Event = strings.Repeat("n", 129) },
		"a long external id":  func(e *analytics.Event) { e.UserID = strings.Repeat("u", 256) },
		"a time of long ago":  func(e *analytics.Event) { e.Timestamp = time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC) },
		"a time of far ahead": func(e *analytics.Event) { e.Timestamp = time.Now().AddDate(1, 0, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			d, _ := eventsOfAJob.open(t, f)
			all := eventsOfAJob.events(t)
			spoil(all[1])
			if _, err := d.Translate(all[1]); err != nil {
				desttest.CheckError(t, err, secret)
				all = slices.Delete(all, 1, 2)
			}
			for i, word := range drive(t, d, all...) {
				if all[i].MessageID != messageID(1) {
					require.Equal(t, analytics.WordDelivered, word)
				}
			}
			require.Empty(t, f.violations)
			require.Subset(t, f.ids(), eventsOfAJob.ids(1))
			require.Zero(t, f.repeated())
		})
	}
}
