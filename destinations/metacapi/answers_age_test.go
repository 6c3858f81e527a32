package metacapi_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

func TestAnIndexCountsWhatWasSent(t *testing.T) { // sheet: Limits, what is too old is rejected locally
	synctest.Test(t, func(t *testing.T) {
		d, f := settings(), newFake()
		desttest.Open(t, d, desttest.Serve(f))
		f.naming, f.bad = true, func(r record) bool { return r.name == "E2" }
		b := batch(t, d, aged(t, 1, 8*day), aged(t, 2, time.Hour), aged(t, 3, time.Hour))
		words := desttest.DeliverBatch(t, d, b).Words()
		require.Equal(t, []analytics.Word{analytics.WordPermanent, analytics.WordPermanent}, words[:2])
		require.Contains(t, again, words[2])
	})
}

// aged is message n, so old by the clock of the bubble.
func aged(t testing.TB, n int, age time.Duration) *analytics.Event {
	t.Helper()
	e := track(t, n, "u1", fmt.Sprintf("E%d", n))
	e.Timestamp = time.Now().Add(-age).UTC()
	return e
}

func TestWhatIsTooOldIsRejectedAlone(t *testing.T) { // sheet: Limits
	for _, c := range []struct {
		fact, source string
		most         time.Duration
	}{
		{"after 7 days", "", 7 * day},
		{"after 62 days in a store", "physical_store", 62 * day},
	} {
		t.Run(c.fact, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, f := settings(), newFake()
				d.ActionSource = c.source
				tool := desttest.Serve(f)
				desttest.Open(t, d, tool)
				b := batch(t, d, aged(t, 1, 0), aged(t, 2, c.most+time.Second), aged(t, 3, c.most), aged(t, 4, 2*c.most), aged(t, 5, time.Hour))
				results := desttest.DeliverBatch(t, d, b)
				require.Equal(t, []analytics.Word{0, analytics.WordPermanent, 0, analytics.WordPermanent, 0}, results.Words())
				require.Equal(t, []string{"E1", "E3", "E5"}, f.names())
				require.Empty(t, f.violations)
				require.Len(t, tool.Requests(), 1)

				results = desttest.DeliverBatch(t, d, batch(t, d, aged(t, 6, 2*c.most), aged(t, 7, 3*c.most)))
				require.True(t, results.All(analytics.WordPermanent))
				require.Len(t, tool.Requests(), 1) // there was nothing to send
			})
		})
	}
}

func TestARejectedOneStaysRejectedWhereTheOthersFail(t *testing.T) {
	for status, word := range map[int]analytics.Word{503: analytics.WordAgain, 429: analytics.WordRetryAfter, 401: analytics.WordUnauthorized} {
		synctest.Test(t, func(t *testing.T) {
			d, f := settings(), newFake()
			desttest.Open(t, d, desttest.Serve(f))
			f.next(status, nil, ``)
			results := desttest.DeliverBatch(t, d, batch(t, d, aged(t, 1, time.Hour), aged(t, 2, 8*day), aged(t, 3, time.Hour)))
			require.Equal(t, []analytics.Word{word, analytics.WordPermanent, word}, results.Words(), status)
		})
	}
}

func TestABadOneIsFoundBesideOneThatIsTooOld(t *testing.T) { // contract: Split of an item is Permanent
	for _, naming := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d, f := settings(), newFake()
			desttest.Open(t, d, desttest.Serve(f))
			f.naming, f.bad = naming, func(r record) bool { return r.name == "E4" }
			results := settle(t, d, batch(t, d, aged(t, 1, 8*day), aged(t, 2, time.Hour), aged(t, 3, time.Hour), aged(t, 4, time.Hour), aged(t, 5, time.Hour)))
			got := map[string]analytics.Word{}
			for _, r := range results {
				got[r.ID] = r.Word
			}
			require.Equal(t, map[string]analytics.Word{
				messageID(1): analytics.WordPermanent, messageID(2): analytics.WordDelivered, messageID(3): analytics.WordDelivered,
				messageID(4): analytics.WordPermanent, messageID(5): analytics.WordDelivered,
			}, got, "named %v", naming)
			require.ElementsMatch(t, []string{"E2", "E3", "E5"}, f.names())
			require.Empty(t, f.violations)
		})
	}
}
