package analyticstest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dev/analytics"
)

// Setup is what [NewClient] and [Record] make a client of. They fill it in first, so
// that a func given to them changes only what matters to the test:
//
//	client, srv := analyticstest.NewClient(t, func(s *analyticstest.Setup) {
//		s.FlushInterval = time.Second
//		s.MayLose = true
//	})
type Setup struct {
	// Config goes to analytics.New. It comes with FlushInterval -1, so that nothing
	// waits for others to share a request with, with a Logger that writes to the
	// test's log, and with what leads to the Server or the Recorder. Append to
	// Destinations instead of replacing it.
	analytics.Config

	// MayLose is for tests of loss: events may be dropped, be rejected by the server
	// or be left when the client is closed. The account has to balance all the same.
	MayLose bool

	// CloseWithin is how long the client may take to deliver the rest when the test
	// ends. Zero means 10 seconds.
	CloseWithin time.Duration
}

const defaultClose = 10 * time.Second

// NewClient returns a client and the in-memory server to which it sends. When the
// test ends both are closed, and the test fails if the client lost events or its
// account does not balance. A client that the test has closed itself is looked at in
// the same way.
//
// Inside testing/synctest, give it the t of the bubble.
func NewClient(t testing.TB, edit ...func(*Setup)) (*analytics.Client, *Server) {
	t.Helper()
	srv := NewServer()
	client := start(t, srv, edit, func(c *analytics.Config) {
		c.WriteKey, c.Endpoint = "test", srv.URL()
		c.HTTPClient = &http.Client{Transport: srv.Transport()}
	})
	return client, srv
}

// Record returns a client and a [Recorder] that is its only destination. It ends
// like the client of [NewClient].
func Record(t testing.TB, edit ...func(*Setup)) (*analytics.Client, *Recorder) {
	t.Helper()
	rec := NewRecorder()
	client := start(t, nil, edit, func(c *analytics.Config) {
		c.Destinations = []analytics.Destination{rec}
	})
	return client, rec
}

// Flush waits until everything that client has accepted was delivered, and fails the
// test if that takes longer than 10 seconds or the test's context.
func Flush(t testing.TB, client *analytics.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), defaultClose)
	defer cancel()
	if err := client.Flush(ctx); err != nil {
		t.Fatalf("analyticstest: flush: %v", err)
	}
}

func start(t testing.TB, srv *Server, edit []func(*Setup), prepare func(*analytics.Config)) *analytics.Client {
	t.Helper()
	s := Setup{}
	s.FlushInterval = -1
	s.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	prepare(&s.Config)
	for _, f := range edit {
		f(&s)
	}
	client, err := analytics.New(s.Config)
	if err != nil {
		t.Fatalf("analyticstest: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(s.CloseWithin, defaultClose))
		defer cancel()
		err := client.Close(ctx)
		faults := imbalances(client.Stats())
		if !s.MayLose {
			faults = append(faults, losses(client.Stats())...)
			if err != nil {
				faults = append(faults, err.Error())
			}
		}
		if srv != nil {
			srv.Close()
			if !s.MayLose {
				faults = append(faults, rejections(srv)...)
			}
		}
		if len(faults) > 0 {
			t.Errorf("analyticstest: %s", strings.Join(faults, "\n\t"))
		}
	})
	return client
}

// imbalances names the destinations whose account does not balance.
func imbalances(s analytics.Stats) (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(s.Destinations)) {
		d := s.Destinations[name]
		filtered, dropped := analytics.Sum(d.Filtered), analytics.Sum(d.Dropped)
		if d.Accepted != d.Delivered+filtered+dropped+d.Pending || d.Pending > 0 {
			faults = append(faults, fmt.Sprintf("the account of %s does not balance: accepted %d, delivered %d, filtered %d, dropped %d, pending %d",
				name, d.Accepted, d.Delivered, filtered, dropped, d.Pending))
		}
	}
	return faults
}

// losses names what was accepted and not delivered, by destination and reason.
func losses(s analytics.Stats) (faults []string) {
	if s.Refused > 0 {
		faults = append(faults, fmt.Sprintf("%d calls failed with a full queue", s.Refused))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Destinations)) {
		dropped := s.Destinations[name].Dropped
		for _, why := range slices.Sorted(maps.Keys(dropped)) {
			faults = append(faults, fmt.Sprintf("%s lost %d events: %v", name, dropped[why], why))
		}
	}
	return faults
}

// rejections counts what the server would have dropped behind a 200, by code.
func rejections(srv *Server) (faults []string) {
	codes := make(map[string]int)
	for _, r := range srv.Rejected() {
		codes[r.Code]++
	}
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		faults = append(faults, fmt.Sprintf("the server rejected %d events behind a 200: %s", codes[code], code))
	}
	return faults
}
