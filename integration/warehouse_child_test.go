package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/postgres"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

// TestMain lets the binary of the tests be a process that loads, and is killed.
func TestMain(m *testing.M) {
	if order := os.Getenv(loaderEnv); order != "" {
		if err := serveLoader(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const loaderEnv = "ANALYTICS_LOADER"

// loaderTask is what a process is started for.
type loaderTask struct {
	SQLite   string // path
	Postgres string // URL
	Spool    string // folder
	Journal  string // file

	First, Count int  // the events that it makes
	Flat         bool // which are all alike
	Skip         int  // none of a number that leaves this rest when divided by 3; 3: all of them
	Burst        int  // it pauses after so many
	Pause        time.Duration
	Every        time.Duration
	MaxItems     int // in a load

	Hold byte // it stands still at each HoldEach-th mark of this sort, until it is told to go on
	Each int
	Tear bool // the journal is committed apart from the rows

	Then loaderEnd
}

// loaderEnd is what a process does when it has made its events.
type loaderEnd int

const (
	thenWait  loaderEnd = iota // goes on loading
	thenLeave                  // closes at once, without loading the rest
	thenDrain                  // loads the rest and closes
	thenLock                   // makes no events: holds the lock of the database
)

// The marks that a process writes to its standard output.
const (
	markOpening  = 'o' // it calls New
	markReady    = 'r'
	markMade     = 'm' // all events are accepted
	markDeliver  = 'l' // a load begins
	markBegun    = 'b' // it has a transaction
	markTables   = 'd' // it changes a table
	markRows     = 'w' // it writes rows
	markCommit   = 'c'
	markDone     = 'C' // Commit has returned
	markAnswered = 'i' // Deliver returns
	markTorn     = 's' // the journal is committed, the rows are not
	markHolding  = 'H' // it stands still
)

// beacon writes marks. A process without one says nothing.
type beacon struct {
	mu   sync.Mutex
	hold byte
	each int
	seen int
}

// mark says where the process is. It stays there if that was asked for.
func (b *beacon) mark(m byte) {
	b.mu.Lock()
	_, _ = os.Stdout.Write([]byte{m})
	hold := false
	if m == b.hold {
		b.seen++
		hold = b.seen%b.each == 0
	}
	b.mu.Unlock()
	if !hold {
		return
	}
	_, _ = os.Stdout.Write([]byte{markHolding})
	if _, err := io.ReadFull(os.Stdin, make([]byte, 1)); err != nil {
		os.Exit(4) // the test has ended
	}
}

func serveLoader(order string) error {
	var t loaderTask
	if err := json.Unmarshal([]byte(order), &t); err != nil {
		return err
	}
	time.AfterFunc(5*time.Minute, func() { panic("this process hangs") })
	signs := &beacon{hold: t.Hold, each: max(t.Each, 1)}
	if t.Then == thenLock {
		return t.lock(signs)
	}
	signs.mark(markOpening)
	d := t.destination(signs)
	client, err := analytics.New(t.config(d))
	if err != nil {
		return err
	}
	signs.mark(markReady)
	if err := t.send(client); err != nil {
		return err
	}
	signs.mark(markMade)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	switch t.Then {
	case thenLeave:
		cancel()
		err = client.Close(ctx)
		var pending *analytics.PendingError
		if !errors.As(err, &pending) {
			return fmt.Errorf("Close with events left: %w", err)
		}
		return nil
	case thenDrain:
		if err := d.SyncNow(ctx); err != nil {
			return err
		}
		return client.Close(ctx)
	}
	_, _ = io.ReadFull(os.Stdin, make([]byte, 1)) // until the test has ended
	return errors.New("nobody has killed this process")
}

// config is that of the client. A dead letter is an event that is lost.
func (t *loaderTask) config(d analytics.Destination) analytics.Config {
	return analytics.Config{
		Destinations: []analytics.Destination{d},
		Spool:        analytics.Spool{Dir: t.Spool, Sync: analytics.Never, MinFree: -1},
		DeadLetters: func(l analytics.DeadLetter) error {
			fmt.Fprintln(os.Stderr, "dead letter:", l.Reason, l.Error)
			os.Exit(5)
			return nil
		},
	}
}

// send makes the events, and notes each one before and after the call.
func (t *loaderTask) send(client *analytics.Client) error {
	journal, err := os.OpenFile(t.Journal, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer journal.Close()
	for n := t.First; n < t.First+t.Count; n++ {
		if n%3 == t.Skip {
			continue
		}
		if _, err := fmt.Fprintf(journal, "try %d\n", n); err != nil {
			return err
		}
		m, _ := warehouseEvent(n)
		if t.Flat {
			m = flatEvent(n)
		}
		if err := client.Enqueue(context.Background(), m); err != nil {
			return fmt.Errorf("event %d: %w", n, err)
		}
		if _, err := fmt.Fprintf(journal, "took %d\n", n); err != nil {
			return err
		}
		if n%t.Burst == 0 && t.Pause > 0 {
			<-time.After(t.Pause)
		}
	}
	return nil
}

// store is the database of the task.
func (t *loaderTask) store() warehouse.Store {
	if t.Postgres != "" {
		return &postgres.Store{URL: t.Postgres}
	}
	return &sqlite.Store{Path: t.SQLite}
}

// lock holds the lock of the loader.
func (t *loaderTask) lock(signs *beacon) error {
	store, ctx := t.store(), context.Background()
	if err := store.Open(ctx); err != nil {
		return err
	}
	tx, err := store.Begin(ctx, store.Dialect().Schema)
	if err != nil {
		return err
	}
	signs.mark(markHolding)
	_, _ = io.ReadFull(os.Stdin, make([]byte, 1))
	return errors.Join(tx.Rollback(), store.Close())
}

func (t *loaderTask) destination(signs *beacon) *markedDestination {
	store := t.store()
	if t.Tear {
		store = &tornStore{store, signs}
	}
	return &markedDestination{
		Destination: &warehouse.Destination{Store: &markedStore{store, signs}, Every: t.Every}, signs: signs, items: t.MaxItems,
	}
}

// markedDestination is a warehouse that says what it does, and loads few events at a time.
type markedDestination struct {
	*warehouse.Destination
	signs *beacon
	items int // zero: as many as the warehouse itself
}

func (d *markedDestination) Describe() analytics.Description {
	desc := d.Destination.Describe()
	if d.items > 0 {
		lane := desc.Lanes[""]
		lane.MaxItems = d.items
		desc.Lanes[""] = lane
	}
	return desc
}

func (d *markedDestination) Deliver(ctx context.Context, b *analytics.Batch) error {
	d.signs.mark(markDeliver)
	defer d.signs.mark(markAnswered)
	return d.Destination.Deliver(ctx, b)
}
