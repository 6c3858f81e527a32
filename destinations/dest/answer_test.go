package dest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// answered asks a tool that answers so.
func answered(t *testing.T, status int, header http.Header, body string) *dest.Answer {
	t.Helper()
	client := over(roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: http.NoBody, Request: r}, nil
	}))
	answer, err := client.Do(t.Context(), dest.Request{URL: "https://h/"})
	require.NoError(t, err)
	answer.Body = []byte(body)
	return answer
}

// The binding table of statuses, row by row.
func TestAnswerErr(t *testing.T) {
	words := map[analytics.Word][]int{
		analytics.WordDelivered:    {200, 201, 202, 204, 207, 208, 226, 299},
		analytics.WordAgain:        {408, 425, 500, 502, 503, 504, 506, 507, 508, 509, 510, 520, 529, 598, 599},
		analytics.WordRetryAfter:   {423, 429},
		analytics.WordUnauthorized: {401, 403, 407, 511},
		analytics.WordSplit:        {400, 413, 422},
		analytics.WordPermanent: {300, 301, 302, 303, 304, 307, 308, 402, 404, 405, 406, 409, 410, 411, 412, 414, 415, 416, 417, 418, 421, 424, 426, 428, 431,
			451, 460, 499, 501, 505},
	}
	for want, statuses := range words {
		for _, status := range statuses {
			err := answered(t, status, nil, "s3cret").Err()
			word, after := analytics.Classify(err)
			require.Equal(t, want, word, status)
			require.Zero(t, after, status)
			if want == analytics.WordDelivered {
				require.NoError(t, err)
				continue
			}
			require.True(t, strings.HasPrefix(err.Error(), fmt.Sprintf("tool: status %d", status)), err)
			require.NotContains(t, err.Error(), "s3cret")
			var is *analytics.StatusError
			require.ErrorAs(t, err, &is)
			require.Equal(t, status, is.Status)
		}
	}
	for _, status := range []int{408, 423, 425, 429, 500, 503} {
		_, after := analytics.Classify(answered(t, status, http.Header{"Retry-After": {"7"}}, "").Err())
		require.Equal(t, 7*time.Second, after, status)
	}
	for _, status := range []int{400, 401, 404} {
		_, after := analytics.Classify(answered(t, status, http.Header{"Retry-After": {"7"}}, "").Err())
		require.Zero(t, after, status)
	}
}

const month = 30 * 24 * time.Hour

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for value, want := range map[string]time.Duration{
			"7": 7 * time.Second, " 7 ": 7 * time.Second, "0.25": 250 * time.Millisecond, "1e2": 100 * time.Second, "007": 7 * time.Second,
			"2592000": month, "2592001": month, "999999999999999999999": month, "1e300": month,
			"0": 0, "-1": 0, "-1e300": 0, "1e400": 0, "": 0, " ": 0, "soon": 0, "7s": 0, "7, 8": 0, "NaN": 0, "1:30": 0, "٧": 0,
			date(90 * time.Second): 90 * time.Second, date(0): 0, date(-time.Hour): 0, date(10 * 365 * 24 * time.Hour): month,
			time.Now().Add(time.Minute).UTC().Format(time.RFC850): time.Minute, time.Now().Add(time.Minute).UTC().Format(time.ANSIC): time.Minute,
			time.Now().Add(time.Minute).UTC().Format(time.RFC3339): 0, "Thu, 31 Feb 2030 00:00:00 GMT": 0,
		} {
			require.Equal(t, want, answered(t, 429, http.Header{"Retry-After": {value}}, "").RetryAfter(), "%q", value)
			require.Equal(t, want, answered(t, 429, http.Header{"X-Wait": {value}}, "").RetryAfter("x-wait"), "%q", value)
			_, after := analytics.Classify(answered(t, 429, http.Header{"Retry-After": {value}}, "").Err())
			require.Equal(t, want, after, "%q is read alike by the client", value)
		}
		both := http.Header{"X-B": {"2"}, "X-C": {"3"}}
		require.Equal(t, 2*time.Second, answered(t, 429, both, "").RetryAfter("X-A", "X-B", "X-C"))
		both.Set("Retry-After", "rubbish")
		require.Equal(t, 3*time.Second, answered(t, 429, both, "").RetryAfter("X-C", "X-B"))
		both.Set("Retry-After", "1")
		require.Equal(t, time.Second, answered(t, 429, both, "").RetryAfter("X-C", "X-B"))
		require.Zero(t, answered(t, 429, nil, "").RetryAfter("X-A"))
	})
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unix := func(d time.Duration) string { return fmt.Sprint(time.Now().Add(d).Unix()) }
		for value, want := range map[string]time.Duration{
			unix(90 * time.Second): 90 * time.Second, " " + unix(time.Minute) + " ": time.Minute, unix(month + time.Hour): month,
			unix(time.Minute) + "000": month, "9223372036854775807": month, // milliseconds, and beyond any year
			// what says nothing leaves it to Retry-After
			unix(0): 5 * time.Second, unix(-time.Hour): 5 * time.Second, "0": 5 * time.Second, "-1": 5 * time.Second, "-9223372036854775808": 5 * time.Second,
			"9223372036854775808": 5 * time.Second, "": 5 * time.Second, "soon": 5 * time.Second, unix(time.Minute) + ".5": 5 * time.Second,
		} {
			header := http.Header{"X-Reset": {value}, "Retry-After": {"5"}}
			require.Equal(t, want, answered(t, 429, header, "").Until("x-reset"), "%q", value)
		}
		require.Zero(t, answered(t, 429, nil, "").Until("X-Reset"))
		time.Sleep(300 * time.Millisecond)
		header := http.Header{"X-Reset": {fmt.Sprint(time.Now().Unix() + 1)}}
		require.Equal(t, 700*time.Millisecond, answered(t, 429, header, "").Until("X-Reset"))
	})
}

func TestAnswerDecode(t *testing.T) {
	got := struct{ A, B int }{1, 2}
	require.NoError(t, answered(t, 200, nil, `{"A":5}`).Decode(&got))
	require.Equal(t, struct{ A, B int }{5, 2}, got)
	for _, body := range []string{"", "s3cret", `{"A":"s3cret"}`, `{"A":1}s3cret`, "<html>s3cret", `[{"s3cret":1}]`} {
		err := answered(t, 207, nil, body).Decode(&got)
		require.True(t, strings.HasPrefix(fmt.Sprint(err), "tool: answer of status 207"), err)
		require.NotContains(t, err.Error(), "s3cret")
		word, _ := analytics.Classify(err)
		require.Equal(t, analytics.WordAgain, word)
	}
}

func TestAnswerFault(t *testing.T) {
	for code, want := range map[string]string{
		"invalid_token": "invalid_token", "40001": "40001", "Error.Code-7": "Error.Code-7", strings.Repeat("a", 64): strings.Repeat("a", 64),
		"": "no code", strings.Repeat("a", 65): "no code", "ann@example.com": "no code", "not a code": "no code", "a\nb": "no code", "é": "no code", "a%sb": "no code",
	} {
		require.EqualError(t, answered(t, 400, nil, "").Fault(code), "tool: status 400: "+want)
	}
}

func TestJoin(t *testing.T) {
	items := []analytics.Item{{Body: []byte("1")}, {Body: []byte("{}")}, {Body: nil}}
	require.Equal(t, `{"e":[1,{},]}`, string(dest.Join(`{"e":[`, items, `]}`)))
	require.Equal(t, `[1]`, string(dest.Join("[", items[:1], "]")))
	require.Equal(t, `[]`, string(dest.Join("[", nil, "]")))
	require.Equal(t, "1", string(items[0].Body))
}

func TestAtOnce(t *testing.T) {
	cause := errors.New("another item")
	word, after := analytics.Classify(dest.AtOnce(cause))
	require.Equal(t, analytics.WordRetryAfter, word)
	require.Equal(t, time.Millisecond, after)
	require.ErrorIs(t, dest.AtOnce(cause), cause)
}
