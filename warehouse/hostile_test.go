package warehouse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// nested is an object with another in it, and so on, each with keys of its own.
func nested(levels, keys int) string {
	inner := `1`
	for range levels {
		var b strings.Builder
		fmt.Fprintf(&b, `{"o":%s`, inner)
		for i := range keys {
			fmt.Fprintf(&b, `,"k%d":1`, i)
		}
		b.WriteString("}")
		inner = b.String()
	}
	return inner
}

func object(id, collection, properties string) string {
	return fmt.Sprintf(`{"type":"object","messageId":%q,"collection":%q,"id":"o-1","properties":%s}`, id, collection, properties)
}

// An event may bring more objects full of new keys than a load is read again for.
func TestEventOfManyDynamicObjectsIsLoaded(t *testing.T) {
	l := newLoading(t, nil)
	l.load(event("m-1", "A", `{"o":`+nested(10, 101)+`}`), event("m-2", "Good", `{"a":1}`))
	require.Len(t, l.table("a"), 1)
	require.EqualValues(t, 1, l.table("good")[0]["a"])
}

func TestNamesOfTheLoaderItselfAreAvoided(t *testing.T) {
	for _, name := range []string{"Syncs", "Positions"} {
		l := newLoading(t, nil)
		l.load(event("m-1", name, `{}`))
		l.load(object("m-2", name, `{"a":1}`))
		require.Len(t, l.table("__"+strings.ToLower(name)), 1)
	}
}

// A trait may be called like the column by which tables of track calls are known.
func TestTablesAreKnownAgainByTheirNames(t *testing.T) {
	l := newLoading(t, nil)
	call := func(id, what string) string {
		return fmt.Sprintf(`{"type":%q,"messageId":%q,"userId":"u","name":"Home","category":"Shop","groupId":"g","traits":{"event_text":"x"},"properties":{"event_text":"x"}}`, what, id)
	}
	l.load(call("m-1", "page"), call("m-2", "group"), call("m-3", "identify"))
	l.reopen(nil)
	l.load(call("m-4", "page"), call("m-5", "group"), call("m-6", "identify"))
	for _, row := range l.table("pages") {
		require.Equal(t, []any{"Home", "Shop", "x"}, []any{row["name"], row["category"], row["event_text"]})
	}
	for _, row := range l.table("groups") {
		require.Equal(t, []any{"g", "x"}, []any{row["group_id"], row["event_text"]})
	}
	require.Len(t, l.table("identifies"), 2)
	require.Empty(t, l.notices())
}

// reopen puts a new destination over the database.
func (l *loading) reopen(set func(*warehouse.Destination)) {
	l.t.Helper()
	l.store = l.store.Again()
	l.d = &warehouse.Destination{Store: l.store, Source: "shop", OnSync: l.d.OnSync}
	if set != nil {
		set(l.d)
	}
	require.NoError(l.t, l.d.Open(analytics.Env{}))
}

func TestTablesThatAContractRefusesDoNotCount(t *testing.T) {
	l := newLoading(t, func(d *warehouse.Destination) {
		d.MaxTables, d.Contract = 3, warehouse.DiscardRow
		d.Contracts = map[string]warehouse.Contract{"tracks": warehouse.Evolve, "Order Completed": warehouse.Evolve}
	})
	l.load(event("m-1", "Junk 1", `{}`), event("m-2", "Junk 2", `{}`), event("m-3", "Junk 3", `{}`))
	l.load(event("m-4", "Order Completed", `{"n":1}`))
	require.Len(t, l.table("order_completed"), 1)

	l = newLoading(t, func(d *warehouse.Destination) {
		d.MaxTables, d.Contract = 3, warehouse.Freeze
		d.Contracts = map[string]warehouse.Contract{"tracks": warehouse.Evolve}
	})
	for i := range 5 {
		err := l.d.Deliver(t.Context(), l.batch(event(fmt.Sprint("m-", i), fmt.Sprint("Junk ", i), `{}`)))
		require.Len(t, failures(err), 1, "event %d", i)
	}
}

// A table of which nothing is kept is not made.
func TestRefusedEventsMakeNoTable(t *testing.T) {
	l := newLoading(t, func(d *warehouse.Destination) {
		d.Contracts = map[string]warehouse.Contract{"tracks": warehouse.Freeze}
	})
	require.Len(t, failures(l.d.Deliver(t.Context(), l.batch(event("m-1", "A", `{"n":1}`)))), 1)
	schema, err := l.d.Schema(t.Context())
	require.NoError(t, err)
	require.Empty(t, schema)
	l.reopen(nil)
	l.load(event("m-2", "A", `{"n":2}`))
	require.Len(t, l.table("a"), 1)
}

func TestRefusedEventsAreNamedAgain(t *testing.T) {
	store := &failing{Store: warehousetest.NewStore(), commits: 1, made: true}
	l := newLoading(t, func(d *warehouse.Destination) {
		d.Store = store
		d.Contracts = map[string]warehouse.Contract{"frozen": warehouse.Freeze}
	})
	b := l.batch(event("m-1", "A", `{}`), event("m-2", "Frozen", `{}`), `{"type":"track"}`)
	require.ErrorContains(t, l.d.Deliver(t.Context(), b), "connection lost")
	for range 2 {
		require.Len(t, failures(l.d.Deliver(t.Context(), b)), 2)
	}
	l.seq = b.To
	l.load(event("m-3", "A", `{}`))
	require.Len(t, store.Rows("shop", "a"), 2)
}

func TestWhatIsNotSelectedIsKeptNowhere(t *testing.T) {
	skip := func(patterns ...string) func(*warehouse.Destination) {
		return func(d *warehouse.Destination) { d.Skip = patterns }
	}
	only := func(patterns ...string) func(*warehouse.Destination) {
		return func(d *warehouse.Destination) { d.Only = patterns }
	}
	var many strings.Builder
	for i := range 120 {
		fmt.Fprintf(&many, `,"k%d":1`, i)
	}
	for _, row := range []struct {
		set  func(*warehouse.Destination)
		e    string
		keep string // has to be there all the same
	}{
		{skip("*.*.email"), event("m-1", "日本", `{"email":"secret","n":"open"}`), "open"},
		{skip("*.*.Email"), event("m-1", "A", `{"email":"secret","n":"open"}`), "open"},
		{skip("*.*.user_email"), event("m-1", "日本", `{"user":{"email":"secret","n":"open"}}`), "open"},
		{skip("*.*.user"), event("m-1", "日本", `{"user":{"email":"secret"},"n":"open"}`), "open"},
		{only("*.*.plan"), event("m-1", "A", `{"日本":"secret","plan":"open"}`), "open"},
		{only("*.*.plan"), event("m-1", "日本", `{"email":"secret","plan":"open"}`), "open"},
		{only("*.*.user_plan"), event("m-1", "日本", `{"user":{"email":"secret","plan":"open"}}`), "open"},
		{only("*.*.user"), event("m-1", "日本", `{"user":{"plan":"open"},"email":"secret"}`), "open"},
		{skip("*.*.profile_email"), event("m-1", "A", `{"profile":{"email":"secret","n":"open"`+many.String()+`}}`), "open"},
		{skip("shop.Secret Event"), event("m-1", "Secret Event", `{"email":"secret"}`), "secret_event"},
	} {
		l := newLoading(t, row.set)
		l.load(row.e)
		all := fmt.Sprintf("%s %s", l.table("a"), l.table("tracks"))
		require.NotContains(t, all, `"secret"`, row.e)
		require.Contains(t, all, row.keep, row.e)
	}
}

// Schemas of sources with names as long as the number of a log are no logs.
func TestPositionsOfSourcesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := strings.Repeat("s", 25)
		set := func(d *warehouse.Destination) {
			d.KeepSyncs = time.Hour
			d.SourceOf = func([]byte) string { return name }
		}
		l := newLoading(t, set)
		l.load(event("m-1", "A", `{}`))
		time.Sleep(2 * time.Hour)
		l.reopen(set)
		l.load(event("m-2", "A", `{}`))
		done, err := l.d.Forget(t.Context(), warehouse.Identity{UserID: "u-1"})
		require.NoError(t, err)
		require.EqualValues(t, 4, done.Rows())
		require.Empty(t, l.store.Rows(name, "a"))
	})
}

// Ids are looked for as they stand in the tables.
func TestForgetFindsWhatTheDatabaseDoesNotTake(t *testing.T) {
	l := newLoading(t, nil)
	l.load(`{"type":"identify","messageId":"m-1","userId":"u\u0000\u00001"}`, "{\"type\":\"identify\",\"messageId\":\"m-2\",\"userId\":\"u\\ufffd2\"}")
	done, err := l.d.Forget(t.Context(), warehouse.Identity{UserID: "u\x00\x001"}, warehouse.Identity{UserID: "u\xff2"})
	require.NoError(t, err)
	require.EqualValues(t, 4, done.Rows())
}

func TestNoticesAreCountedOnce(t *testing.T) {
	l := newLoading(t, nil)
	l.load(event("m-1", "A", `{"user_id":"x","FirstName":1,"first_name":2,"日本":1}`))
	require.Equal(t, map[warehouse.NoticeKind]int{warehouse.ReservedName: 1, warehouse.Unnamed: 1}, l.notices())
}

func TestContractsHoldForKeysWithoutALetter(t *testing.T) {
	for _, row := range []struct {
		contract warehouse.Contract
		notice   warehouse.NoticeKind
		rows     int
		refused  int
	}{
		{warehouse.Evolve, warehouse.Unnamed, 2, 0},
		{warehouse.Freeze, warehouse.Refused, 1, 1},
		{warehouse.DiscardRow, warehouse.DiscardedRow, 1, 0},
		{warehouse.DiscardValue, warehouse.DiscardedValue, 2, 0},
	} {
		l := newLoading(t, nil)
		l.load(event("m-1", "A", `{}`))
		l.reopen(func(d *warehouse.Destination) { d.Contracts = map[string]warehouse.Contract{"a": row.contract} })
		err := l.d.Deliver(t.Context(), l.batch(event("m-2", "A", `{"日本":1}`)))
		require.Len(t, failures(err), row.refused, row.contract)
		require.Len(t, l.table("a"), row.rows, row.contract)
		require.Equal(t, map[warehouse.NoticeKind]int{row.notice: 1}, l.notices(), row.contract)
	}
}

func TestCollectionBeyondMaxTablesIsNoticed(t *testing.T) {
	l := newLoading(t, func(d *warehouse.Destination) { d.MaxTables = 2 })
	require.Len(t, failures(l.d.Deliver(t.Context(), l.batch(event("m-1", "A", `{}`), object("m-2", "rooms", `{}`)))), 1)
	require.Equal(t, map[warehouse.NoticeKind]int{warehouse.TableLimit: 1}, l.notices())
}

// Rows that are written early may be too wide too.
func TestNoticesOfEarlyRowsAreKept(t *testing.T) {
	wide := func(id string) string {
		var b strings.Builder
		for i := range 60 {
			fmt.Fprintf(&b, `"c%d":"%s",`, i, strings.Repeat("x", 30))
		}
		return event(id, "A", "{"+b.String()+`"z":1}`)
	}
	var many strings.Builder
	for i := range 120 {
		fmt.Fprintf(&many, `"k%d":1,`, i)
	}
	for _, part := range []int{1, 1 << 20} {
		l := newLoading(t, func(d *warehouse.Destination) {
			d.Store = &narrow{warehousetest.NewStore(), 400}
		})
		l.d.SetParts(part, 1)
		l.load(wide("m-1"))
		l.load(wide("m-2"), event("m-3", "B", `{"o":{`+many.String()+`"z":1}}`))
		require.Equal(t, 1, l.notices()[warehouse.DynamicKeys], part)
		require.Greater(t, l.notices()[warehouse.RowLimit], 40, part)
	}
}

// narrow is a store whose rows hold little.
type narrow struct {
	*warehousetest.Store
	most int
}

func (s *narrow) Dialect() warehouse.Dialect {
	d := s.Store.Dialect()
	d.MaxRow = s.most
	return d
}

func TestRetypeKeepsWhatStandsInJSON(t *testing.T) {
	l := newLoading(t, nil)
	l.load(event("m-1", "A", `{"v":[1,2]}`), event("m-2", "A", `{"v":"plain"}`), event("m-3", "A", `{"v":"[1,"}`))
	values := func() (list []string) {
		for _, r := range l.table("a") {
			list = append(list, fmt.Sprintf("%s", r["v"]))
		}
		return list
	}
	for _, step := range []struct {
		kind warehouse.Kind
		want []string
	}{
		{warehouse.JSON, []string{`[1,2]`, `"plain"`, `"[1,"`}},
		{warehouse.String, []string{`[1,2]`, `plain`, `[1,`}},
	} {
		_, err := l.d.Retype(t.Context(), "a", "v", step.kind)
		require.NoError(t, err)
		require.Equal(t, step.want, values())
	}
	l = newLoading(t, nil)
	l.load(event("m-1", "A", `{"v":7}`), event("m-2", "A", `{"v":8}`))
	for _, kind := range []warehouse.Kind{warehouse.JSON, warehouse.Int} {
		done, err := l.d.Retype(t.Context(), "a", "v", kind)
		require.NoError(t, err)
		require.Equal(t, warehouse.Retyped{Rows: 2}, done)
	}
	require.EqualValues(t, 8, l.table("a")[1]["v"])
}

func TestCloseClosesWhateverTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		d := &warehouse.Destination{Store: warehousetest.NewStore(), Source: "shop"}
		require.NoError(t, d.Open(analytics.Env{}))
		require.NoError(t, d.Close(ctx))
	}
}

// What an application has in the schema is left alone.
func TestTablesOfAnApplication(t *testing.T) {
	l := newLoading(t, nil)
	make1 := func(name string, columns ...warehouse.Column) {
		tx, err := l.store.Begin(t.Context(), "shop")
		require.NoError(t, err)
		require.NoError(t, tx.Create(t.Context(), "shop", warehouse.Table{Name: name, Columns: columns}))
		require.NoError(t, tx.Commit(t.Context()))
	}
	make1("notes", warehouse.Column{Name: "key", Kind: warehouse.String})
	make1("orders", warehouse.Column{Name: "id", Kind: warehouse.String}, warehouse.Column{Name: "total", Kind: warehouse.Int})
	require.NoError(t, l.store.Take("shop", "daily"))
	l.load(event("m-1", "Notes", `{}`), event("m-2", "Orders", `{}`), event("m-3", "Daily", `{}`))
	for _, name := range []string{"_notes", "_orders", "_daily"} {
		require.Len(t, l.table(name), 1, name)
	}
	require.Empty(t, l.table("orders"))
	_, err := l.d.Retype(t.Context(), "orders", "total", warehouse.Float)
	require.ErrorContains(t, err, "none of the source")

	make1("users", warehouse.Column{Name: "id", Kind: warehouse.String}, warehouse.Column{Name: "email", Kind: warehouse.String})
	l.reopen(nil)
	err = l.d.Deliver(t.Context(), l.batch(identify("m-4", "u", "2026-05-02T18:04:05Z", `{}`)))
	require.ErrorContains(t, err, "shop.users is there and is no table of a warehouse")
	require.Empty(t, failures(err), "nothing is a dead letter")
}

func TestLoadThatIsOutOfTimeIsInTheHistory(t *testing.T) {
	l := newLoading(t, nil)
	l.load(event("m-1", "A", `{}`))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, l.d.Deliver(ctx, l.batch(event("m-2", "A", `{}`))))
	syncs, err := l.d.Syncs(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, syncs, 2)
	require.Equal(t, warehouse.Failure, syncs[0].Status)
}

func TestSchemasThatPostgreSQLKeepsForItself(t *testing.T) {
	l := newLoading(t, func(d *warehouse.Destination) { d.SourceOf = func([]byte) string { return "pg-tools" } })
	l.load(event("m-1", "A", `{}`))
	require.Len(t, l.store.Rows("_pg_tools", "a"), 1)
}

// A number of so many digits is more than PostgreSQL takes.
func TestLongNumbersAreKeptAsTexts(t *testing.T) {
	l := newLoading(t, nil)
	long := "0." + strings.Repeat("1", 17_000)
	l.load(event("m-1", "A", `{"n":5}`))
	l.load(event("m-2", "A", `{"n":`+long+`,"日本":`+long+`}`))
	require.JSONEq(t, `{"n":"`+long+`","日本":"`+long+`"}`, unmapped(l.table("a")[1]["_unmapped"]))
}
