package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
	"github.com/tributary-dev/analytics/examples"
)

// progress prints the head of a table and returns what prints its lines.
func progress(out io.Writer, client *analytics.Client, srv receiver) (line func(clock time.Duration)) {
	const row = "%10s %10s %10s %10s   %s\n"
	fmt.Fprintf(out, row, "shop clock", "accepted", "delivered", "waiting", "receiver")
	seen := 0
	return func(clock time.Duration) {
		account := client.Stats().Destinations[analytics.IntegrationSegment]
		log := srv.Log()
		fmt.Fprintf(out, row, fmt.Sprintf("%02d:00", int(clock.Hours())),
			grouped(account.Accepted), grouped(account.Delivered), grouped(account.Pending), answers(log[seen:]))
		seen = len(log)
	}
}

// answers are the statuses that the receiver gave, those in a row as one.
func answers(log []analyticstest.Request) string {
	var all []string
	for i := 0; i < len(log); {
		n := i
		for n < len(log) && log[n].Status == log[i].Status {
			n++
		}
		s := strconv.Itoa(log[i].Status)
		if n-i > 1 {
			s = fmt.Sprintf("%d × %s", n-i, s)
		}
		all = append(all, s)
		i = n
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ", ")
}

// result is what is known when the day is over.
type result struct {
	day   *examples.Recording
	calls []time.Duration // how long each call took
	wall  time.Duration
	stats analytics.Stats
	srv   receiver
}

func (r *result) account() analytics.DestinationStats {
	return r.stats.Destinations[analytics.IntegrationSegment]
}

// print shows the account of the client beside what the receiver has.
func (r *result) print(out io.Writer) {
	recorded, received := make(map[analytics.Call]int), make(map[analytics.Call]int)
	for _, e := range r.day.Events {
		recorded[e.Type]++
		if r.srv.Copies(e.MessageID) > 0 {
			received[e.Type]++
		}
	}
	const row = "%-20s %10s %10s\n"
	fmt.Fprintln(out)
	fmt.Fprintf(out, row, "call", "recorded", "received")
	for _, call := range []analytics.Call{analytics.CallIdentify, analytics.CallTrack, analytics.CallPage, analytics.CallScreen, analytics.CallGroup, analytics.CallAlias} {
		fmt.Fprintf(out, row, call, grouped(recorded[call]), grouped(received[call]))
	}

	a := r.account()
	slices.Sort(r.calls)
	fmt.Fprintln(out)
	for _, line := range []struct{ name, value, note string }{
		{"accepted", grouped(r.stats.Accepted), ""},
		{"delivered", grouped(a.Delivered), ""},
		{"filtered", grouped(analytics.Sum(a.Filtered)), ""},
		{"dropped", grouped(analytics.Sum(a.Dropped)), ""},
		{"requests", grouped(a.Requests), ""},
		{"retried requests", grouped(a.Retries), fmt.Sprintf("after %d × 503 and %d × 429", r.answered(http.StatusServiceUnavailable), r.answered(http.StatusTooManyRequests))},
		{"unique received", grouped(r.srv.Unique()), ""},
		{"duplicates seen", grouped(r.srv.Duplicates()), ""},
		{"call, median", micros(quantile(r.calls, 0.50)), fmt.Sprintf("to check and encode %d bytes on average", r.day.Bytes/len(r.day.Events))},
		{"call, 99 of 100", micros(quantile(r.calls, 0.99)), ""},
		{"wall time", fmt.Sprintf("%.1f s", r.wall.Seconds()), ""},
	} {
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("%-20s %10s   %s", line.name, line.value, line.note), " "))
	}
	fmt.Fprintln(out)
	if r.check() == nil {
		fmt.Fprintf(out, "The account balances, and the receiver has each of the %s events exactly once.\n", grouped(len(r.day.Events)))
	}
}

// check opens the books: every event accepted, every one accepted with an outcome, and
// every one with the receiver exactly once.
func (r *result) check() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	a := r.account()
	filtered, dropped := analytics.Sum(a.Filtered), analytics.Sum(a.Dropped)
	if n := uint64(len(r.day.Events)); r.stats.Accepted != n || a.Accepted != n {
		fault("%d events were recorded, %d accepted", n, a.Accepted)
	}
	if a.Accepted != a.Delivered+filtered+dropped+a.Pending {
		fault("the account does not balance: accepted %d, delivered %d, filtered %d, dropped %d, pending %d", a.Accepted, a.Delivered, filtered, dropped, a.Pending)
	}
	if a.Delivered != a.Accepted {
		fault("%d accepted events were not delivered", a.Accepted-a.Delivered)
	}
	missing, twice := 0, 0
	for _, e := range r.day.Events {
		switch r.srv.Copies(e.MessageID) {
		case 0:
			missing++
		case 1:
		default:
			twice++
		}
	}
	if missing > 0 || twice > 0 {
		fault("the receiver misses %d events and has %d more than once", missing, twice)
	}
	if n := r.srv.Unique(); n != len(r.day.Events) {
		fault("the receiver has %d events, want %d", n, len(r.day.Events))
	}
	if r.answered(http.StatusServiceUnavailable) == 0 || r.answered(http.StatusTooManyRequests) == 0 {
		fault("the receiver had no trouble, so nothing was shown")
	}
	for _, v := range r.srv.Violations() {
		fault("the receiver complains: %s", v)
	}
	return errors.Join(errs...)
}

// answered counts the requests that the receiver answered with a status.
func (r *result) answered(status int) (n int) {
	for _, req := range r.srv.Log() {
		if req.Status == status {
			n++
		}
	}
	return n
}

// quantile q of durations in ascending order.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
}

// grouped writes 2879 as 2,879.
func grouped[N int | uint64](n N) string {
	s := strconv.FormatUint(uint64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
