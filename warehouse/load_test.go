package warehouse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// loading is a destination over a store in memory, fed without a client.
type loading struct {
	t     testing.TB
	store *warehousetest.Store
	d     *warehouse.Destination
	seq   uint64
	syncs []warehouse.Sync
}

// newLoading opens a destination, which set may change before.
func newLoading(t testing.TB, set func(*warehouse.Destination)) *loading {
	t.Helper()
	l := &loading{t: t, store: warehousetest.NewStore()}
	l.d = &warehouse.Destination{Store: l.store, Source: "shop", OnSync: func(s warehouse.Sync) { l.syncs = append(l.syncs, s) }}
	if set != nil {
		set(l.d)
	}
	require.NoError(t, l.d.Open(analytics.Env{}))
	t.Cleanup(func() { require.NoError(t, l.d.Close(context.Background())) })
	return l
}

// accepted is when all events of these tests were.
var accepted = time.Date(2026, 5, 2, 18, 5, 0, 0, time.UTC)

// batch is the next batch of the log.
func (l *loading) batch(events ...string) *analytics.Batch {
	b := &analytics.Batch{From: l.seq, To: l.seq + uint64(len(events)), Log: analytics.LogID{1}}
	for i, e := range events {
		var h struct{ Type analytics.Call }
		require.NoError(l.t, json.Unmarshal([]byte(e), &h))
		it, err := l.d.TranslateRaw(&analytics.Header{Type: h.Type, AcceptedAt: accepted, Seq: l.seq + uint64(i)}, []byte(e))
		require.NoError(l.t, err)
		b.Items = append(b.Items, it)
	}
	l.seq = b.To
	return b
}

// load delivers events in one batch, which has to arrive whole.
func (l *loading) load(events ...string) {
	l.t.Helper()
	require.NoError(l.t, l.d.Deliver(l.t.Context(), l.batch(events...)))
}

// table returns the rows of a table.
func (l *loading) table(name string) []map[string]any { return l.store.Rows("shop", name) }

// notices are those of the last load, by kind.
func (l *loading) notices() map[warehouse.NoticeKind]int {
	counts := make(map[warehouse.NoticeKind]int)
	for _, n := range l.syncs[len(l.syncs)-1].Notices {
		counts[n.Kind] += n.Count
	}
	return counts
}

// unmapped is the text of a JSON value.
func unmapped(v any) string {
	raw, _ := v.(json.RawMessage)
	return string(raw)
}

func event(id, name, properties string) string {
	return fmt.Sprintf(`{"type":"track","messageId":%q,"timestamp":"2026-05-02T18:04:05Z","userId":"u-1","event":%q,"properties":%s}`, id, name, properties)
}

func identify(id, user, at, traits string) string {
	return fmt.Sprintf(`{"type":"identify","messageId":%q,"timestamp":%q,"userId":%q,"traits":%s}`, id, at, user, traits)
}

func TestWhatDoesNotFitIsKept(t *testing.T) {
	l := newLoading(t, nil)
	l.load(event("m-1", "Song Played", `{"length":5,"title":"a"}`))
	l.load(event("m-2", "Song Played", `{"length":"long","title":7}`), event("m-3", "Song Played", `{"length":6.0}`))
	rows := l.table("song_played")
	require.EqualValues(t, 5, rows[0]["length"])
	require.Nil(t, rows[1]["length"])
	require.JSONEq(t, `{"length":"long"}`, unmapped(rows[1]["_unmapped"]))
	require.Equal(t, "7", rows[1]["title"])
	require.EqualValues(t, 6, rows[2]["length"])
	require.Equal(t, map[warehouse.NoticeKind]int{warehouse.Misfit: 1}, l.notices())
	require.Equal(t, warehouse.Partial, l.syncs[1].Status)
	require.Equal(t, map[string]int64{"song_played": 2, "tracks": 2}, l.syncs[1].Tables)
}

func TestARangeIsLoadedOnce(t *testing.T) {
	l := newLoading(t, nil)
	b := l.batch(event("m-1", "A", `{}`), event("m-2", "A", `{}`))
	require.NoError(t, l.d.Deliver(t.Context(), b))
	require.NoError(t, l.d.Deliver(t.Context(), b))
	require.Len(t, l.syncs, 1)
	b.To++ // cut differently after a restart
	b.Items = append(b.Items, l.batch(event("m-3", "A", `{}`)).Items...)
	require.NoError(t, l.d.Deliver(t.Context(), b))
	require.Len(t, l.table("a"), 3)
	require.Equal(t, 1, l.syncs[1].Events, "only what is new is looked at")
	next, ok, err := l.d.Position(t.Context(), analytics.LogID{1})
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 3, next)
}

func TestContracts(t *testing.T) {
	for _, row := range []struct {
		contract warehouse.Contract
		event    string
		rows     int    // of the table
		value    any    // of the column n
		unmapped string // of the row
		refused  bool
		notice   warehouse.NoticeKind
	}{
		{warehouse.Evolve, event("m-2", "Known", `{"n":"x"}`), 2, nil, `{"n":"x"}`, false, warehouse.Misfit},
		{warehouse.DiscardValue, event("m-2", "Known", `{"n":"x"}`), 2, nil, "", false, warehouse.DiscardedValue},
		{warehouse.DiscardValue, event("m-2", "Known", `{"n":2,"extra":1}`), 2, int64(2), "", false, warehouse.DiscardedValue},
		{warehouse.DiscardRow, event("m-2", "Known", `{"n":"x"}`), 1, nil, "", false, warehouse.DiscardedRow},
		{warehouse.DiscardRow, event("m-2", "Known", `{"n":2,"extra":1}`), 1, nil, "", false, warehouse.DiscardedRow},
		{warehouse.Freeze, event("m-2", "Known", `{"n":"x"}`), 1, nil, "", true, warehouse.Refused},
		{warehouse.Freeze, event("m-2", "Known", `{"n":2,"extra":1}`), 1, nil, "", true, warehouse.Refused},
		{warehouse.Freeze, event("m-2", "New", `{}`), 1, nil, "", true, warehouse.Refused},
		{warehouse.DiscardRow, event("m-2", "New", `{}`), 1, nil, "", false, warehouse.DiscardedRow},
		{warehouse.DiscardValue, event("m-2", "New", `{}`), 1, nil, "", false, warehouse.DiscardedRow},
	} {
		t.Run(string(row.contract)+" "+row.event, func(t *testing.T) {
			l := newLoading(t, nil)
			l.load(event("m-1", "Known", `{"n":1}`))
			again := &warehouse.Destination{Store: l.store.Again(), Source: "shop", Contract: row.contract,
				Contracts: map[string]warehouse.Contract{"tracks": warehouse.Evolve}, OnSync: l.d.OnSync}
			require.NoError(t, again.Open(analytics.Env{}))
			err := again.Deliver(t.Context(), l.batch(row.event))
			var refused *analytics.BatchError
			require.Equal(t, row.refused, errors.As(err, &refused), "%v", err)
			require.Contains(t, l.notices(), row.notice)
			known := l.table("known")
			require.Len(t, known, row.rows)
			if row.rows == 2 {
				require.Equal(t, row.value, known[1]["n"])
				if row.unmapped == "" {
					require.Nil(t, known[1]["_unmapped"])
				} else {
					require.JSONEq(t, row.unmapped, unmapped(known[1]["_unmapped"]))
				}
			}
			require.Empty(t, l.table("new"))
			wantTracks := 2
			if row.refused {
				wantTracks = 1
			}
			require.Len(t, l.table("tracks"), wantTracks)
		})
	}
}

func TestSelection(t *testing.T) {
	l := newLoading(t, func(d *warehouse.Destination) {
		d.Only = []string{"shop.song_played", "shop.users.plan", "*.tracks"}
		d.Skip = []string{"shop.song_played.secret", "shop.*.context_ip"}
	})
	l.load(
		`{"type":"track","messageId":"m-1","event":"Song Played","context":{"ip":"1.2.3.4","locale":"de"},"properties":{"secret":1,"title":"a"}}`,
		event("m-2", "Other", `{}`), identify("m-3", "u-1", "2026-05-02T18:04:05Z", `{"plan":"pro","age":7}`))
	require.Equal(t, map[string]int64{"song_played": 1, "tracks": 2, "users": 1}, l.syncs[0].Tables)
	played := l.table("song_played")[0]
	require.Equal(t, "a", played["title"])
	require.Equal(t, "de", played["context_locale"])
	require.NotContains(t, played, "secret")
	require.NotContains(t, played, "context_ip")
	user := l.table("users")[0]
	require.Equal(t, "pro", user["plan"])
	require.NotContains(t, user, "age")
	require.Empty(t, l.syncs[0].Notices)
}

func TestCaps(t *testing.T) {
	l := newLoading(t, func(d *warehouse.Destination) { d.MaxColumns, d.MaxTables = 14, 3 })
	l.load(event("m-1", "A", `{"p1":1,"p2":2,"p3":3}`))
	a := l.table("a")[0]
	require.EqualValues(t, 1, a["p1"])
	require.JSONEq(t, `{"p3":3}`, unmapped(a["_unmapped"]))
	require.Equal(t, 1, l.notices()[warehouse.ColumnLimit])
	l.load(event("m-2", "B", `{}`), event("m-3", "C", `{"x":[1]}`))
	require.Equal(t, 1, l.notices()[warehouse.TableLimit])
	require.Empty(t, l.table("c"))
	require.JSONEq(t, `{"x":[1]}`, unmapped(l.table("tracks")[2]["_unmapped"]))
}

func TestRetype(t *testing.T) {
	l := newLoading(t, nil)
	l.load(event("m-1", "A", `{"n":1}`))
	l.load(event("m-2", "A", `{"n":2.5,"other":1}`), event("m-3", "A", `{"n":"x"}`), event("m-4", "A", `{}`))
	done, err := l.d.Retype(t.Context(), "a", "n", warehouse.Float)
	require.NoError(t, err)
	require.Equal(t, warehouse.Retyped{Rows: 3, Restored: 1}, done)
	l.load(event("m-5", "A", `{"n":3}`))
	values := func() (list []any) {
		for _, row := range l.table("a") {
			list = append(list, row["n"])
		}
		return list
	}
	require.Equal(t, []any{1.0, 2.5, nil, nil, 3.0}, values())
	require.Nil(t, l.table("a")[1]["_unmapped"])
	require.JSONEq(t, `{"n":"x"}`, unmapped(l.table("a")[2]["_unmapped"]))

	done, err = l.d.Retype(t.Context(), "a", "n", warehouse.Int)
	require.NoError(t, err)
	require.Equal(t, warehouse.Retyped{Rows: 4, SetAside: 1}, done)
	require.Equal(t, []any{int64(1), nil, nil, nil, int64(3)}, values())

	done, err = l.d.Retype(t.Context(), "a", "n", warehouse.String)
	require.NoError(t, err)
	require.Equal(t, warehouse.Retyped{Rows: 4, Restored: 2}, done)
	require.Equal(t, []any{"1", "2.5", "x", nil, "3"}, values())

	done, err = l.d.Retype(t.Context(), "a", "n", warehouse.Float)
	require.NoError(t, err)
	require.Equal(t, warehouse.Retyped{Rows: 4, SetAside: 1}, done)
	require.Equal(t, []any{1.0, 2.5, nil, nil, 3.0}, values())

	for _, bad := range []struct {
		table, column string
		kind          warehouse.Kind
		field         string
	}{
		{"b", "n", warehouse.Int, "table"}, {"a", "m", warehouse.Int, "column"}, {"a", "id", warehouse.Int, "column"},
		{"a", "n", warehouse.Null, "kind"}, {"a", "n", warehouse.Float, "kind"}, {"_syncs", "rows", warehouse.String, "table"},
	} {
		var invalid *analytics.InvalidError
		_, err := l.d.Retype(t.Context(), bad.table, bad.column, bad.kind)
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, bad.field, invalid.Field)
	}
}

func TestForget(t *testing.T) {
	l := newLoading(t, func(d *warehouse.Destination) {
		d.SourceOf = func(e []byte) string {
			var m struct{ ProjectID string }
			_ = json.Unmarshal(e, &m)
			return m.ProjectID
		}
	})
	l.load(
		event("m-1", "A", `{}`), identify("m-2", "u-1", "2026-05-02T18:04:05Z", `{"plan":"pro"}`), identify("m-3", "u-2", "2026-05-02T18:04:05Z", `{}`),
		`{"type":"track","messageId":"m-4","anonymousId":"a-1","event":"A"}`,
		`{"type":"alias","messageId":"m-5","userId":"u-2","previousId":"u-1"}`,
		`{"type":"track","messageId":"m-6","userId":"u-1","event":"A","projectId":"App"}`,
		`{"type":"track","messageId":"m-7","userId":"u-2","event":"A","projectId":"App"}`)
	done, err := l.d.Forget(t.Context(), warehouse.Identity{UserID: "u-1"}, warehouse.Identity{AnonymousID: "a-1"})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"a": 2, "tracks": 2, "identifies": 1, "users": 1, "aliases": 1, "app.a": 1, "app.tracks": 1}, done.Tables)
	require.EqualValues(t, 9, done.Rows())
	require.Len(t, l.table("users"), 1)
	require.Len(t, l.store.Rows("app", "a"), 1)
	_, err = l.d.Forget(t.Context(), warehouse.Identity{})
	require.ErrorContains(t, err, "who[0]")
}

// The same events, in any order and in any batches, make the same users, accounts and
// objects.
func TestOrderDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var events []string
	for i := range 120 {
		at := time.Date(2026, 5, 2, 18, r.IntN(20), 0, 0, time.UTC).Format(time.RFC3339)
		user, value := r.IntN(6), r.IntN(4)
		traits := fmt.Sprintf(`{"plan":"p%d","age":%d,"address":{"city":"c%d"}}`, value, value, r.IntN(3))
		switch r.IntN(4) {
		case 0:
			traits = fmt.Sprintf(`{"plan":null,"t%d":true}`, value)
		case 1:
			traits = fmt.Sprintf(`{"first_name":"f%d","firstName":"g"}`, value)
		}
		switch i % 3 {
		case 0:
			events = append(events, identify(fmt.Sprintf("m-%d", i), fmt.Sprintf("u-%d", user), at, traits))
		case 1:
			events = append(events, fmt.Sprintf(`{"type":"group","messageId":"m-%d","timestamp":%q,"userId":"u","groupId":"g-%d","traits":%s}`, i, at, user, traits))
		default:
			events = append(events, fmt.Sprintf(`{"type":"object","messageId":"m-%d","timestamp":%q,"collection":"Rooms","id":"r-%d","properties":{"size":%d,"name":"n%d"}}`, i, at, user, value, value))
		}
	}
	var want map[string][]map[string]any
	for round := range 60 {
		l := newLoading(t, nil)
		for left := events; len(left) > 0; {
			n := min(1+r.IntN(50), len(left))
			l.load(left[:n]...)
			left = left[n:]
		}
		got := make(map[string][]map[string]any)
		for _, name := range []string{"users", "accounts", "rooms"} {
			got[name] = l.table(name)
			require.Len(t, got[name], 6)
			for _, row := range got[name] {
				delete(row, "uuid_ts")
			}
		}
		if round == 0 {
			want = got
		}
		require.Equal(t, want, got, "round %d", round)
		r.Shuffle(len(events), func(i, k int) { events[i], events[k] = events[k], events[i] })
	}
}

// failing is a store whose next commits fail, or only say so.
type failing struct {
	*warehousetest.Store
	commits int
	made    bool // they are made all the same: the answer is lost
}

type failingTx struct {
	warehouse.Tx
	s *failing
}

func (s *failing) Begin(ctx context.Context, home string) (warehouse.Tx, error) {
	tx, err := s.Store.Begin(ctx, home)
	return &failingTx{tx, s}, err
}

func (tx *failingTx) Commit(ctx context.Context) error {
	if tx.s.commits--; tx.s.commits >= 0 {
		if tx.s.made {
			return errors.Join(errors.New("connection lost"), tx.Tx.Commit(ctx))
		}
		return errors.New("no room")
	}
	return tx.Tx.Commit(ctx)
}

func TestAFailedLoadIsTriedAgain(t *testing.T) {
	store := &failing{Store: warehousetest.NewStore()}
	l := newLoading(t, func(d *warehouse.Destination) { d.Store = store })
	l.store = store.Store
	l.load(event("m-1", "A", `{"n":1}`))
	b := l.batch(event("m-2", "A", `{"n":2,"extra":"x"}`), event("m-3", "B", `{}`))
	store.commits = 1
	require.ErrorContains(t, l.d.Deliver(t.Context(), b), "no room")
	require.Equal(t, warehouse.Failure, l.syncs[1].Status)
	require.Len(t, l.table("a"), 1)
	require.NoError(t, l.d.Deliver(t.Context(), b))
	require.Equal(t, "x", l.table("a")[1]["extra"])
	require.Len(t, l.table("b"), 1)

	syncs, err := l.d.Syncs(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, syncs, 3)
	require.Equal(t, []warehouse.Status{warehouse.Success, warehouse.Failure, warehouse.Success}, []warehouse.Status{syncs[0].Status, syncs[1].Status, syncs[2].Status})
	require.Contains(t, syncs[1].Error, "no room")
	require.Equal(t, l.syncs[2].Tables, syncs[0].Tables)
}

// What another loader has done to the tables is seen before anything is written.
func TestTwoLoadersOfOneSchema(t *testing.T) {
	l := newLoading(t, nil)
	l.load(event("m-1", "A", `{"n":1}`))
	other := &warehouse.Destination{Store: l.store.Again(), Source: "shop"}
	require.NoError(t, other.Open(analytics.Env{}))
	b := l.batch(event("m-2", "A", `{"n":2,"late":true}`), event("m-3", "B", `{}`))
	b.Log = analytics.LogID{2}
	require.NoError(t, other.Deliver(t.Context(), b))
	l.load(event("m-4", "A", `{"late":false,"n":4}`), event("m-5", "B", `{"x":1}`))
	require.Len(t, l.table("a"), 3)
	require.Equal(t, false, l.table("a")[2]["late"])
	require.Len(t, l.table("b"), 2)
}

func TestSettings(t *testing.T) {
	d := &warehouse.Destination{
		Store: warehousetest.NewStore(), Source: "日本", Contract: "maybe", Contracts: map[string]warehouse.Contract{"a": "no"},
		Only: []string{"a.b.c.d"}, Skip: []string{""}, Every: -1, MaxColumns: -1, MaxTables: -1, KeepSyncs: -1,
	}
	err := d.Open(analytics.Env{})
	for _, field := range []string{"Source", "Contract", "Contracts.a", "Only[0]", "Skip[0]", "Every", "MaxColumns", "MaxTables", "KeepSyncs"} {
		require.ErrorContains(t, err, field)
	}
	require.ErrorContains(t, (&warehouse.Destination{}).Open(analytics.Env{}), "Store")
	require.Error(t, (&warehouse.Destination{}).SyncNow(t.Context()))
}
