package analytics_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
)

func response(status int, headers ...string) *http.Response {
	res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("secret@example.com"))}
	for i := 0; i+1 < len(headers); i += 2 {
		res.Header.Add(headers[i], headers[i+1])
	}
	return res
}

// The table of answers: each word wraps its cause and says how it goes on.
func TestWords(t *testing.T) {
	cause := &analytics.InvalidError{Field: "f", Reason: "r"}
	for _, row := range []struct {
		name  string
		err   error
		word  analytics.Word
		after time.Duration
	}{
		{"nil", nil, analytics.WordDelivered, 0},
		{"any error", cause, analytics.WordAgain, 0},
		{"RetryAfter", analytics.RetryAfter(time.Minute, cause), analytics.WordRetryAfter, time.Minute},
		{"RetryAfter without a pause", analytics.RetryAfter(0, cause), analytics.WordRetryAfter, 0},
		{"RetryAfter with a negative pause", analytics.RetryAfter(-time.Minute, cause), analytics.WordRetryAfter, 0},
		{"RetryAtMost", analytics.RetryAtMost(3, time.Second, cause), analytics.WordRetryAtMost, time.Second},
		{"RetryAtMost with a negative pause", analytics.RetryAtMost(-3, -time.Second, cause), analytics.WordRetryAtMost, 0},
		{"Permanent", analytics.Permanent(cause), analytics.WordPermanent, 0},
		{"Unauthorized", analytics.Unauthorized(cause), analytics.WordUnauthorized, 0},
		{"Split", analytics.Split(cause), analytics.WordSplit, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, err := range []error{row.err, wrapped(row.err), errors.Join(row.err)} {
				word, after := analytics.Classify(err)
				require.Equal(t, row.word, word)
				require.Equal(t, row.after, after)
				if row.err == nil {
					continue
				}
				require.ErrorIs(t, err, cause)
				var found *analytics.InvalidError
				require.ErrorAs(t, err, &found)
				require.Same(t, cause, found)
				require.Contains(t, err.Error(), "f: r")
			}
		})
	}
	t.Run("the outermost word counts", func(t *testing.T) {
		word, after := analytics.Classify(wrapped(analytics.RetryAfter(time.Second, analytics.Permanent(cause))))
		require.Equal(t, analytics.WordRetryAfter, word)
		require.Equal(t, time.Second, after)
	})
	t.Run("words without a cause", func(t *testing.T) {
		for _, err := range []error{
			analytics.RetryAfter(1, nil), analytics.RetryAtMost(1, 1, nil), analytics.Permanent(nil), analytics.Unauthorized(nil), analytics.Split(nil),
		} {
			require.Error(t, err)
			require.NotEmpty(t, err.Error())
			require.NoError(t, errors.Unwrap(err))
			word, _ := analytics.Classify(err)
			require.NotEqual(t, analytics.WordDelivered, word)
		}
	})
	t.Run("words have names", func(t *testing.T) {
		seen := map[string]bool{}
		for w := analytics.WordDelivered; w <= analytics.WordSplit+1; w++ {
			require.NotEmpty(t, w.String())
			require.False(t, seen[w.String()])
			seen[w.String()] = true
		}
	})
}

func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("acme: upload page 3: %w", err)
}

// wordOfStatus is the table of the statuses, once more in other words.
func wordOfStatus(status int) analytics.Word {
	switch status {
	case 408, 425:
		return analytics.WordAgain
	case 423, 429:
		return analytics.WordRetryAfter
	case 401, 403, 407, 511:
		return analytics.WordUnauthorized
	case 413, 400, 422: // of a single item, Split is Permanent
		return analytics.WordSplit
	case 501, 505:
		return analytics.WordPermanent
	}
	switch status / 100 {
	case 2:
		return analytics.WordDelivered
	case 5:
		return analytics.WordAgain
	}
	return analytics.WordPermanent
}

func TestResponseErrorOfEveryStatus(t *testing.T) {
	for status := 100; status <= 599; status++ {
		err := analytics.ResponseError(response(status))
		word, after := analytics.Classify(err)
		require.Equal(t, wordOfStatus(status), word, "status %d", status)
		require.Zero(t, after, "status %d", status)
		if word == analytics.WordDelivered {
			require.NoError(t, err)
			continue
		}
		var found *analytics.StatusError
		require.ErrorAs(t, err, &found)
		require.Equal(t, status, found.Status)
		require.Contains(t, err.Error(), strconv.Itoa(status))
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestResponseErrorRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		date := func(d time.Duration) string { return now.Add(d).UTC().Format(http.TimeFormat) }
		month := 30 * 24 * time.Hour
		for _, row := range []struct {
			name, header string
			want         time.Duration
		}{
			{"absent", "", 0},
			{"seconds", "120", 2 * time.Minute},
			{"zero", "0", 0},
			{"a fraction", "1.5", 1500 * time.Millisecond},
			{"a small fraction", "0.001", time.Millisecond},
			{"spaces", " 7 ", 7 * time.Second},
			{"negative", "-5", 0},
			{"huge", "99999999999999999999", month},
			{"beyond a float", "1" + strings.Repeat("0", 308), month},
			{"a date", date(90 * time.Second), 90 * time.Second},
			{"a date that is past", date(-time.Hour), 0},
			{"a date that is long past", "Thu, 01 Jan 1970 00:00:00 GMT", 0},
			{"a date that is far", "Fri, 31 Dec 9999 23:59:59 GMT", month},
			{"a date of RFC 850", now.Add(time.Minute).UTC().Format("Monday, 02-Jan-06 15:04:05 GMT"), time.Minute},
			{"a date of asctime", now.Add(time.Minute).UTC().Format(time.ANSIC), time.Minute},
			{"garbage", "soon", 0},
			{"NaN", "NaN", 0},
			{"a number and more", "12 seconds", 0},
			{"a date that is none", "Fri, 32 Dec 2026 23:59:59 GMT", 0},
		} {
			var headers []string
			if row.header != "" {
				headers = []string{"Retry-After", row.header}
			}
			for status, word := range map[int]analytics.Word{
				429: analytics.WordRetryAfter, 423: analytics.WordRetryAfter, 503: analytics.WordAgain, 408: analytics.WordAgain, 425: analytics.WordAgain,
			} {
				got, after := analytics.Classify(analytics.ResponseError(response(status, headers...)))
				require.Equal(t, word, got, row.name)
				require.InDelta(t, row.want.Seconds(), after.Seconds(), 1e-6, "%s, status %d", row.name, status)
			}
		}
		for _, status := range []int{200, 301, 400, 401, 404, 413, 501} {
			_, after := analytics.Classify(analytics.ResponseError(response(status, "Retry-After", "60")))
			require.Zero(t, after, "status %d asks for no pause", status)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{
		"", "0", "1", "-1", "1.5", "1e9", "1e400", "-1e400", "0x1p3", "Inf", "-Inf", "NaN", "9999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT",
		"Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 02 Jan 2006 15:04:05 MST", "\x00", "١٢", "1_000", "12 s",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, status := range []int{429, 503} {
			err := analytics.ResponseError(response(status, "Retry-After", s))
			word, after := analytics.Classify(err)
			require.Contains(t, []analytics.Word{analytics.WordRetryAfter, analytics.WordAgain}, word)
			require.GreaterOrEqual(t, after, time.Duration(0))
			require.LessOrEqual(t, after, 30*24*time.Hour)
			if n, err := strconv.ParseUint(s, 10, 64); err == nil {
				require.InDelta(t, min(float64(n), 30*24*3600), after.Seconds(), 1e-6)
			}
			require.False(t, math.IsNaN(after.Seconds()))
		}
	})
}

// slowBody gives bytes for as long as it is not closed, one every pause; without a
// pause it hangs.
type slowBody struct {
	pause  time.Duration
	chunk  int
	read   int
	closed chan struct{}
	closes int
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.pause == 0 {
		<-b.closed
		return 0, http.ErrBodyReadAfterClose
	}
	select {
	case <-b.closed:
		return 0, http.ErrBodyReadAfterClose
	case <-time.After(b.pause):
	}
	n := min(len(p), b.chunk)
	b.read += n
	return n, nil
}

func (b *slowBody) Close() error {
	if b.closes++; b.closes == 1 {
		close(b.closed)
	}
	return nil
}

func TestResponseErrorSurvivesBodies(t *testing.T) {
	for _, row := range []struct {
		name  string
		pause time.Duration
		chunk int
		most  time.Duration
	}{
		{"an endless body", time.Nanosecond, 1 << 20, 100 * time.Millisecond},
		{"an endless body in small pieces", time.Microsecond, 512, 500 * time.Millisecond},
		{"a body that drips", 100 * time.Millisecond, 1, 1100 * time.Millisecond},
		{"a body that hangs", 0, 0, 1100 * time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, status := range []int{200, 429, 503, 400} {
					body := &slowBody{pause: row.pause, chunk: row.chunk, closed: make(chan struct{})}
					res := response(status)
					res.Body = body
					begun := time.Now()
					word, _ := analytics.Classify(analytics.ResponseError(res))
					require.LessOrEqual(t, time.Since(begun), row.most)
					require.Equal(t, wordOfStatus(status), word)
					require.Positive(t, body.closes, "the body is closed")
					require.LessOrEqual(t, body.read, 128<<10)
				}
			})
		})
	}
	t.Run("a short body is read to its end, so that the connection is kept", func(t *testing.T) {
		for _, n := range []int{0, 1, 1000, 64 << 10} {
			body := &countedBody{Reader: strings.NewReader(strings.Repeat("x", n))}
			res := response(200)
			res.Body = body
			require.NoError(t, analytics.ResponseError(res))
			require.True(t, body.ended, "%d bytes", n)
			require.Positive(t, body.closes)
		}
	})
	t.Run("a body that fails", func(t *testing.T) {
		body := &countedBody{Reader: io.MultiReader(strings.NewReader("x"), failingReader{})}
		res := response(200)
		res.Body = body
		require.NoError(t, analytics.ResponseError(res), "the status has said it all")
		require.Positive(t, body.closes)
	})
	t.Run("no body", func(t *testing.T) {
		res := response(503)
		res.Body = nil
		require.Error(t, analytics.ResponseError(res))
	})
	t.Run("no header", func(t *testing.T) {
		res := response(429)
		res.Header = nil
		require.Error(t, analytics.ResponseError(res))
	})
	t.Run("of net/http", func(t *testing.T) {
		rec := httptest.NewRecorder()
		rec.Header().Set("Retry-After", "3")
		rec.WriteHeader(429)
		_, after := analytics.Classify(analytics.ResponseError(rec.Result()))
		require.Equal(t, 3*time.Second, after)
	})
}

type countedBody struct {
	io.Reader
	ended  bool
	closes int
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

func (b *countedBody) Close() error {
	b.closes++
	return nil
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("secret of the body") }

func TestBatchError(t *testing.T) {
	t.Run("it does not unwrap into its parts", func(t *testing.T) {
		cause := errors.New("cause")
		b := &analytics.BatchError{}
		b.Set(3, analytics.Permanent(cause))
		b.Set(1, analytics.Unauthorized(cause))
		for _, err := range []error{b, wrapped(b)} {
			require.NotErrorIs(t, err, cause)
			word, after := analytics.Classify(err)
			require.Equal(t, analytics.WordAgain, word)
			require.Zero(t, after)
			var found *analytics.BatchError
			require.ErrorAs(t, err, &found)
			require.Len(t, found.Items, 2)
		}
	})
	t.Run("the first word for an item stays", func(t *testing.T) {
		b := &analytics.BatchError{}
		first, second := errors.New("first"), errors.New("second")
		b.Set(0, first)
		b.Set(0, second)
		require.Equal(t, map[int]error{0: first}, b.Items)
	})
	t.Run("OrNil", func(t *testing.T) {
		require.NoError(t, (*analytics.BatchError)(nil).OrNil())
		b := &analytics.BatchError{}
		require.NoError(t, b.OrNil())
		require.True(t, b.OrNil() == nil, "it is no typed nil")
		b.Set(0, io.EOF)
		require.Same(t, b, b.OrNil())
	})
	t.Run("its text counts and quotes the first", func(t *testing.T) {
		b := &analytics.BatchError{}
		require.NotEmpty(t, b.Error())
		b.Set(7, errors.New("seven"))
		b.Set(2, errors.New("two"))
		require.Equal(t, "2 items failed, item 2: two", b.Error())
	})
}

func TestErrorsHaveTexts(t *testing.T) {
	require.EqualError(t, &analytics.InvalidError{Field: "properties.revenue", Reason: "is no number"}, "properties.revenue: is no number")
	require.EqualError(t, &analytics.StatusError{Status: 404}, "status 404 Not Found")
	require.EqualError(t, &analytics.StatusError{Status: 460}, "status 460")
	p := &analytics.PendingError{Destinations: map[string]analytics.Pending{"b": {Events: 2, Reason: "retry"}, "a": {Events: 1, Reason: "unauthorized"}}}
	require.EqualError(t, p, "analytics: events without an outcome: a 1 (unauthorized), b 2 (retry)")
}
