package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// writeKey names the source. It is no secret: every page has it.
const writeKey = "collector"

// collector is what receives, and what shows it.
type collector struct {
	client  *analytics.Client
	handler *trackingapi.Handler
	live    *live
	pixels  trackingapi.PixelRules
	bundles string // folder of analytics.js
	events  string // URL of the API; empty is that of the page

	preflights atomic.Uint64
}

func newCollector(modules string) (*collector, error) {
	c := &collector{
		live:    newLive(),
		bundles: filepath.Join(modules, "@segment", "analytics-next", "dist", "umd"),
		// Only the pixels of the page itself are believed.
		pixels: trackingapi.PixelRules{Secret: []byte(rand.Text()), Require: true},
	}
	var err error
	c.client, err = analytics.New(analytics.Config{
		// Destinations that do something with the events stand here.
		Destinations: []analytics.Destination{analytics.DestinationFunc("live", c.show)},

		FlushInterval: -1, // somebody is watching
	})
	if err != nil {
		return nil, err
	}
	c.handler, err = trackingapi.New(trackingapi.Config{
		Keys: trackingapi.Keys{writeKey: {
			Name: "page", Client: c.client, Settings: trackingapi.FixedSettings(settings()),
		}},
		Pixels: c.pixels,
	})
	if err != nil {
		return nil, errors.Join(err, c.client.Close(context.Background()))
	}
	return c, nil
}

// settings are what analytics.js asks for when it starts. Where the events go is added by
// the handler.
func settings() *trackingapi.Settings {
	return &trackingapi.Settings{
		Integrations: map[string]any{
			analytics.IntegrationSegment: map[string]any{"protocol": "http"}, // no TLS here
		},
		// Else analytics.js tells Segment how it is doing.
		Extra: map[string]any{"metrics": map[string]any{"sampleRate": 0}},
	}
}

// show is the destination.
func (c *collector) show(_ context.Context, events []*analytics.Event) error {
	for _, e := range events {
		message, err := e.AppendJSON(nil)
		if err != nil {
			return analytics.Permanent(err)
		}
		c.live.add(message)
	}
	return nil
}

// api serves the Tracking API, and tells the page what has come of each request.
func (c *collector) api() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			c.preflights.Add(1)
		}
		c.handler.ServeHTTP(w, r)
		c.live.touch()
	})
}

// counters are those of the page.
type counters struct {
	Requests   uint64 `json:"requests"`
	Preflights uint64 `json:"preflights"`
	Accepted   uint64 `json:"accepted"`
	Duplicates uint64 `json:"duplicates"`
	Discarded  uint64 `json:"discarded"`
}

func (c *collector) counters() counters {
	stats := c.handler.Stats()
	n := counters{Accepted: stats.Events, Duplicates: stats.Duplicates, Preflights: c.preflights.Load()}
	for _, requests := range stats.Requests {
		n.Requests += requests
	}
	for _, discards := range stats.Discards {
		n.Discarded += discards
	}
	return n
}

// The scripts that the page may use.
const (
	scriptPublished = "analytics.js"
	scriptOwn       = "own.js"
)

// script is the one that the page uses: ours only where somebody wants it, or where the
// published one is not installed.
func (c *collector) script(own bool) string {
	_, err := os.Stat(filepath.Join(c.bundles, "index.js"))
	if own || errors.Is(err, fs.ErrNotExist) {
		return scriptOwn
	}
	return scriptPublished
}

// close ends the servers first, then what they feed.
func (c *collector) close(servers ...*server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c.live.close()
	var err error
	for _, s := range servers {
		err = errors.Join(err, s.end(ctx))
	}
	return errors.Join(err, c.handler.Close(ctx), c.client.Close(ctx))
}
