package warehouse_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// anyEvents makes events of all calls for a load, most of which are like those before, and
// some of which bring tables, columns, misfits, strays, or keys that are data.
func anyEvents(r *rand.Rand, load, n int) (events []string) {
	burst := -1
	if r.IntN(4) == 0 {
		burst = r.IntN(n)
	}
	for i := range n {
		id := fmt.Sprintf("m-%d-%d", load, i)
		if r.IntN(30) == 0 {
			id = "m-twice"
		}
		properties := fmt.Sprintf(`{"n":%d,"text":"t%d","list":[1,{"a":%d}],"deep":{"x":%t}}`, r.IntN(5), i, i, i%2 == 0)
		switch r.IntN(80) {
		case 0:
			properties = fmt.Sprintf(`{"new_%d_%d":1.5}`, load, r.IntN(3))
		case 1:
			properties = fmt.Sprintf(`{"n":"misfit","extra_%d":{"a":1}}`, load)
		case 2:
			properties = fmt.Sprintf(`{"§":1,"text":null,"later%d":null}`, load)
		case 3:
			properties = `{"text":"a\u0000b","Text":"twice"}`
		}
		switch r.IntN(8) {
		case 0:
			events = append(events, identify(id, fmt.Sprint("u-", r.IntN(5)), "2026-05-02T18:04:05Z", properties))
		case 1:
			events = append(events, fmt.Sprintf(`{"type":"group","messageId":%q,"groupId":"g-%d","traits":%s}`, id, r.IntN(3), properties))
		case 2:
			events = append(events, fmt.Sprintf(`{"type":"page","messageId":%q,"name":"Home","properties":%s}`, id, properties))
		case 3:
			events = append(events, event(id, fmt.Sprint("Frozen ", r.IntN(3)), properties))
		default:
			events = append(events, event(id, fmt.Sprint("Event ", r.IntN(3)), properties))
		}
		if i == burst {
			for k := range 110 {
				events = append(events, event(fmt.Sprintf("%s-%d", id, k), "Event 1", fmt.Sprintf(`{"scores%d":{"u%d":%d}}`, load, k, k)))
			}
		}
	}
	return events
}

// When the rows of a load go to the store makes no difference to what is there in the end,
// nor to what is reported.
func TestPartsMakeNoDifference(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		open := func(events, rows int) *loading {
			l := newLoading(t, func(d *warehouse.Destination) {
				d.Contracts = map[string]warehouse.Contract{
					"frozen_0": warehouse.Freeze, "frozen_1": warehouse.DiscardRow, "frozen_2": warehouse.DiscardValue,
				}
			})
			l.d.SetParts(events, rows)
			return l
		}
		whole := open(1<<20, 1)
		others := []*loading{open(1+r.IntN(20), 1+r.IntN(20)), open(1, 1), open(1+r.IntN(20), 1<<20)}
		for load := range 12 {
			events := anyEvents(r, load, 1+r.IntN(200))
			want := failures(whole.d.Deliver(t.Context(), whole.batch(events...)))
			for _, l := range others {
				require.Equal(t, want, failures(l.d.Deliver(t.Context(), l.batch(events...))))
			}
		}
		schema, err := whole.d.Schema(t.Context())
		require.NoError(t, err)
		require.Greater(t, len(schema), 7)
		for _, l := range others {
			got, err := l.d.Schema(t.Context())
			require.NoError(t, err)
			require.Equal(t, schema, got)
			for _, table := range schema {
				require.Equal(t, withoutLoadTime(whole.table(table.Name)), withoutLoadTime(l.table(table.Name)), "seed %d, table %s", seed, table.Name)
			}
			require.Len(t, l.syncs, len(whole.syncs))
			for i, s := range l.syncs {
				require.Equal(t, whole.syncs[i].Notices, s.Notices, "seed %d, load %d", seed, i)
				require.Equal(t, whole.syncs[i].Tables, s.Tables)
				require.Equal(t, whole.syncs[i].Events, s.Events)
			}
		}
	}
}

// failures are the numbers of the items that were refused.
func failures(err error) (failed []int) {
	var b *analytics.BatchError
	if errors.As(err, &b) {
		for i := range b.Items {
			failed = append(failed, i)
		}
	}
	slices.Sort(failed)
	return failed
}

func withoutLoadTime(rows []map[string]any) []map[string]any {
	for _, row := range rows {
		delete(row, "uuid_ts")
	}
	return rows
}

// watched is a store whose writing of events is watched.
type watched struct {
	*warehousetest.Store
	write func(table string) error
}

type watchedTx struct {
	warehouse.Tx
	s *watched
}

func (s *watched) Begin(ctx context.Context, home string) (warehouse.Tx, error) {
	tx, err := s.Store.Begin(ctx, home)
	return &watchedTx{tx, s}, err
}

func (tx *watchedTx) Write(ctx context.Context, schema, table string, rows warehouse.Rows, on warehouse.Conflict) (int64, error) {
	if !strings.HasPrefix(table, "_") {
		if err := tx.s.write(table); err != nil {
			return 0, err
		}
	}
	return tx.Tx.Write(ctx, schema, table, rows, on)
}

// watching is a loading of a watched store whose table and columns are there already; its
// rows are offered after each event.
func watching(t *testing.T, write func(table string) error, read func(event string)) *loading {
	s := &watched{Store: warehousetest.NewStore(), write: func(string) error { return nil }}
	l := newLoading(t, func(d *warehouse.Destination) {
		d.Store = s
		d.SourceOf = func(event []byte) string {
			read(string(event))
			return ""
		}
	})
	l.store = s.Store
	l.load(event("m-0", "A", `{"n":0}`))
	l.d.SetParts(1, 1)
	s.write = write
	return l
}

func TestRowsAreWrittenWhileOthersAreMade(t *testing.T) {
	reads, made := 0, make(chan struct{})
	l := watching(t, func(string) error {
		<-made
		return nil
	}, func(event string) {
		if reads++; reads == 2+3+3 { // sources are found for all of a batch first
			close(made)
		}
	})
	l.load(event("m-1", "A", `{"n":1}`), event("m-2", "A", `{"n":2}`), event("m-3", "A", `{"n":3}`))
	require.Len(t, l.table("a"), 4)
	require.Equal(t, map[string]int64{"a": 3, "tracks": 3}, l.syncs[1].Tables)
}

func TestWritingAheadFails(t *testing.T) {
	fault := errors.New("no room")
	fails := true
	l := watching(t, func(string) error {
		if fails {
			return fault
		}
		return nil
	}, func(string) {})
	b := l.batch(event("m-1", "A", `{"n":1}`), event("m-2", "A", `{"n":2}`), event("m-3", "A", `{"n":3}`))
	require.ErrorIs(t, l.d.Deliver(t.Context(), b), fault)
	require.Equal(t, warehouse.Failure, l.syncs[1].Status)
	fails = false
	require.NoError(t, l.d.Deliver(t.Context(), b))
	require.Len(t, l.table("a"), 4)
}

// A store that panics in the other goroutine does so where a client catches it, and what
// the loader had made of the tables is forgotten.
func TestWritingPanics(t *testing.T) {
	for name, first := range map[string]string{"ahead": `{"n":1}`, "behind": `{"n":1,"fresh":true}`} {
		t.Run(name, func(t *testing.T) {
			panics := true
			l := watching(t, func(string) error {
				if panics {
					panic("bug of a store")
				}
				return nil
			}, func(string) {})
			b := l.batch(event("m-1", "A", first), event("m-2", "A", `{"n":2}`))
			func() {
				defer func() {
					thrown, _ := recover().(string)
					require.Contains(t, thrown, "bug of a store")
					require.Equal(t, name == "ahead", strings.Contains(thrown, "ahead_test.go"), "where it was")
				}()
				_ = l.d.Deliver(t.Context(), b)
			}()
			panics = false
			require.NoError(t, l.d.Deliver(t.Context(), b))
			rows := l.table("a")
			require.Len(t, rows, 3)
			require.Equal(t, name == "behind", rows[1]["fresh"] == true)
		})
	}
}
