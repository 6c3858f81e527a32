package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/benchmarks/internal/usage"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/postgres"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

// task is what one child process does: leave a backlog for a loader, or load it.
type task struct {
	Loader string // which one
	Fill   bool   // only leave the backlog
	Dir    string // of spool and files
	URL    string // of a database
	N      int    // events
}

// The loaders.
const (
	loadSQLite   = "SQLite"
	loadPostgres = "PostgreSQL"
	loadArchive  = "archive"
)

// result is what a task found out.
type result struct {
	Delivered int
	Rows      int64 // of the table of the event, or events in the archive
	Took      time.Duration
	PeakRSS   int64
}

const (
	workerFlag = "-worker"
	childLimit = 5 * time.Minute
)

// workIfAsked is what child processes do in place of main.
func workIfAsked() {
	if len(os.Args) < 2 || os.Args[1] != workerFlag {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), childLimit)
	defer cancel()
	var t task
	var r result
	err := json.NewDecoder(os.Stdin).Decode(&t)
	if err == nil {
		r, err = t.do(ctx)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run does a task in a child process.
func (t task) run(ctx context.Context) (r result, err error) {
	in, err := json.Marshal(t)
	if err != nil {
		return r, err
	}
	exe, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, exe, workerFlag)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", t.Loader, err)
	}
	return r, nil
}

func (t task) do(ctx context.Context) (result, error) {
	if t.Fill {
		return result{}, t.fill(ctx)
	}
	return t.load(ctx)
}

// client has the spool of the task, with room for all events.
func (t task) client(d analytics.Destination) (*analytics.Client, error) {
	return analytics.New(analytics.Config{
		Destinations: []analytics.Destination{d},
		Spool:        analytics.Spool{Dir: filepath.Join(t.Dir, "spool"), MaxBytes: max(1<<30, int64(t.N)*1000)},
		WhenFull:     analytics.Block,
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// stalled takes the place of a loader while a backlog grows.
type stalled struct{ name string }

func (s stalled) Describe() analytics.Description { return analytics.Description{Name: s.name} }

func (s stalled) Translate(*analytics.Event) ([]analytics.Item, error) {
	return nil, errors.New("events come as JSON")
}

func (s stalled) TranslateRaw(_ *analytics.Header, raw []byte) (analytics.Item, error) {
	return analytics.Item{Body: raw}, nil
}

func (s stalled) Deliver(ctx context.Context, _ *analytics.Batch) error {
	<-ctx.Done()
	return ctx.Err()
}

// fill leaves the backlog to the next process.
func (t task) fill(ctx context.Context) error {
	name := analytics.IntegrationWarehouses
	if t.Loader == loadArchive {
		name = (&archive.Destination{}).Describe().Name
	}
	c, err := t.client(stalled{name})
	if err != nil {
		return err
	}
	for i := range t.N {
		if err := c.EnqueueJSON(ctx, event(i), &analytics.Inbound{}); err != nil {
			return err
		}
	}
	if err := c.Sync(ctx); err != nil {
		return err
	}
	if n := c.Stats().Destinations[name].Pending; n != uint64(t.N) {
		return fmt.Errorf("%d events are waiting, want %d", n, t.N)
	}
	now, cancel := context.WithCancel(ctx)
	cancel()
	_ = c.Close(now) // says that all is pending
	return nil
}

// load loads the backlog.
func (t task) load(ctx context.Context) (r result, err error) {
	d, rows, err := t.loader()
	if err != nil {
		return r, err
	}
	start := time.Now()
	c, err := t.client(d)
	if err != nil {
		return r, err
	}
	if err := c.Flush(ctx); err != nil {
		return r, err
	}
	r.Delivered = int(c.Stats().Destinations[d.Describe().Name].Delivered)
	if err := c.Close(ctx); err != nil {
		return r, err
	}
	r.Took, r.PeakRSS = time.Since(start), usage.PeakRSS() // before the archive is read
	r.Rows, err = rows(ctx)
	return r, err
}

// loader is the destination, and what tells afterwards how much it has loaded.
func (t task) loader() (analytics.Destination, func(context.Context) (int64, error), error) {
	var store warehouse.Store
	switch t.Loader {
	case loadSQLite:
		store = &sqlite.Store{Path: filepath.Join(t.Dir, "shop.db")}
	case loadPostgres:
		store = &postgres.Store{URL: t.URL}
	case loadArchive:
		bucket := &archive.Folder{Path: filepath.Join(t.Dir, "archive")}
		return &archive.Destination{Bucket: bucket, Source: source}, func(ctx context.Context) (int64, error) { return archived(ctx, bucket) }, nil
	default:
		return nil, nil, fmt.Errorf("unknown loader %q", t.Loader)
	}
	var rows atomic.Int64
	d := &warehouse.Destination{Store: store, Source: source, OnSync: func(s warehouse.Sync) { rows.Add(s.Tables[eventTable]) }}
	return d, func(context.Context) (int64, error) { return rows.Load(), nil }, nil
}

// archived counts the events of an archive by its manifests.
func archived(ctx context.Context, bucket archive.Bucket) (n int64, err error) {
	a, err := archive.Open(bucket, "")
	if err != nil {
		return 0, err
	}
	for f, err := range a.Files(ctx, archive.Query{}) {
		if err != nil {
			return 0, err
		}
		n += f.Count
	}
	return n, nil
}
