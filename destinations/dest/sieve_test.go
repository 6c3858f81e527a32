package dest_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

var errTooOld = errors.New("too old for the tool")

// sieved sends the items a to e, of which those named are refused, and returns what was
// sent and what was said of each item.
func sieved(t *testing.T, refused string, answer error) (sent string, words [5]string, err error) {
	t.Helper()
	b := &analytics.Batch{Lane: "l"}
	for _, id := range "abcde" {
		b.Items = append(b.Items, analytics.Item{ID: string(id)})
	}
	err = dest.Sieve(b, func(it *analytics.Item) error {
		for _, id := range refused {
			if it.ID == string(id) {
				return errTooOld
			}
		}
		return nil
	}, func(items []analytics.Item) error {
		require.Empty(t, sent, "sent twice")
		for _, it := range items {
			sent += it.ID
		}
		return answer
	})
	for i, it := range b.Items {
		require.Equal(t, string("abcde"[i]), it.ID, "the batch was changed")
	}
	var each *analytics.BatchError
	for i := range words {
		one := err
		if errors.As(err, &each) {
			one = each.Items[i]
		}
		words[i] = say(one)
	}
	if each != nil {
		for i := range each.Items {
			require.Less(t, i, 5)
		}
	}
	return sent, words, err
}

func say(err error) string {
	word, after := analytics.Classify(err)
	switch {
	case errors.Is(err, errTooOld):
		return "old, " + word.String()
	case after > 0:
		return fmt.Sprint(word, " of ", after)
	}
	return word.String()
}

func TestSieve(t *testing.T) {
	const ok, old = "delivered", "old, permanent"
	cause := errors.New("cause")
	all := func(s string) [5]string { return [5]string{s, s, s, s, s} }
	some := func(s string) [5]string { return [5]string{old, s, old, s, s} } // a and c are refused
	pair := func(b, d, e string) [5]string { return [5]string{old, b, old, d, e} }
	for name, c := range map[string]struct {
		refused string
		answer  error
		sent    string
		want    [5]string
	}{
		"nothing refused, delivered": {"", nil, "abcde", all(ok)},
		"nothing refused, split":     {"", analytics.Split(cause), "abcde", all("split")},
		"nothing refused, throttled": {"", analytics.RetryAfter(time.Second, cause), "abcde", all("retry after a pause of 1s")},
		"all refused":                {"abcde", cause, "", all(old)},
		"delivered":                  {"ac", nil, "bde", some(ok)},
		"again":                      {"ac", cause, "bde", some("again")},
		"throttled":                  {"ac", analytics.RetryAfter(time.Second, cause), "bde", some("retry after a pause of 1s")},
		"a few times":                {"ac", analytics.RetryAtMost(3, time.Minute, cause), "bde", some("retry a few times of 1m0s")},
		"permanent":                  {"ac", analytics.Permanent(cause), "bde", some("permanent")},
		"unauthorized":               {"ac", fmt.Errorf("tool: %w", analytics.Unauthorized(cause)), "bde", some("unauthorized")},
		"split goes again at once":   {"ac", fmt.Errorf("tool: %w", analytics.Split(cause)), "bde", some("retry after a pause of 1ms")},
		"split of a single item":     {"abce", analytics.Split(cause), "d", [5]string{old, old, old, "split", old}},
		"each by itself": {"ac", fmt.Errorf("tool: %w", &analytics.BatchError{Items: map[int]error{0: analytics.Permanent(cause), 2: analytics.RetryAfter(time.Minute, cause)}}),
			"bde", pair("permanent", ok, "retry after a pause of 1m0s")},
		"each without any":         {"ac", &analytics.BatchError{}, "bde", some(ok)},
		"each with nil":            {"ac", &analytics.BatchError{Items: map[int]error{1: nil, 2: cause}}, "bde", pair(ok, ok, "again")},
		"each with split":          {"ac", &analytics.BatchError{Items: map[int]error{1: analytics.Split(cause)}}, "bde", pair(ok, "split", ok)},
		"each with unknown items":  {"ac", &analytics.BatchError{Items: map[int]error{-1: cause, 3: cause, 99: cause, 2: cause}}, "bde", pair(ok, ok, "again")},
		"the last refused":         {"e", &analytics.BatchError{Items: map[int]error{3: cause}}, "abcd", [5]string{ok, ok, ok, "again", old}},
		"all refused but the last": {"abcd", cause, "e", [5]string{old, old, old, old, "again"}},
	} {
		sent, words, _ := sieved(t, c.refused, c.answer)
		require.Equal(t, c.sent, sent, name)
		require.Equal(t, c.want, words, name)
	}
}

// The second round of a split batch, without those refused, is the batch's own.
func TestSieveSplitsInTheSecondRound(t *testing.T) {
	_, words, _ := sieved(t, "ac", analytics.Split(errors.New("bad")))
	require.Equal(t, "retry after a pause of 1ms", words[1])
	_, words, err := sieved(t, "", analytics.Split(errors.New("bad")))
	require.Equal(t, "split", words[1])
	var each *analytics.BatchError
	require.NotErrorAs(t, err, &each)
}

// What refuse says counts as never, whatever word it brings.
func TestSieveRefusesForGood(t *testing.T) {
	b := &analytics.Batch{Items: make([]analytics.Item, 1)}
	err := dest.Sieve(b, func(*analytics.Item) error { return analytics.RetryAfter(time.Hour, errTooOld) }, nil)
	var each *analytics.BatchError
	require.ErrorAs(t, err, &each)
	require.Equal(t, "old, permanent", say(each.Items[0]))
}

func TestSieveOfAnEmptyBatch(t *testing.T) {
	calls := 0
	err := dest.Sieve(&analytics.Batch{}, nil, func(items []analytics.Item) error {
		calls++
		require.Empty(t, items)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, calls)
}
