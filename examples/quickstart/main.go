// Quickstart sends a recorded day of a shop through the library: the events of its
// website, its app and its server, replayed in four seconds over HTTP to a receiver
// that judges them as Segment does. At noon the receiver breaks: it answers 503 for a
// while, and then 429 with Retry-After. At the end the books are opened: what was
// accepted, what arrived, and whether anything is missing.
//
//	go run ./examples/quickstart [-handler]
//
// With -handler the receiver is not a fake of Segment but a handler of this library's
// package sources/trackingapi.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
	"github.com/tributary-dev/analytics/examples"
)

func main() {
	ours := flag.Bool("handler", false, "send to a handler of package sources/trackingapi instead of a fake of Segment")
	flag.Parse()
	if err := play(os.Stdout, *ours); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// receiver is what the day is sent to: a fake of Segment, or a handler. It can be asked
// when it is closed, too.
type receiver interface {
	Start() (url string)
	Close()
	Respond(func(*analyticstest.Request) analyticstest.Reply)
	Log() []analyticstest.Request
	Copies(messageID string) int
	Unique() int
	Duplicates() int
	Violations() []string
}

// play replays the day over the loopback interface.
func play(out io.Writer, ours bool) error {
	var srv receiver = analyticstest.NewServer()
	if ours {
		h, err := newHandler()
		if err != nil {
			return err
		}
		srv = h
	}
	defer srv.Close()
	return run(out, srv, srv.Start(), nil)
}

// The day takes four seconds, and a line is printed for every two hours of it.
const (
	speed     = 24 * time.Hour / (4 * time.Second)
	lineEvery = 2 * time.Hour
	noon      = 12 * time.Hour
	writeKey  = "quickstart"
)

// run replays the day to srv, which is at the URL endpoint, or behind httpClient if
// that is not nil.
func run(out io.Writer, srv receiver, endpoint string, httpClient *http.Client) error {
	day, err := examples.ShopDay()
	if err != nil {
		return err
	}
	var trouble outage
	srv.Respond(trouble.reply)

	// This is all that it takes.
	client, err := analytics.New(analytics.Config{
		WriteKey:      writeKey,
		Endpoint:      endpoint,
		HTTPClient:    httpClient,
		FlushInterval: 100 * time.Millisecond, // a day of four seconds is in a hurry
	})
	if err != nil {
		return err
	}

	fmt.Fprintf(out, "Replaying %s events of %s.\n\n", grouped(len(day.Events)), day.Midnight.Format("Monday, 2 January 2006"))
	line := progress(out, client, srv)
	start := time.Now()
	mark := lineEvery
	calls := make([]time.Duration, 0, len(day.Events))
	for _, e := range day.Events {
		clock := e.Timestamp.Sub(day.Midnight)
		for ; mark <= clock; mark += lineEvery {
			time.Sleep(time.Until(start.Add(mark / speed)))
			line(mark)
			trouble.begin(mark)
		}
		time.Sleep(time.Until(start.Add(clock / speed)))

		before := time.Now()
		if err := client.Enqueue(context.Background(), e); err != nil {
			return fmt.Errorf("event %s: %w", e.MessageID, err)
		}
		calls = append(calls, time.Since(before))
	}

	err = finish(client, func() { line(24 * time.Hour) })
	srv.Close() // what it has taken, it has now delivered
	r := result{day: day, calls: calls, wall: time.Since(start), stats: client.Stats(), srv: srv}
	r.print(out)
	if err != nil {
		return err
	}
	return r.check()
}

// finish closes the client, which sends what is left, and shows that it is at it.
func finish(client *analytics.Client, show func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- client.Close(ctx) }()
	tick := time.NewTicker(lineEvery / speed)
	defer tick.Stop()
	for {
		select {
		case err := <-closed:
			show()
			return err
		case <-tick.C:
			show()
		}
	}
}

// outage is what happens to the receiver at noon.
type outage struct {
	begun    atomic.Bool
	requests atomic.Int64
}

func (o *outage) begin(clock time.Duration) {
	if clock == noon {
		o.begun.Store(true)
	}
}

// reply answers the first requests from noon on: four with 503 and two more with 429.
func (o *outage) reply(*analyticstest.Request) analyticstest.Reply {
	if !o.begun.Load() {
		return analyticstest.Reply{}
	}
	switch n := o.requests.Add(1); {
	case n <= 4:
		return analyticstest.Reply{Status: http.StatusServiceUnavailable}
	case n <= 6:
		return analyticstest.Reply{Status: http.StatusTooManyRequests, RetryAfter: "1"}
	}
	return analyticstest.Reply{}
}
