package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
)

// A task is what a process is started for.
type task struct {
	Process  int
	Spool    string // empty: the queue is in memory
	Journal  string // folder
	Receiver string // URL
	Seed     uint64

	Sync      analytics.SyncMode
	SyncCalls bool          // now and then a writer calls Client.Sync
	FlushAt   int           // as in the configuration
	Events    int           // the most that each writer makes
	Burst     int           // a writer pauses after so many
	Pause     time.Duration // for so long
	Close     time.Duration // when to close; 0: once the standard input has ended
	Deadline  time.Duration // of Close; 0: its context is done already
}

const (
	writers   = 4
	taskEnv   = "CRASHTEST_TASK"
	deadline  = 2 * time.Second // of a request
	mostItems = 100             // in a request, so that there are many
	lifetime  = 5 * time.Minute // of a process that hangs
)

// child is the process that is killed. What it prints tells the driver where it is.
func child(t task) error {
	time.AfterFunc(lifetime, func() { panic("this process hangs") })
	j, err := openJournal(t.Journal, t.Process)
	if err != nil {
		return err
	}
	tell := func(step stage, args ...any) {
		j.note("%s", strings.TrimSpace(step.String()+" "+fmt.Sprintln(args...)))
		fmt.Println(step)
	}
	tell(opening)
	begun := time.Now()
	client, err := analytics.New(t.config(j))
	if err != nil {
		return err
	}
	took := time.Since(begun)
	tell(running, took.Nanoseconds(), unfinished(client.Stats()))

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { t.write(client, j, w, stop) })
	}
	if t.Close > 0 {
		time.Sleep(t.Close)
	} else {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
	}
	tell(closing)
	ctx, cancel := context.WithTimeout(context.Background(), t.Deadline)
	defer cancel()
	second := make(chan error, 1)
	go func() { second <- client.Close(ctx) }() // one of the two waits for the other, and both return the same
	err = client.Close(ctx)
	if other := <-second; fmt.Sprint(other) != fmt.Sprint(err) {
		return fmt.Errorf("two calls of Close return different errors: %v, %v", err, other)
	}
	tell(closed, strconv.Quote(fmt.Sprint(err)))
	close(stop)
	wg.Wait()
	return nil
}

// unfinished is how much a client that was just opened has found.
func unfinished(s analytics.Stats) (n uint64) {
	for _, d := range s.Destinations {
		n += d.Pending
	}
	return n
}

func (t task) config(j *journal) analytics.Config {
	var requests atomic.Int64
	watch := func(p place, d analytics.Destination) analytics.Destination {
		w := &watched{Destination: d, place: p, journal: j, requests: &requests}
		if raw, ok := d.(analytics.RawTranslator); ok {
			return &watchedRaw{w, raw}
		}
		return w
	}
	cfg := analytics.Config{
		Destinations: []analytics.Destination{
			watch(cloud, &analytics.Cloud{WriteKey: "crashtest", Endpoint: t.Receiver, Timeout: deadline, MaxBatch: mostItems}),
			watch(device, &direct{url: t.Receiver + devicePath}),
		},
		HTTPClient:    &http.Client{Transport: signed{http.DefaultTransport, t.Process}},
		FlushAt:       t.FlushAt,
		FlushInterval: 5 * time.Millisecond,
		DeadLetters:   func(l analytics.DeadLetter) error { j.note("%s %s", dropped, l.Reason); return nil },
	}
	if t.Spool != "" {
		cfg.Spool = analytics.Spool{Dir: t.Spool, Sync: t.Sync, SyncEvery: 50 * time.Millisecond}
	}
	return cfg
}

// write makes events until it is told to stop, and notes what becomes of the calls.
func (t task) write(client *analytics.Client, j *journal, writer int, stop chan struct{}) {
	random := rand.New(rand.NewPCG(t.Seed, uint64(writer)))
	for n := range t.Events {
		m := eventID{t.Process, writer, n}.message(random)
		j.mark(writer, intended)
		err := client.Track(context.Background(), m)
		if err != nil && !errors.Is(err, analytics.ErrNotDurable) {
			j.mark(writer, refused)
		} else {
			j.mark(writer, accepted)
		}
		if errors.Is(err, analytics.ErrClosed) {
			return
		}
		if t.SyncCalls && random.IntN(500) == 0 {
			_ = client.Sync(context.Background())
		}
		if n%t.Burst != t.Burst-1 || t.Pause == 0 {
			continue
		}
		select {
		case <-stop:
			return
		case <-time.After(t.Pause):
		}
	}
}

// watched notes each request of a destination before it begins, and how it ended before
// the library gets to know.
type watched struct {
	analytics.Destination
	place    place
	journal  *journal
	requests *atomic.Int64 // of all destinations
}

// Unwrap returns the destination that is watched.
func (w *watched) Unwrap() analytics.Destination { return w.Destination }

func (w *watched) Deliver(ctx context.Context, b *analytics.Batch) error {
	n := w.requests.Add(1)
	w.journal.note("%s %d %d%s", sent, w.place, n, numbers(b))
	plain := *b
	plain.Items = slices.Clone(b.Items)
	for i := range plain.Items {
		if s, ok := plain.Items[i].Data.(numbered); ok {
			plain.Items[i].Data = s.data
		}
	}
	err := w.Destination.Deliver(context.WithValue(ctx, requestKey{}, n), &plain)
	if err != nil {
		w.journal.note("%s %d", failed, n)
	} else {
		w.journal.note("%s %d", taken, n)
	}
	return err
}

// numbers are the log of a batch and where in it the events stand, if that is known.
func numbers(b *analytics.Batch) string {
	if _, ok := b.Items[0].Data.(numbered); !ok {
		return ""
	}
	text := " " + hex.EncodeToString(b.Log[:])
	for _, it := range b.Items {
		text += " " + strconv.FormatUint(it.Data.(numbered).seq, 10)
	}
	return text
}

// watchedRaw is a destination that takes events undecoded. That way it learns their
// sequence numbers.
type watchedRaw struct {
	*watched
	raw analytics.RawTranslator
}

// numbered is the data of an item with the sequence number of its event.
type numbered struct {
	seq  uint64
	data any
}

func (w *watchedRaw) TranslateRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	it, err := w.raw.TranslateRaw(h, raw)
	it.Data = numbered{h.Seq, it.Data}
	return it, err
}

type requestKey struct{}

// signed writes on each request who sends it.
type signed struct {
	http.RoundTripper
	process int
}

const (
	processHeader = "X-Process"
	requestHeader = "X-Request"
)

func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(processHeader, strconv.Itoa(s.process))
	r.Header.Set(requestHeader, fmt.Sprint(r.Context().Value(requestKey{})))
	return s.RoundTripper.RoundTrip(r)
}

// direct is a destination in device mode that decodes events and wants them in order.
type direct struct {
	url string
	env analytics.Env
}

func (d *direct) Describe() analytics.Description {
	return analytics.Description{
		Name: "Direct", Order: analytics.PerKey,
		Lanes: map[string]analytics.Limits{"": {MaxItems: mostItems, ItemOverhead: 1, Timeout: deadline}},
	}
}

func (d *direct) Open(env analytics.Env) error {
	d.env = env
	return nil
}

func (d *direct) Translate(e *analytics.Event) ([]analytics.Item, error) {
	body, err := e.AppendJSON(nil)
	return []analytics.Item{{Body: body}}, err
}

func (d *direct) Deliver(ctx context.Context, b *analytics.Batch) error {
	var body bytes.Buffer
	for _, it := range b.Items {
		body.Write(it.Body)
		body.WriteByte('\n')
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, &body)
	if err != nil {
		return analytics.Permanent(err)
	}
	res, err := d.env.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer func() { _, _ = io.Copy(io.Discard, res.Body); _ = res.Body.Close() }()
	return analytics.ResponseError(res)
}
