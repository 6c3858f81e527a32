package webhook_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/webhook"
)

func TestFixtures(t *testing.T) {
	// The recorded X-Signature fits Segment's order of keys; the fake recomputes it from
	// the bytes that came.
	desttest.Fixtures(t, "testdata/examples.json", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		f := &fake{secret: hookSecret}
		d := &webhook.Destination{URL: hookURL, SharedSecret: hookSecret}
		tool := open(t, d, f)
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return d, tool
	}, "X-Signature")
}

func TestDescription(t *testing.T) {
	d := &webhook.Destination{URL: hookURL}
	desc := d.Describe()
	require.Equal(t, "Webhook", desc.Name)
	require.ElementsMatch(t, []string{"Webhooks", "Webhook (Actions)"}, desc.Aliases)
	require.Equal(t, analytics.Unordered, desc.Order) // sheet: Limits, ordering default: none
	require.Len(t, desc.Lanes, 1)
	lane := desc.Lanes[""]
	require.Equal(t, 1, lane.MaxItems)                      // sheet: Settings, Batch false
	require.Contains(t, []int{0, 1_000_000}, lane.MaxBytes) // sheet: Limits, body ≤ 1 MB; zero is that
	require.Contains(t, []int{0, 4}, lane.Concurrency)      // sheet: Limits, 4 in parallel; zero is that
	require.Equal(t, 10*time.Second, lane.Timeout)          // sheet: Limits, time-out 10 s
	lane = (&webhook.Destination{Batch: true}).Describe().Lanes[""]
	require.Equal(t, 100, lane.MaxItems)     // sheet: Settings, BatchSize
	require.Equal(t, 512_000, lane.MaxBytes) // sheet: Settings, BatchBytes
	lane = (&webhook.Destination{Batch: true, BatchSize: 7, BatchBytes: 9000}).Describe().Lanes[""]
	require.Equal(t, 7, lane.MaxItems)
	require.Equal(t, 9000, lane.MaxBytes)
	desc = (&webhook.Destination{Ordered: true}).Describe()
	require.Equal(t, 1, desc.Lanes[""].Concurrency) // sheet: Limits, 1 if Ordered is set
	require.NotEqual(t, analytics.Unordered, desc.Order)
}

func TestBatchesHoldWhatSingleRequestsHold(t *testing.T) {
	var events []*analytics.Event
	for _, in := range desttest.Inputs(t) {
		events = append(events, in.Event)
	}
	one, many := &fake{}, &fake{batch: true}
	d := &webhook.Destination{URL: hookURL}
	singles := open(t, d, one)
	require.True(t, desttest.Deliver(t, d, events...).All(delivered))
	d = &webhook.Destination{URL: hookURL, Batch: true}
	lists := open(t, d, many)
	require.True(t, desttest.Deliver(t, d, events...).All(delivered))

	require.Len(t, singles.Requests(), len(events))
	require.Len(t, lists.Requests(), 1)
	var items []json.RawMessage
	require.NoError(t, json.Unmarshal(lists.Requests()[0].Body, &items))
	require.Len(t, items, len(events))
	for i, r := range singles.Requests() {
		require.Empty(t, desttest.DiffJSON(r.Body, items[i]))
	}
	require.Empty(t, one.violations)
	require.Empty(t, many.violations)
	require.Equal(t, one.accepted, many.accepted)
}

func TestBodyIsTheMessage(t *testing.T) {
	const raw = `{"type":"track","messageId":"m-1","userId":"u<1>&","event":"<b>","timestamp":"2026-05-02T18:04:05.250Z",` +
		`"properties":{"id":9007199254740993,"price":1.10,"html":"<a href=\"x\">&</a>","e":1e400}}`
	f := &fake{}
	d := &webhook.Destination{URL: hookURL}
	tool := open(t, d, f)
	require.True(t, desttest.Deliver(t, d, desttest.Event(t, raw)).All(delivered))
	body := string(tool.Requests()[0].Body)
	// sheet: Request, numbers keep their digits, HTML characters are not escaped.
	for _, part := range []string{"9007199254740993", "1.10", "1e400", `<a href=\"x\">&</a>`, `"<b>"`} {
		require.Contains(t, body, part)
	}
	for _, absent := range []string{"anonymousId", "traits", "integrations", "null"} {
		require.NotContains(t, body, absent)
	}
	require.Empty(t, f.violations)
}

func TestTwoRequestsForOneMessageTooMany(t *testing.T) {
	f := &fake{}
	d := batched(t, f)
	var ids []string
	for i := range 101 {
		ids = append(ids, fmt.Sprintf("m-%d", i))
	}
	require.True(t, desttest.Deliver(t, d, tracks(t, ids...)...).All(delivered))
	require.Len(t, f.keys, 2)
	require.Equal(t, ids, f.accepted)
	require.Empty(t, f.violations)
}

func TestBatchIsFilledToTheByte(t *testing.T) {
	const most = 10_000
	for _, c := range []struct{ more, requests int }{{0, 1}, {1, 2}} {
		f := &fake{batch: true, most: most}
		d := &webhook.Destination{URL: hookURL, Batch: true, BatchBytes: most}
		tool := open(t, d, f)
		lane := d.Describe().Lanes[""]
		events := tracks(t, "m-0", "m-1", "m-2")
		used := lane.Overhead + 3*lane.ItemOverhead
		for _, it := range desttest.Translate(t, d, events...) {
			used += len(it.Body)
		}
		events[1] = track(t, "m-1", `{"title":"`+content+strings.Repeat("x", most-used+c.more)+`"}`)
		require.True(t, desttest.Deliver(t, d, events...).All(delivered))
		require.Len(t, tool.Requests(), c.requests)
		for _, r := range tool.Requests() {
			require.LessOrEqual(t, len(r.Body), most)
		}
		if c.more == 0 { // what is counted is what is sent, but for the comma that a list has less
			require.GreaterOrEqual(t, len(tool.Requests()[0].Body), most-lane.ItemOverhead)
		}
		require.Equal(t, []string{"m-0", "m-1", "m-2"}, f.accepted)
	}
}

func TestKeysAreTheSameForTheSameMessages(t *testing.T) {
	f := &fake{}
	d := batched(t, f)
	for _, ids := range [][]string{{"m-0", "m-1"}, {"m-0", "m-1"}, {"m-0", "m-2"}, {"m-0"}} {
		require.True(t, desttest.Deliver(t, d, tracks(t, ids...)...).All(delivered))
	}
	require.Equal(t, f.keys[0], f.keys[1])
	require.Equal(t, 1, f.duplicates)
	require.NotEqual(t, f.keys[0], f.keys[2])
	require.NotEqual(t, f.keys[0], f.keys[3])
	var joined []string // sheet: Request, "hex SHA-256 of the joined messageIds, first 32 digits"
	for _, sep := range []string{"", ",", "\n"} {
		sum := sha256.Sum256([]byte("m-0" + sep + "m-1"))
		joined = append(joined, hex.EncodeToString(sum[:])[:32])
	}
	require.Contains(t, joined, f.keys[0])
}

func TestAMessageIDThatIsNoHeaderArrives(t *testing.T) {
	for _, id := range []string{"line\nbreak", "\x00", "ünï", "日本", " m ", strings.Repeat("m", 100_000)} {
		e := track(t, "m", "{}")
		e.MessageID = id
		f := &fake{}
		d := single(t, f)
		require.True(t, desttest.Deliver(t, d, e).All(delivered), "%.20q", id)
		require.Equal(t, []string{id}, f.accepted)
	}
}

func TestMethodAndHeaders(t *testing.T) {
	headers := map[string]string{"Authorization": "Bearer t", "x-source": "shop"}
	for _, method := range []string{"PUT", "PATCH", "POST"} {
		f := &fake{method: method, headers: headers, secret: hookSecret}
		d := &webhook.Destination{URL: hookURL, Method: method, Headers: headers, SharedSecret: hookSecret}
		open(t, d, f)
		require.True(t, desttest.Deliver(t, d, tracks(t, "m-0", "m-1", "m-2")...).All(delivered))
		require.Empty(t, f.violations)
	}
}

func TestGzip(t *testing.T) {
	f := &fake{secret: hookSecret, batch: true}
	d := &webhook.Destination{URL: hookURL, Batch: true, Gzip: true, SharedSecret: hookSecret}
	tool := open(t, d, f)
	require.True(t, desttest.Deliver(t, d, tracks(t, "m-0", "m-1", "m-2")...).All(delivered))
	require.Equal(t, "gzip", tool.Requests()[0].Header.Get("Content-Encoding"))
	require.Equal(t, []string{"m-0", "m-1", "m-2"}, f.accepted)
	require.Empty(t, f.violations)
}

func TestTransform(t *testing.T) {
	f := &fake{}
	d := &webhook.Destination{URL: hookURL, Transform: func(e *analytics.Event) (any, error) {
		switch e.MessageID {
		case "m-1":
			return nil, nil
		case "m-2":
			return nil, errors.New("cannot be transformed")
		}
		return map[string]any{"messageId": e.MessageID, "type": "track", "event": "<" + e.Event + ">"}, nil
	}}
	tool := open(t, d, f)
	require.True(t, desttest.Deliver(t, d, tracks(t, "m-0", "m-1", "m-3")...).All(delivered))
	require.Equal(t, []string{"m-0", "m-3"}, f.accepted) // sheet: Settings, returning nil ignores
	require.Empty(t, f.violations)
	require.JSONEq(t, `{"messageId":"m-0","type":"track","event":"<Song Played>"}`, string(tool.Requests()[0].Body))
	_, err := d.Translate(track(t, "m-2", "{}"))
	desttest.CheckError(t, err)
	require.Error(t, err)
	require.NotErrorIs(t, err, analytics.ErrIgnored)
}
