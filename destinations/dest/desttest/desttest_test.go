package desttest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// tiny is a destination that sends its items one after another in one body, as they
// are. It takes track and page calls, and ignores the pages.
type tiny struct {
	lanes  map[string]analytics.Limits
	lane   string
	group  func(*analytics.Event) string
	gzip   bool
	answer func(*http.Response, *analytics.Batch) error
	http   *http.Client
	closed int
}

func (d *tiny) Describe() analytics.Description {
	return analytics.Description{Name: "Tiny", Calls: analytics.CallsOf(analytics.CallTrack, analytics.CallPage), Lanes: d.lanes}
}

func (d *tiny) Open(env analytics.Env) error {
	d.http = env.HTTP
	return nil
}

func (d *tiny) Close(context.Context) error {
	d.closed++
	return nil
}

func (d *tiny) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if e.Type == analytics.CallPage {
		return nil, analytics.ErrIgnored
	}
	body, err := e.AppendJSON(nil)
	it := analytics.Item{Lane: d.lane, Body: body}
	if d.group != nil {
		it.Group = d.group(e)
	}
	return []analytics.Item{it}, err
}

func (d *tiny) Deliver(ctx context.Context, b *analytics.Batch) error {
	var body bytes.Buffer
	var to io.WriteCloser = struct {
		io.Writer
		io.Closer
	}{&body, io.NopCloser(nil)}
	if d.gzip {
		to = gzip.NewWriter(&body)
	}
	for _, it := range b.Items {
		if _, err := to.Write(it.Body); err != nil {
			return err
		}
	}
	if err := to.Close(); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://tiny.example/in?key=k", &body)
	if err != nil {
		return analytics.Permanent(err)
	}
	req.Header.Set("X-Tiny", "yes")
	if d.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	res, err := d.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if d.answer != nil {
		return d.answer(res, b)
	}
	return analytics.ResponseError(res)
}

func event(t *testing.T, id string) *analytics.Event {
	return desttest.Event(t, `{"type":"track","event":"Sent","messageId":"`+id+`","userId":"u-1"}`)
}

func answers(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

func TestDiffJSON(t *testing.T) {
	for name, c := range map[string]struct{ want, got, diff string }{
		"equal":                              {`{"a":[1,{"b":null}],"c":"x"}`, `{"c":"x","a":[1,{"b":null}]}`, ""},
		"25 equals 25.0":                     {`25`, `25.0`, ""},
		"0 equals -0":                        {`0`, `-0`, ""},
		"25 equals 2.5e1":                    {`{"a":25}`, `{"a":2.5e1}`, ""},
		"numbers beyond 2^53 differ":         {`{"n":9007199254740993}`, `{"n":9007199254740992}`, ".n is 9007199254740992, want 9007199254740993"},
		"a number is no text":                {`{"n":1}`, `{"n":"1"}`, `.n is "1", want 1`},
		"text is no number":                  {`{"n":"1"}`, `{"n":1}`, `.n is 1, want "1"`},
		"false is no null":                   {`[false]`, `[null]`, "[0] is null, want false"},
		"a key is missing":                   {`{"a":{"b":{"c":1}}}`, `{"a":{"b":{}}}`, ".a.b.c is missing, want 1"},
		"a null is missing":                  {`{"a":null}`, `{}`, ".a is missing, want null"},
		"a key too many":                     {`{"a":[{}]}`, `{"a":[{"x":"<b>"}]}`, `.a[0].x is "<b>", want none`},
		"a list is too short":                {`{"a":[1,2]}`, `{"a":[1]}`, ".a has 1 elements, want 2"},
		"lists have an order":                {`[1,2]`, `[2,1]`, "[0] is 2, want 1"},
		"an object is no list":               {`{"a":{}}`, `{"a":[]}`, ".a is [], want {}"},
		"what is got is not JSON":            {`{}`, `{`, "not JSON"},
		"what is wanted is not JSON":         {`{`, `{}`, "what is wanted is not JSON"},
		"there is more behind the document":  {`{}`, `{} {}`, "something behind"},
		"the first difference in key order":  {`{"a":1,"b":1}`, `{"b":2,"a":2}`, ".a is 2, want 1"},
		"numbers beyond any float are equal": {`1e999`, `1e999`, ""},
		"numbers beyond any float differ":    {`1e999`, `1e998`, "want 1e999"},
	} {
		t.Run(name, func(t *testing.T) {
			got := desttest.DiffJSON([]byte(c.want), []byte(c.got))
			if c.diff == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, got, c.diff)
		})
	}
}

func TestBatches(t *testing.T) {
	item := func(id, lane, group string, size int) analytics.Item {
		return analytics.Item{ID: id, Lane: lane, Group: group, Body: make([]byte, size), Size: size}
	}
	cut := func(t *testing.T, lanes map[string]analytics.Limits, items ...analytics.Item) (ids []string) {
		for _, b := range desttest.Batches(t, &tiny{lanes: lanes}, items) {
			line := b.Lane + ":"
			for _, it := range b.Items {
				line += " " + it.ID
			}
			ids = append(ids, line)
		}
		return ids
	}

	t.Run("lanes and groups share no request", func(t *testing.T) {
		got := cut(t, map[string]analytics.Limits{"x": {}, "y": {}},
			item("1", "x", "", 1), item("2", "y", "", 1), item("3", "x", "g", 1), item("4", "x", "", 1), item("5", "x", "g", 1), item("6", "y", "", 1))
		require.Equal(t, []string{"x: 1 4", "y: 2 6", "x: 3 5"}, got)
	})
	t.Run("no more than MaxItems", func(t *testing.T) {
		got := cut(t, map[string]analytics.Limits{"": {MaxItems: 2}}, item("1", "", "", 1), item("2", "", "", 1), item("3", "", "", 1))
		require.Equal(t, []string{": 1 2", ": 3"}, got)
	})
	t.Run("without lanes there is one with defaults", func(t *testing.T) {
		items := make([]analytics.Item, 1001)
		for i := range items {
			items[i] = item("i", "", "", 1)
		}
		batches := desttest.Batches(t, &tiny{}, items)
		require.Len(t, batches, 2)
		require.Len(t, batches[0].Items, 1000)
		require.Equal(t, []string{": 1", ": 2"}, cut(t, nil, item("1", "", "", 500_000), item("2", "", "", 500_001)))
	})
	t.Run("no more than MaxBytes, to the byte", func(t *testing.T) {
		const overhead, each = 10, 3
		fits := overhead + 20 + each + 30 + each // an envelope around two items
		limits := analytics.Limits{MaxBytes: fits, Overhead: overhead, ItemOverhead: each}
		items := []analytics.Item{item("1", "", "", 20), item("2", "", "", 30), item("3", "", "", 1)}
		require.Equal(t, []string{": 1 2", ": 3"}, cut(t, map[string]analytics.Limits{"": limits}, items...))
		limits.MaxBytes--
		require.Equal(t, []string{": 1", ": 2 3"}, cut(t, map[string]analytics.Limits{"": limits}, items...))
	})
	t.Run("Size stands for the body", func(t *testing.T) {
		data := analytics.Item{ID: "2", Data: 1, Size: 90}
		require.Equal(t, []string{": 1", ": 2"}, cut(t, map[string]analytics.Limits{"": {MaxBytes: 100}}, item("1", "", "", 11), data))
	})
}

func TestTranslate(t *testing.T) {
	tool := desttest.Serve(nil)
	d := &tiny{}
	desttest.Open(t, d, tool)
	items := desttest.Translate(t, d, event(t, "m-1"),
		desttest.Event(t, `{"type":"page","messageId":"m-2","userId":"u-1"}`),
		desttest.Event(t, `{"type":"alias","messageId":"m-3","userId":"u-1","previousId":"u-0"}`),
		desttest.Event(t, `{"type":"track","event":"Sent","messageId":"m-4","anonymousId":"a-1"}`))
	require.Len(t, items, 2, "pages are ignored, and alias is no call of this destination")
	require.Equal(t, "m-1", items[0].ID)
	require.Equal(t, "u-1", items[0].Key)
	require.Equal(t, len(items[0].Body), items[0].Size)
	require.Equal(t, "m-4", items[1].ID)
	require.Equal(t, "a-1", items[1].Key)
	require.Empty(t, tool.Requests())
}

func TestDeliver(t *testing.T) {
	deliver := func(t *testing.T, d *tiny, h http.Handler) desttest.Results {
		desttest.Open(t, d, desttest.Serve(h))
		return desttest.Deliver(t, d, event(t, "m-1"), event(t, "m-2"), event(t, "m-3"))
	}

	t.Run("nil says that all arrived", func(t *testing.T) {
		got := deliver(t, &tiny{}, nil)
		require.Len(t, got, 3)
		require.True(t, got.All(analytics.WordDelivered))
		require.Equal(t, "m-3", got[2].ID)
		require.NoError(t, got[2].Err)
	})
	t.Run("a word is said of every item", func(t *testing.T) {
		got := deliver(t, &tiny{lane: "x", lanes: map[string]analytics.Limits{"x": {MaxItems: 2}}}, answers(http.StatusForbidden))
		require.Len(t, got, 3)
		require.True(t, got.All(analytics.WordUnauthorized))
		require.Equal(t, "x", got[0].Lane)
		require.ErrorContains(t, got[0].Err, "403")
	})
	t.Run("a plain error is an again", func(t *testing.T) {
		d := &tiny{answer: func(*http.Response, *analytics.Batch) error { return errors.New("not now") }}
		require.True(t, deliver(t, d, nil).All(analytics.WordAgain))
	})
	t.Run("a BatchError speaks of each item", func(t *testing.T) {
		d := &tiny{answer: func(*http.Response, *analytics.Batch) error {
			return fmt.Errorf("tiny: %w", &analytics.BatchError{Items: map[int]error{
				0: analytics.Permanent(errors.New("bad")),
				2: analytics.RetryAfter(time.Minute, errors.New("slow down")),
			}})
		}}
		got := deliver(t, d, nil)
		require.Equal(t, []analytics.Word{analytics.WordPermanent, analytics.WordDelivered, analytics.WordRetryAfter}, got.Words())
		require.Equal(t, time.Minute, got[2].After)
		require.False(t, got.All(analytics.WordPermanent))
	})
	t.Run("nothing sent is not all of anything", func(t *testing.T) {
		d := &tiny{}
		desttest.Open(t, d, desttest.Serve(nil))
		require.False(t, desttest.Deliver(t, d, desttest.Event(t, `{"type":"page","userId":"u-1"}`)).All(analytics.WordDelivered))
	})
	t.Run("groups are delivered by themselves", func(t *testing.T) {
		d, tool := &tiny{group: func(e *analytics.Event) string { return e.MessageID }}, desttest.Serve(nil)
		desttest.Open(t, d, tool)
		desttest.Deliver(t, d, event(t, "m-1"), event(t, "m-2"))
		require.Len(t, tool.Requests(), 2)
	})
}

func TestOpenCloses(t *testing.T) {
	d := &tiny{}
	t.Run("test", func(t *testing.T) {
		desttest.Open(t, d, desttest.Serve(nil))
		require.Zero(t, d.closed)
	})
	require.Equal(t, 1, d.closed)
}

func TestTool(t *testing.T) {
	for _, zipped := range []bool{false, true} {
		t.Run(fmt.Sprintf("gzip %t", zipped), func(t *testing.T) {
			var seen, host, encoding string
			tool := desttest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || int64(len(body)) != r.ContentLength {
					w.WriteHeader(http.StatusBadRequest)
				}
				seen, host, encoding = string(body), r.Host, r.Header.Get("Content-Encoding")
			}))
			d := &tiny{gzip: zipped}
			desttest.Open(t, d, tool)
			require.True(t, desttest.Deliver(t, d, event(t, "m-1")).All(analytics.WordDelivered))

			require.Len(t, tool.Requests(), 1)
			got := tool.Requests()[0]
			require.Equal(t, http.MethodPut, got.Method)
			require.Equal(t, "https://tiny.example/in?key=k", got.URL)
			require.Equal(t, "yes", got.Header.Get("X-Tiny"))
			require.Equal(t, zipped, got.Header.Get("Content-Encoding") == "gzip", "the headers are recorded as sent")
			require.Empty(t, desttest.DiffJSON([]byte(`{"type":"track","event":"Sent","messageId":"m-1","userId":"u-1"}`), got.Body))
			require.Equal(t, string(got.Body), seen)
			require.Equal(t, "tiny.example", host)
			require.Empty(t, encoding)
		})
	}
	t.Run("a body that is not gzip ends the request", func(t *testing.T) {
		tool := desttest.Serve(nil)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://tiny.example/", strings.NewReader("a body in plain text"))
		require.NoError(t, err)
		req.Header.Set("Content-Encoding", "gzip")
		_, err = tool.Client().Do(req)
		require.ErrorIs(t, err, gzip.ErrHeader)
	})
	t.Run("a ctx that is done ends the request", func(t *testing.T) {
		tool := desttest.Serve(nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://tiny.example/", nil)
		require.NoError(t, err)
		_, err = tool.Client().Do(req)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, tool.Requests())
	})
	t.Run("redirects are not followed", func(t *testing.T) {
		tool := desttest.Serve(http.RedirectHandler("https://elsewhere.example/", http.StatusFound))
		res, err := tool.Client().Get("https://tiny.example/")
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, http.StatusFound, res.StatusCode)
		require.Len(t, tool.Requests(), 1)
	})
}

func TestWide(t *testing.T) {
	fact := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)
	ids, messageIDs, calls := make(map[string]bool), make(map[string]bool), make(map[analytics.Call]int)
	for _, in := range append(desttest.Inputs(t), desttest.Wide(t)...) {
		require.False(t, ids[in.ID], "%s is there twice", in.ID)
		require.False(t, messageIDs[in.Event.MessageID], "%s has the messageId of another", in.ID)
		require.LessOrEqual(t, len(in.Raw), 32<<10, in.ID)
		ids[in.ID], messageIDs[in.Event.MessageID] = true, true
	}
	for _, in := range desttest.Wide(t) {
		require.Regexp(t, fact, in.ID)
		calls[in.Event.Type]++
	}
	require.GreaterOrEqual(t, len(desttest.Wide(t)), 90)
	for _, call := range []analytics.Call{"track", "page", "screen", "identify", "group", "alias"} {
		require.NotZero(t, calls[call], call)
	}
	require.Len(t, calls, 6)
}

// What a client refuses never comes to an adapter.
func TestWideIsAccepted(t *testing.T) {
	client, rec := analyticstest.Record(t)
	wide := desttest.Wide(t)
	for _, in := range wide {
		require.NoError(t, client.Enqueue(t.Context(), *in.Event), in.ID)
	}
	analyticstest.Flush(t, client)

	arrived := make(map[string]*analytics.Event)
	for _, e := range rec.Events() {
		arrived[e.MessageID] = e
	}
	for _, in := range wide {
		e := arrived[in.Event.MessageID]
		require.NotNil(t, e, in.ID)
		require.Equal(t, in.Event.Properties, e.Properties, in.ID)
		require.Equal(t, in.Event.Traits, e.Traits, in.ID)
		require.Equal(t, in.Event.Integrations, e.Integrations, in.ID)
		require.Equal(t, in.Event.Extra, e.Extra, in.ID)
		require.True(t, in.Event.Timestamp.Equal(e.Timestamp), in.ID)
	}
}

// tinyHook sends every event as it is, which is what is expected of the webhook.
type tinyHook struct{ tiny }

func (d *tinyHook) Describe() analytics.Description { return analytics.Description{Name: "Tiny"} }

func (d *tinyHook) Translate(e *analytics.Event) ([]analytics.Item, error) {
	body, err := e.AppendJSON(nil)
	return []analytics.Item{{Body: body}}, err
}

func TestExpectations(t *testing.T) {
	opened := 0
	desttest.Expectations(t, "webhook", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		opened++
		d, tool := &tinyHook{}, desttest.Serve(nil)
		desttest.Open(t, d, tool)
		return d, tool
	})
	require.Greater(t, opened, 5, "each event by itself")
}
