package analytics_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// tool is a destination made of funcs; what is nil succeeds.
type tool struct {
	desc      analytics.Description
	describe  func() analytics.Description
	translate func(*analytics.Event) ([]analytics.Item, error)
	deliver   func(context.Context, *analytics.Batch) error
}

func named(name string) *tool { return &tool{desc: analytics.Description{Name: name}} }

func (d *tool) Describe() analytics.Description {
	if d.describe != nil {
		return d.describe()
	}
	return d.desc
}

func (d *tool) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if d.translate != nil {
		return d.translate(e)
	}
	return []analytics.Item{{Body: []byte(e.MessageID)}}, nil
}

func (d *tool) Deliver(ctx context.Context, b *analytics.Batch) error {
	if d.deliver != nil {
		return d.deliver(ctx, b)
	}
	return nil
}

// openTool is a tool that is opened and closed.
type openTool struct {
	*tool
	open   func(analytics.Env) error
	closed int
}

func (d *openTool) Open(env analytics.Env) error { return d.open(env) }

func (d *openTool) Close(context.Context) error {
	d.closed++
	return nil
}

// positionTool owns its cursor.
type positionTool struct{ *tool }

func (positionTool) Position(context.Context, analytics.LogID) (uint64, bool, error) {
	return 0, false, nil
}

// start makes a client that is closed when the test ends, however it ends.
func start(t *testing.T, cfg analytics.Config) *analytics.Client {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	client, err := newClient(t, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = client.Close(ctx)
	})
	return client
}

// fault makes a client that has to be refused, and returns why.
func fault(t *testing.T, cfg analytics.Config) error {
	t.Helper()
	client, err := newClient(t, cfg)
	if client != nil {
		_ = client.Close(t.Context())
	}
	require.Error(t, err)
	require.Nil(t, client)
	return err
}

func fieldsIn(err error) (fields []string) {
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case *analytics.InvalidError:
			fields = append(fields, e.Field)
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	return fields
}

func TestConfigFaults(t *testing.T) {
	limits := func(l analytics.Limits) []analytics.Destination {
		return []analytics.Destination{&tool{desc: analytics.Description{Name: "A", Lanes: map[string]analytics.Limits{"events": l}}}}
	}
	for _, row := range []struct {
		name string
		cfg  analytics.Config
		want string // field
	}{
		{"nothing to send to", analytics.Config{}, "WriteKey"},
		{"an endpoint without a key", analytics.Config{Endpoint: "https://x.example", Destinations: []analytics.Destination{named("A")}}, "Endpoint"},
		{"a region without a key", analytics.Config{Region: "eu", Destinations: []analytics.Destination{named("A")}}, "Endpoint"},
		{"an unknown region", analytics.Config{WriteKey: "k", Region: "mars"}, "Region"},
		{"an endpoint that is no URL", analytics.Config{WriteKey: "k", Endpoint: "x.example"}, "Endpoint"},
		{"an endpoint with a query", analytics.Config{WriteKey: "k", Endpoint: "https://x.example/?a=b"}, "Endpoint"},
		{"an endpoint with credentials", analytics.Config{WriteKey: "k", Endpoint: "https://u:p@x.example"}, "Endpoint"},
		{"an endpoint and a region", analytics.Config{WriteKey: "k", Endpoint: "https://x.example", Region: "eu"}, "Endpoint"},
		{"too little memory", analytics.Config{WriteKey: "k", MaxMemory: 1}, "MaxMemory"},
		{"negative memory", analytics.Config{WriteKey: "k", MaxMemory: -1}, "MaxMemory"},
		{"an unknown WhenFull", analytics.Config{WriteKey: "k", WhenFull: 77}, "WhenFull"},
		{"negative FlushAt", analytics.Config{WriteKey: "k", FlushAt: -1}, "FlushAt"},
		{"negative MaxAge", analytics.Config{WriteKey: "k", MaxAge: -1}, "MaxAge"},
		{"negative MaxAttempts", analytics.Config{WriteKey: "k", MaxAttempts: -1}, "MaxAttempts"},
		{"a nil plugin", analytics.Config{WriteKey: "k", Plugins: []analytics.Plugin{nil}}, "Plugins[0]"},
		{"a context that has no JSON", analytics.Config{WriteKey: "k", Context: &analytics.Context{Extra: map[string]any{"f": func() {}}}}, "Context.f"},
		{"a nil destination", analytics.Config{Destinations: []analytics.Destination{named("A"), nil}}, "Destinations[1]"},
		{"a typed nil destination", analytics.Config{Destinations: []analytics.Destination{(*tool)(nil)}}, "Destinations[0]"},
		{"a nil destination behind a name", analytics.Config{Destinations: []analytics.Destination{analytics.Named("x", nil)}}, "Destinations[0]"},
		{"a nil destination behind plugins", analytics.Config{Destinations: []analytics.Destination{analytics.With(nil)}}, "Destinations[0]"},
		{"a destination without a name", analytics.Config{Destinations: []analytics.Destination{named("")}}, "Destinations[0]"},
		{"an empty name of an instance", analytics.Config{Destinations: []analytics.Destination{analytics.Named("", named("A"))}}, "Destinations[0]"},
		{"a func without a name", analytics.Config{Destinations: []analytics.Destination{analytics.DestinationFunc("", nil)}}, "Destinations[0]"},
		{"a destination twice", analytics.Config{Destinations: []analytics.Destination{named("A"), named("A")}}, "A"},
		{"the cloud mode twice", analytics.Config{WriteKey: "k", Destinations: []analytics.Destination{&analytics.Cloud{WriteKey: "l"}}}, "Segment.io"},
		{"a name that another has", analytics.Config{Destinations: []analytics.Destination{named("A"), analytics.Named("A", named("B"))}}, "A"},
		{"an unknown order", analytics.Config{Destinations: []analytics.Destination{&tool{desc: analytics.Description{Name: "A", Order: 9}}}}, "A"},
		{"a negative schedule", analytics.Config{Destinations: []analytics.Destination{&tool{desc: analytics.Description{Name: "A", Every: -1}}}}, "A"},
		{"negative MaxItems", analytics.Config{Destinations: limits(analytics.Limits{MaxItems: -1})}, "A lane events"},
		{"negative MaxBytes", analytics.Config{Destinations: limits(analytics.Limits{MaxBytes: -1})}, "A lane events"},
		{"negative MaxItemBytes", analytics.Config{Destinations: limits(analytics.Limits{MaxItemBytes: -1})}, "A lane events"},
		{"an envelope that fills a request", analytics.Config{Destinations: limits(analytics.Limits{MaxBytes: 10, Overhead: 8, ItemOverhead: 2})}, "A lane events"},
		{"negative overhead", analytics.Config{Destinations: limits(analytics.Limits{Overhead: -1})}, "A lane events"},
		{"negative concurrency", analytics.Config{Destinations: limits(analytics.Limits{Concurrency: -1})}, "A lane events"},
		{"negative time-out", analytics.Config{Destinations: limits(analytics.Limits{Timeout: -1})}, "A lane events"},
		{"a rate of nothing", analytics.Config{Destinations: limits(analytics.Limits{Rates: []analytics.Rate{{}}})}, "A lane events"},
		{"a negative rate", analytics.Config{Destinations: limits(analytics.Limits{Rates: []analytics.Rate{{Items: -1}}})}, "A lane events"},
		{"a rate per negative time", analytics.Config{Destinations: limits(analytics.Limits{Rates: []analytics.Rate{{Items: 1, Per: -1}}})}, "A lane events"},
		{"the usual lane goes by the name alone", analytics.Config{Destinations: []analytics.Destination{&tool{desc: analytics.Description{Name: "A", Lanes: map[string]analytics.Limits{"": {MaxItems: -1}}}}}}, "A"},
		{"a cursor of its own without order", analytics.Config{Destinations: []analytics.Destination{positionTool{named("A")}}}, "A"},
		{"a cursor of its own with order by key", analytics.Config{Destinations: []analytics.Destination{positionTool{&tool{desc: analytics.Description{Name: "A", Order: analytics.PerKey}}}}}, "A"},
		{"a cursor of its own with two lanes", analytics.Config{Destinations: []analytics.Destination{positionTool{&tool{desc: analytics.Description{Name: "A", Order: analytics.Total, Lanes: map[string]analytics.Limits{"a": {}, "b": {}}}}}}}, "A"},
		{"a cursor of its own behind wrappers", analytics.Config{Destinations: []analytics.Destination{analytics.Named("N", analytics.With(positionTool{named("A")}))}}, "N"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.cfg.Logger = quiet
			err := fault(t, row.cfg)
			require.Equal(t, []string{row.want}, fieldsIn(err), err.Error())
			require.True(t, strings.HasPrefix(err.Error(), "analytics: "), err.Error())
		})
	}
}

func TestConfigFaultsAllAtOnce(t *testing.T) {
	err := fault(t, analytics.Config{
		Region: "eu", MaxMemory: -1, WhenFull: 9, FlushAt: -1, MaxAge: -1, MaxAttempts: -1, Plugins: []analytics.Plugin{nil, nil}, Logger: quiet,
		Context: &analytics.Context{Extra: map[string]any{"c": make(chan int)}},
		Destinations: []analytics.Destination{
			nil, named(""), named("A"), named("A"),
			&tool{desc: analytics.Description{Name: "B", Every: -1, Order: 9, Lanes: map[string]analytics.Limits{"l": {MaxItems: -1, Rates: []analytics.Rate{{}, {}}}}}},
			&tool{describe: func() analytics.Description { panic("oh") }},
		},
	})
	require.ElementsMatch(t, []string{
		"Endpoint", "MaxMemory", "WhenFull", "FlushAt", "MaxAge", "MaxAttempts", "Plugins[0]", "Plugins[1]", "Context.c",
		"Destinations[0]", "Destinations[1]", "A", "B", "B", "B lane l", "B lane l", "B lane l", "Destinations[5]",
	}, fieldsIn(err), err.Error())
}

// What is wrong with the settings of a destination does not wait until the rest of
// the configuration is right.
func TestConfigFaultsOfSettingsAreReportedWithTheOthers(t *testing.T) {
	err := fault(t, analytics.Config{WriteKey: "k", Region: "mars", FlushAt: -1, Logger: quiet})
	require.ElementsMatch(t, []string{"FlushAt", "Region"}, fieldsIn(err), err.Error())
}

func TestConfigOpenFaults(t *testing.T) {
	cause := errors.New("no such bucket")
	err := fault(t, analytics.Config{Logger: quiet, Destinations: []analytics.Destination{
		&openTool{tool: named("A"), open: func(analytics.Env) error { return cause }},
		&openTool{tool: named("B"), open: func(analytics.Env) error { panic("a value with a secret") }},
		analytics.Named("C-2", analytics.With(&openTool{tool: named("C"), open: func(analytics.Env) error {
			return &analytics.InvalidError{Field: "APIKey", Reason: "is required"}
		}})),
		&openTool{tool: named("D"), open: func(analytics.Env) error { return nil }},
	}})
	require.ErrorIs(t, err, cause)
	for _, part := range []string{"A: no such bucket", "B: panic", "C-2: APIKey: is required"} {
		require.Contains(t, err.Error(), part)
	}
	require.NotContains(t, err.Error(), "secret")
	require.Equal(t, []string{"APIKey"}, fieldsIn(err))
}

// What was opened is closed when New fails for another destination: nobody else
// could.
func TestConfigClosesWhatItOpened(t *testing.T) {
	good := &openTool{tool: named("good"), open: func(analytics.Env) error { return nil }}
	bad := &openTool{tool: named("bad"), open: func(analytics.Env) error { return errors.New("bad") }}
	last := &openTool{tool: named("last"), open: func(analytics.Env) error { return nil }}
	require.Error(t, fault(t, analytics.Config{Destinations: []analytics.Destination{good, bad, last}, Logger: quiet}))
	require.Equal(t, 1, good.closed)
	require.Equal(t, 1, last.closed)
	require.Zero(t, bad.closed)
}

func TestConfigContainsPanics(t *testing.T) {
	err := fault(t, analytics.Config{Logger: quiet, Destinations: []analytics.Destination{
		&tool{describe: func() analytics.Description { panic("a value with a secret") }},
		&tool{describe: func() analytics.Description { panic("describe") }},
	}})
	require.Equal(t, []string{"Destinations[0]", "Destinations[1]"}, fieldsIn(err))
	require.Contains(t, err.Error(), "*analytics_test.tool", "it names the type")
	require.NotContains(t, err.Error(), "secret")
}

func TestConfigNamedMakesASecondInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := start(t, analytics.Config{Logger: quiet, Destinations: []analytics.Destination{
			named("A"), analytics.Named("A-2", named("A")), analytics.Named("A-3", named("A")),
			positionTool{&tool{desc: analytics.Description{Name: "P", Order: analytics.Total}}},
		}})
		require.Len(t, client.Stats().Destinations, 4)
		require.NoError(t, client.Close(t.Context()))
	})
}

// Zero is the default, also behind what a destination says.
func TestConfigZeroIsDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		var deadlines, waits []time.Duration
		begun := time.Now()
		d := named("A")
		d.deliver = func(ctx context.Context, b *analytics.Batch) error {
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			sizes, deadlines, waits = append(sizes, len(b.Items)), append(deadlines, time.Until(deadline)), append(waits, time.Since(begun))
			return nil
		}
		client := start(t, analytics.Config{Destinations: []analytics.Destination{d}, Logger: quiet})
		require.InDelta(t, 32<<20, client.Stats().QueueLimit, 1<<20)
		track := func(n int) {
			for range n {
				require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
			}
			synctest.Wait()
		}
		track(249)
		require.Empty(t, sizes, "250 events are worth a request")
		track(1)
		require.Equal(t, []int{250}, sizes)
		track(1)
		time.Sleep(4999 * time.Millisecond)
		synctest.Wait()
		require.Len(t, sizes, 1)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, []int{250, 1}, sizes)
		require.Equal(t, 5*time.Second, waits[1])
		require.Equal(t, 30*time.Second, deadlines[0])
		require.NoError(t, client.Close(t.Context()))
	})
}

func TestConfigNegativeFlushIntervalWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivered := 0
		d := named("A")
		d.deliver = func(_ context.Context, b *analytics.Batch) error { delivered += len(b.Items); return nil }
		client := start(t, analytics.Config{Destinations: []analytics.Destination{d}, FlushInterval: -1, Logger: quiet})
		require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
		time.Sleep(20 * time.Millisecond) // a spool takes 5 to have it
		synctest.Wait()
		require.Equal(t, 1, delivered)
		require.NoError(t, client.Close(t.Context()))
	})
}

// New reads the configuration and leaves everything that the caller can reach as it
// is; what the caller changes later has no effect.
func TestConfigIsNotWrittenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		make2 := func() (analytics.Config, *tool) {
			d := &tool{desc: analytics.Description{Name: "A", Aliases: make([]string, 1, 8), Lanes: map[string]analytics.Limits{
				"events": {Rates: []analytics.Rate{{Requests: 5}}}, "": {},
			}}}
			return analytics.Config{
				WriteKey:     "k",
				Endpoint:     "https://x.example",
				Destinations: append(make([]analytics.Destination, 0, 9), d),
				Plugins:      append(make([]analytics.Plugin, 0, 9), analytics.PluginFunc(func(context.Context, *analytics.Event) error { return nil })),
				Context:      &analytics.Context{IP: "1.2.3.4", Traits: analytics.Traits{"a": 1}, Extra: map[string]any{"b": map[string]any{"c": 2}}},
				Consent:      map[string][]string{"ad": append(make([]string, 0, 9), "A")},
				Logger:       quiet,
				HTTPClient:   &http.Client{Timeout: time.Minute, Transport: analyticstest.NewServer(200).Transport()},
			}, d
		}
		cfg, d := make2()
		same, sameTool := make2()
		before := cfg
		client := start(t, cfg)
		require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
		time.Sleep(time.Minute)
		synctest.Wait()

		require.Equal(t, sameTool.desc, d.desc)
		require.Equal(t, make([]string, 8), d.desc.Aliases[:8], "beyond the length as well")
		require.Equal(t, same.Context, cfg.Context)
		require.Equal(t, same.Consent, cfg.Consent)
		require.Len(t, cfg.Destinations, 1)
		require.Equal(t, make([]analytics.Destination, 8), cfg.Destinations[1:9], "beyond the length as well")
		require.Equal(t, make([]analytics.Plugin, 8), cfg.Plugins[1:9])
		require.Nil(t, cfg.HTTPClient.CheckRedirect)
		require.Equal(t, time.Minute, cfg.HTTPClient.Timeout)
		require.Same(t, quiet, cfg.Logger)
		require.Zero(t, cfg.FlushAt)
		require.Zero(t, cfg.MaxMemory)
		require.Equal(t, fmt.Sprintf("%p", before.Context), fmt.Sprintf("%p", cfg.Context))

		cfg.Destinations[0], cfg.Plugins[0], cfg.Consent["ad"] = nil, nil, []string{"Segment.io"}
		cfg.Context.IP = "changed"
		clear(cfg.Context.Traits)
		require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
		time.Sleep(time.Minute)
		s := client.Stats()
		require.Equal(t, uint64(2), s.Destinations["A"].Delivered+analytics.Sum(s.Destinations["A"].Dropped), "%+v", s)
		require.NoError(t, client.Close(t.Context()))
	})
}

// A Cloud keeps its settings as they were written.
func TestConfigLeavesSettingsOfCloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &analytics.Cloud{WriteKey: "k"}
		client := start(t, analytics.Config{Destinations: []analytics.Destination{c}, Logger: quiet})
		require.NoError(t, client.Close(t.Context()))
		v := reflect.ValueOf(c).Elem()
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "WriteKey" {
				require.True(t, v.Field(i).IsZero(), f.Name)
			}
		}
	})
}

// redirecting answers everything with a redirect.
type redirecting struct{ requests *int }

func (r redirecting) RoundTrip(req *http.Request) (*http.Response, error) {
	*r.requests++
	return &http.Response{
		StatusCode: 307, Request: req, Body: io.NopCloser(bytes.NewReader(nil)),
		Header: http.Header{"Location": {"https://elsewhere.example/"}},
	}, nil
}

func TestConfigRedirectsAreNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests, asked := 0, 0
		own := &http.Client{Transport: redirecting{&requests}, CheckRedirect: func(*http.Request, []*http.Request) error { asked++; return nil }}
		client := start(t, analytics.Config{WriteKey: "k", HTTPClient: own, Logger: quiet})
		require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 1, requests)
		require.Zero(t, asked)
		require.Equal(t, uint64(1), client.Stats().Destinations["Segment.io"].Dropped[analytics.ReasonRejected], "a redirect is Permanent")
		require.NoError(t, own.CheckRedirect(nil, nil), "the caller's own client is as it was")
		require.NoError(t, client.Close(t.Context()))
	})
}

func TestConfigEnv(t *testing.T) {
	var env analytics.Env
	a := &openTool{tool: named("A"), open: func(e analytics.Env) error { env = e; return nil }}
	client := start(t, analytics.Config{
		WriteKey: "k", Logger: quiet,
		Destinations: []analytics.Destination{a, named("B"), analytics.Named("B-2", named("B")), &tool{desc: analytics.Description{Name: "W", IgnoreAll: true}}},
	})
	require.Equal(t, []string{"B"}, env.DeviceMode, "others, once each, and none that Segment does not know as a device")
	require.NotNil(t, env.Logger)
	require.NotNil(t, env.HTTP)
	require.Zero(t, env.HTTP.Timeout)
	require.ErrorIs(t, env.HTTP.CheckRedirect(nil, nil), http.ErrUseLastResponse)
	require.NotSame(t, http.DefaultTransport, env.HTTP.Transport)
	require.NoError(t, client.Close(t.Context()))
	require.Equal(t, 1, a.closed)
}

// What can never work is refused by New, not by each event.
func TestConfigNilFuncs(t *testing.T) {
	t.Run("a nil plugin of a destination", func(t *testing.T) {
		require.Error(t, fault(t, analytics.Config{Logger: quiet, Destinations: []analytics.Destination{analytics.With(named("A"), nil)}}))
	})
	t.Run("a nil func", func(t *testing.T) {
		require.Error(t, fault(t, analytics.Config{Logger: quiet, Destinations: []analytics.Destination{analytics.DestinationFunc("A", nil)}}))
	})
}
