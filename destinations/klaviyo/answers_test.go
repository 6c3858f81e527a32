package klaviyo_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/klaviyo"
)

const secret = "pk_test"

// A mode is one of the kinds of request that Klaviyo has.
type mode struct {
	name, lane string
	n          int // how many items make it so
	noBulk     bool
	url        string
}

// sheet: Requests
var (
	eventsOfAJob   = mode{"an events job", "events", 5, false, eventsJobURL}
	singleEvents   = mode{"single events", "events", 5, true, eventURL}
	singleProfiles = mode{"single profiles", "profiles", 5, false, profileURL}
	profilesOfAJob = mode{"a profiles job", "profiles", 21, false, profilesJobURL}

	modes = []mode{eventsOfAJob, singleEvents, singleProfiles, profilesOfAJob}
	jobs  = []mode{eventsOfAJob, profilesOfAJob}
)

// open returns a destination in front of a fake.
func (m mode) open(t *testing.T, h http.Handler) (*klaviyo.Destination, *desttest.Tool) {
	d, tool := &klaviyo.Destination{APIKey: secret, NoBulk: m.noBulk}, desttest.Serve(h)
	desttest.Open(t, d, tool)
	return d, tool
}

// events are as many as the mode needs, see [events].
func (m mode) events(t testing.TB, bad ...int) []*analytics.Event {
	t.Helper()
	return events(t, m.lane, m.n, bad...)
}

// words are w for each item of the mode.
func (m mode) words(w analytics.Word) []analytics.Word {
	return slices.Repeat([]analytics.Word{w}, m.n)
}

// ids are those under which the fake knows the items, but for those left out.
func (m mode) ids(without ...int) []string {
	list := []string{}
	for i := range m.n {
		if !slices.Contains(without, i) {
			list = append(list, id(m.lane, i))
		}
	}
	return list
}

func id(lane string, n int) string {
	if lane == "profiles" {
		return fmt.Sprintf("user-%d", n)
	}
	return messageID(n)
}

const at = `"timestamp":"2026-05-02T18:00:00.000Z"`

// messageID is a UUID of its own for each n.
func messageID(n int) string { return fmt.Sprintf("0d3f1a52-7f5e-4b0e-9a44-%012x", n) }

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
		raw := fmt.Sprintf(`{"messageId":%q,"userId":"user-%d",%s,`, messageID(i), i, at)
		if lane == "profiles" {
			raw += fmt.Sprintf(`"type":"identify","traits":{"email":"person%d@example.com","firstName":%q}}`, i, name)
		} else {
			raw += fmt.Sprintf(`"type":"track","event":"Song Played","properties":{"email":"person%d@example.com","title":%q}}`, i, name)
		}
		list[i] = desttest.Event(t, raw)
	}
	return list
}

// isBad tells of the attributes that events names so.
func isBad(a map[string]any) bool {
	return a["first_name"] == "Bad" || in(a["properties"], "title") == "Bad"
}

// drive delivers the events as the client does until each item has its last word, in
// their order.
func drive(t *testing.T, d analytics.Destination, list ...*analytics.Event) []analytics.Word {
	t.Helper()
	items := desttest.Translate(t, d, list...)
	last := map[string]analytics.Word{}
	queue := desttest.Batches(t, d, items)
	for round := 0; len(queue) > 0; round++ {
		require.Less(t, round, 500, "it does not end")
		one := queue[0]
		queue = queue[1:]
		results := desttest.DeliverBatch(t, d, one)
		n := len(one.Items)
		if n > 1 && results.All(analytics.WordSplit) {
			for _, half := range [][]analytics.Item{one.Items[:n/2], one.Items[n/2:]} {
				queue = append(queue, &analytics.Batch{Lane: one.Lane, Items: half, Attempt: one.Attempt})
			}
			continue
		}
		again := &analytics.Batch{Lane: one.Lane, Attempt: one.Attempt + 1}
		for i, r := range results {
			word := r.Word
			switch word {
			case analytics.WordSplit:
				word = analytics.WordPermanent
			case analytics.WordRetryAfter, analytics.WordAgain:
				again.Items = append(again.Items, one.Items[i])
			}
			last[r.ID] = word
		}
		if len(again.Items) > 0 {
			queue = append(queue, again)
		}
	}
	words := make([]analytics.Word, len(items))
	for i, it := range items {
		words[i] = last[it.ID]
	}
	return words
}

func TestDescription(t *testing.T) {
	desc := (&klaviyo.Destination{APIKey: secret}).Describe()
	require.Equal(t, "Klaviyo", desc.Name)
	require.ElementsMatch(t, []string{"Klaviyo (Actions)", "Actions Klaviyo"}, desc.Aliases)
	require.Equal(t, analytics.Unordered, desc.Order) // sheet: Limits, order not needed
	require.Len(t, desc.Lanes, 2)
	require.Equal(t, 1000, desc.Lanes["events"].MaxItems) // sheet: Limits
	require.LessOrEqual(t, desc.Lanes["profiles"].MaxItems, 10_000)
	require.Greater(t, desc.Lanes["profiles"].MaxItems, 20)
	for lane, l := range desc.Lanes {
		require.LessOrEqual(t, l.MaxBytes, 5_000_000, lane)
	}
	require.LessOrEqual(t, desc.Lanes["profiles"].MaxItemBytes, 100_000)
}

// sheet: Limits, those that are for a minute
func TestRates(t *testing.T) {
	for _, c := range []struct {
		d    *klaviyo.Destination
		lane string
		most int
	}{
		{&klaviyo.Destination{APIKey: secret}, "events", 150},
		{&klaviyo.Destination{APIKey: secret, NoBulk: true}, "events", 3500},
		{&klaviyo.Destination{APIKey: secret}, "profiles", 150}, // as jobs
	} {
		perMinute := 1_000_000.0
		for _, r := range c.d.Describe().Lanes[c.lane].Rates {
			per := r.Per
			if per == 0 {
				per = time.Second
			}
			perMinute = min(perMinute, float64(r.Requests)*float64(time.Minute)/float64(per))
		}
		require.LessOrEqual(t, perMinute, float64(c.most), c.lane)
	}
}

func TestFixtures(t *testing.T) {
	desttest.Fixtures(t, "testdata/examples.json", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		f := newFake()
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return singleEvents.open(t, f)
	})
}

func TestSuccess(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			f := newFake()
			d, tool := m.open(t, f)
			results := desttest.Deliver(t, d, m.events(t)...)
			require.Equal(t, m.words(analytics.WordDelivered), results.Words())
			require.Equal(t, m.ids(), f.ids())
			require.Empty(t, f.violations)
			for _, r := range tool.Requests() {
				require.Equal(t, m.url, r.URL)
			}
		})
	}
	t.Run("one event is no job, two are one", func(t *testing.T) { // sheet: Settings, Bulk
		f := newFake()
		d, tool := eventsOfAJob.open(t, f)
		require.True(t, desttest.Deliver(t, d, events(t, "events", 1)...).All(analytics.WordDelivered))
		require.True(t, desttest.Deliver(t, d, events(t, "events", 2)...).All(analytics.WordDelivered))
		require.Equal(t, eventURL, tool.Requests()[0].URL)
		require.Equal(t, eventsJobURL, tool.Requests()[1].URL)
		require.Len(t, tool.Requests(), 2)
	})
	t.Run("20 profiles are no job, 21 are one", func(t *testing.T) { // sheet: Requests
		for n, want := range map[int]int{20: 20, 21: 1} {
			f := newFake()
			d, tool := singleProfiles.open(t, f)
			require.True(t, desttest.Deliver(t, d, events(t, "profiles", n)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), want)
			require.Len(t, f.ids(), n)
		}
	})
}

// sheet: Responses, 400 and 422 on a job
func TestAJobIsRefusedAsAWhole(t *testing.T) {
	for _, m := range jobs {
		for _, status := range []int{400, 422} {
			t.Run(fmt.Sprint(m.name, ", ", status, " with indexes rejects those and sends the others again"), func(t *testing.T) {
				f := newFake()
				f.bad, f.refusal = isBad, status
				d, _ := m.open(t, f)
				for i, r := range desttest.Deliver(t, d, m.events(t, 1, 4)...) {
					if i == 1 || i == 4 {
						require.Equal(t, analytics.WordPermanent, r.Word, i)
						continue
					}
					require.Equal(t, analytics.WordRetryAfter, r.Word, i) // at once, and no failure of its own
					require.LessOrEqual(t, r.After, time.Second)
					require.Positive(t, r.After)
				}
				require.Empty(t, f.ids())

				want := m.words(analytics.WordDelivered)
				want[1], want[4] = analytics.WordPermanent, analytics.WordPermanent
				require.Equal(t, want, drive(t, d, m.events(t, 1, 4)...))
				require.ElementsMatch(t, m.ids(1, 4), f.ids())
				require.Empty(t, f.violations)
			})
			t.Run(fmt.Sprint(m.name, ", ", status, " without indexes is halved"), func(t *testing.T) {
				f := newFake()
				f.bad, f.refusal, f.noPointers = isBad, status, true
				d, _ := m.open(t, f)
				require.Equal(t, m.words(analytics.WordSplit), desttest.Deliver(t, d, m.events(t, 3)...).Words())

				want := m.words(analytics.WordDelivered)
				want[3] = analytics.WordPermanent
				require.Equal(t, want, drive(t, d, m.events(t, 3)...))
				require.ElementsMatch(t, m.ids(3), f.ids())
			})
		}
		t.Run(m.name+", an index that is none of ours is as good as none", func(t *testing.T) {
			for _, pointer := range []string{eventsPointer, profilesPointer} {
				for _, index := range []string{"99999", "-1", "x", "99999999999999999999", ""} {
					f := newFake()
					d, _ := m.open(t, f)
					f.queue = append(f.queue, fault(400, "invalid", pointer+index+"/attributes/"))
					require.Equal(t, m.words(analytics.WordSplit), desttest.Deliver(t, d, m.events(t)...).Words(), index)
				}
			}
		})
		t.Run(m.name+", a body that is no JSON is halved", func(t *testing.T) {
			f := newFake()
			d, _ := m.open(t, f)
			f.next(400, nil, "<html>")
			require.Equal(t, m.words(analytics.WordSplit), desttest.Deliver(t, d, m.events(t)...).Words())
		})
	}
}

// sheet: Responses, 400 single
func TestASingleOneIsRejected(t *testing.T) {
	for _, m := range []mode{singleEvents, singleProfiles} {
		for _, status := range []int{400, 422} {
			t.Run(fmt.Sprint(m.name, ", ", status), func(t *testing.T) {
				f := newFake()
				f.bad, f.refusal = isBad, status
				d, _ := m.open(t, f)
				want := m.words(analytics.WordDelivered)
				want[0], want[2] = analytics.WordPermanent, analytics.WordPermanent
				require.Equal(t, want, drive(t, d, m.events(t, 0, 2)...))
				require.Equal(t, m.ids(0, 2), f.ids())
			})
		}
	}
	t.Run("the event of a batch of one", func(t *testing.T) {
		f := newFake()
		f.bad = isBad
		d, tool := eventsOfAJob.open(t, f)
		require.Equal(t, []analytics.Word{analytics.WordPermanent}, drive(t, d, events(t, "events", 1, 0)...))
		require.Len(t, tool.Requests(), 1)
	})
}

// sheet: Responses, 409 on profile-import
func TestAConflictIsRepeatedWithTheID(t *testing.T) {
	conflict := `{"errors":[{"status":409,"code":"duplicate_profile","meta":{"duplicate_profile_id":"01OTHER"}}]}`
	f := newFake()
	f.conflicts = map[string]string{"user-2": "01OTHER"}
	d, tool := singleProfiles.open(t, f)
	require.Equal(t, singleProfiles.words(analytics.WordDelivered), desttest.Deliver(t, d, singleProfiles.events(t)...).Words())
	require.Equal(t, singleProfiles.ids(), f.ids())
	require.Empty(t, f.violations)
	require.Len(t, tool.Requests(), singleProfiles.n+1)

	t.Run("once", func(t *testing.T) {
		f := newFake()
		d, tool := singleProfiles.open(t, f)
		f.next(409, nil, conflict)
		f.next(409, nil, conflict)
		f.next(409, nil, conflict)
		results := desttest.Deliver(t, d, events(t, "profiles", 1)...)
		require.Equal(t, []analytics.Word{analytics.WordPermanent}, results.Words())
		require.Len(t, tool.Requests(), 2)
	})
	t.Run("not without an id", func(t *testing.T) {
		for _, body := range []string{`{}`, `{"errors":[]}`, `{"errors":[{"meta":{}}]}`, ``} {
			f := newFake()
			d, tool := singleProfiles.open(t, f)
			f.next(409, nil, body)
			require.True(t, desttest.Deliver(t, d, events(t, "profiles", 1)...).All(analytics.WordPermanent), body)
			require.Len(t, tool.Requests(), 1)
		}
	})
}

// sheet: Responses, 413
func TestTooLargeAJobIsHalved(t *testing.T) {
	for _, m := range jobs {
		f := newFake()
		d, tool := m.open(t, f)
		require.True(t, desttest.Deliver(t, d, m.events(t)...).All(analytics.WordDelivered))
		f = newFake()
		f.maxBytes = len(tool.Requests()[0].Body) - 1
		d, _ = m.open(t, f)
		require.Equal(t, m.words(analytics.WordSplit), desttest.Deliver(t, d, m.events(t)...).Words())
		require.Equal(t, m.words(analytics.WordDelivered), drive(t, d, m.events(t)...))
		require.ElementsMatch(t, m.ids(), f.ids())
	}
}

// The words for statuses, by the sheet's table and the contract's.
func TestStatuses(t *testing.T) {
	statuses := map[analytics.Word][]int{
		analytics.WordUnauthorized: {401, 403, 407, 511},
		analytics.WordRetryAfter:   {423, 429},
		analytics.WordAgain:        {408, 425, 500, 502, 503, 504},
		analytics.WordSplit:        {400, 413, 422},
		analytics.WordPermanent:    {301, 404, 405, 406, 409, 410, 415, 501, 505},
	}
	for _, m := range modes {
		for word, list := range statuses {
			for _, status := range list {
				t.Run(fmt.Sprint(m.name, ", ", status), func(t *testing.T) {
					d, _ := m.open(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Retry-After", "7")
						w.WriteHeader(status)
					}))
					for _, r := range desttest.Deliver(t, d, m.events(t)...) {
						if r.Word == analytics.WordPermanent && word == analytics.WordSplit && (m == singleEvents || m == singleProfiles) {
							continue // a single one that is to be split is rejected
						}
						require.Equal(t, word, r.Word)
						if word == analytics.WordRetryAfter { // sheet: Limits, 429 has Retry-After
							require.Equal(t, 7*time.Second, r.After)
						}
					}
				})
			}
		}
	}
}

func TestWhatFailedForAWhileArrivesOnce(t *testing.T) {
	for _, m := range modes {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(m.name, ", ", status), func(t *testing.T) {
				f := newFake()
				d, _ := m.open(t, f)
				f.next(status, nil, "")
				require.Equal(t, m.words(analytics.WordDelivered), drive(t, d, m.events(t)...))
				require.ElementsMatch(t, m.ids(), f.ids())
				require.Zero(t, f.repeated())
			})
		}
	}
	t.Run("profiles behind one that failed", func(t *testing.T) {
		for status, word := range map[int]analytics.Word{429: analytics.WordRetryAfter, 503: analytics.WordAgain, 401: analytics.WordUnauthorized} {
			f := newFake()
			passed := 0
			d, _ := singleProfiles.open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if passed++; passed == 2 {
					f.next(status, nil, "")
				}
				f.ServeHTTP(w, r)
			}))
			results := desttest.Deliver(t, d, singleProfiles.events(t)...)
			require.Equal(t, analytics.WordDelivered, results[0].Word, status)
			require.Equal(t, word, results[1].Word, status)
			for i, r := range results {
				require.Equal(t, slices.Contains(f.ids(), id("profiles", i)), r.Word == analytics.WordDelivered, "%d, item %d", status, i)
				require.NotEqual(t, analytics.WordPermanent, r.Word, status)
			}
		}
	})
}
