package warehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// Destination loads events into the tables of a database. Its fields are its settings.
//
// It owns its cursor: up to where it has read a log is written in the transaction that
// writes the rows, so each event is in each of its tables once, whenever the process
// dies. Its methods may be called from several goroutines; loads, Retype and Forget wait
// for one another.
type Destination struct {
	// Store is the database. Required. It is closed with the destination.
	Store Store `json:"-"`

	// Source names the schema that events go to, and where the destination keeps its
	// position and history. Empty means Dialect.Schema of the store. It is normalised
	// like the name of a table. Two destinations need two.
	Source string `json:"source,omitempty"`

	// SourceOf names the schema of an event that comes from another source; empty means
	// Source. It is pure, keeps nothing of the event, and is called by one goroutine, more
	// than once for an event. A schema belongs to one Source only.
	SourceOf func(event []byte) string `json:"-"`

	// Every is the time between two loads. Zero means a minute.
	Every time.Duration `json:"every,omitempty"`

	// Contract says what happens to what has no place in a table, Contracts what does
	// in tables by name, that of the table or of the event. Empty means Evolve.
	Contract  Contract            `json:"contract,omitempty"`
	Contracts map[string]Contract `json:"contracts,omitempty"`

	// Only and Skip select what is loaded, by patterns "source", "source.table" and
	// "source.table.column", in which * stands for any name. Skip goes before Only, and
	// standard columns are always loaded. Names are those of the database, or of the event
	// and its keys. They hold also for what _unmapped and columns of JSON keep.
	Only []string `json:"only,omitempty"`
	Skip []string `json:"skip,omitempty"`

	// MaxColumns is the most columns of a table, standard ones included. Zero means 1,000,
	// or what the database can bear.
	MaxColumns int `json:"maxColumns,omitempty"`

	// MaxTables is the most tables of a source; those that every source has are made
	// also beyond it. Zero means 2,000.
	MaxTables int `json:"maxTables,omitempty"`

	// PrefixReserved keeps a property that is named like a standard column of its table,
	// with an underscore in front of the name, instead of discarding it.
	PrefixReserved bool `json:"prefixReserved,omitempty"`

	// KeepSyncs is how long the history of loads is kept. Zero means 30 days.
	KeepSyncs time.Duration `json:"keepSyncs,omitempty"`

	// OnSync is called after each load that had events, and each that failed, by the
	// goroutine that loads: it delays the next, and must not call the destination's methods.
	OnSync func(Sync) `json:"-"`

	env     analytics.Env
	dialect Dialect
	home    string        // the schema of Source
	picky   bool          // Only or Skip name columns
	busy    chan struct{} // holds a token while nobody uses the store

	// Of the settings of the same names, as names of the database:
	contracts  map[string]Contract
	only, skip []string

	// Of the holder of the token:
	loader loader
	pruned time.Time // when the history was last shortened
}

var (
	_ analytics.Destination   = (*Destination)(nil)
	_ analytics.Opener        = (*Destination)(nil)
	_ analytics.Closer        = (*Destination)(nil)
	_ analytics.RawTranslator = (*Destination)(nil)
	_ analytics.Positioner    = (*Destination)(nil)
)

const (
	maxItems       = 10_000
	maxBytes       = 8 << 20
	loadTimeout    = 10 * time.Minute
	defaultEvery   = time.Minute
	defaultColumns = 1000
	defaultTables  = 2000
	defaultName    = 63
	defaultKeep    = 30 * 24 * time.Hour
)

// Describe states how much is loaded at a time, and how often.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:      analytics.IntegrationWarehouses,
		Calls:     analytics.SixCalls | analytics.CallsOf(analytics.CallObject),
		Order:     analytics.Total,
		Every:     cmp.Or(d.Every, defaultEvery),
		IgnoreAll: true,
		Lanes: map[string]analytics.Limits{"": {
			MaxItems: maxItems, MaxBytes: maxBytes, Concurrency: 1, Linger: -1, Timeout: loadTimeout,
		}},
	}
}

// Open checks the settings and opens the store. A database that cannot be reached is no
// fault: it is tried again with each load.
func (d *Destination) Open(env analytics.Env) error {
	if d.Store == nil {
		return &analytics.InvalidError{Field: "Store", Reason: "is required"}
	}
	d.env = env
	d.dialect = d.Store.Dialect()
	d.dialect.MaxName = cmp.Or(d.dialect.MaxName, defaultName)
	d.busy = make(chan struct{}, 1)
	d.busy <- struct{}{}
	errs := d.check()
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	errs = append(errs, d.Store.Open(ctx))
	if err := errors.Join(errs...); err != nil {
		_ = d.Store.Close() // the fault is the news
		return err
	}
	d.readNames()
	d.loader = loader{d: d}
	return nil
}

// readNames reads the settings that name tables and columns.
func (d *Destination) readNames() {
	most := d.dialect.MaxName
	d.contracts = make(map[string]Contract)
	for table, c := range d.Contracts {
		d.contracts[settingName(table, most)] = c
	}
	d.picky = false
	names := func(patterns []string) (read []string) {
		for _, p := range patterns {
			parts := strings.Split(p, ".")
			if parts[0] != "*" {
				parts[0] = cmp.Or(schemaName(parts[0], most), parts[0])
			}
			for i, part := range parts[1:] {
				parts[i+1] = settingName(part, most)
			}
			d.picky = d.picky || len(parts) == 3
			read = append(read, strings.Join(parts, "."))
		}
		return read
	}
	d.only, d.skip = names(d.Only), names(d.Skip)
}

const openTimeout = 30 * time.Second

// check finds the faults of the settings.
func (d *Destination) check() (errs []error) {
	fault := func(field, format string, args ...any) {
		errs = append(errs, &analytics.InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	d.home = d.dialect.Schema
	if d.Source != "" {
		d.home = schemaName(d.Source, d.dialect.MaxName)
	}
	if d.home == "" {
		fault("Source", "needs a letter or a digit of ASCII")
	}
	for field, contract := range d.allContracts() {
		if !contract.valid() {
			fault(field, "is none of evolve, freeze, discard_value and discard_row")
		}
	}
	for field, patterns := range map[string][]string{"Only": d.Only, "Skip": d.Skip} {
		for i, p := range patterns {
			if parts := strings.Split(p, "."); len(parts) > 3 || p == "" || strings.Contains("."+p+".", "..") {
				fault(fmt.Sprintf("%s[%d]", field, i), "is not source, source.table or source.table.column")
			}
		}
	}
	for field, n := range map[string]int64{
		"Every": int64(d.Every), "MaxColumns": int64(d.MaxColumns), "MaxTables": int64(d.MaxTables), "KeepSyncs": int64(d.KeepSyncs),
	} {
		if n < 0 {
			fault(field, "is negative")
		}
	}
	return errs
}

func (d *Destination) allContracts() map[string]Contract {
	all := map[string]Contract{"Contract": d.Contract}
	for table, c := range d.Contracts {
		all["Contracts."+table] = c
	}
	return all
}

func (d *Destination) contract(table string) Contract {
	return cmp.Or(d.contracts[table], d.Contract, Evolve)
}

func (d *Destination) maxColumns() int {
	most := cmp.Or(d.dialect.MaxColumns, defaultColumns)
	if d.MaxColumns > 0 {
		most = min(most, d.MaxColumns)
	}
	return most
}

func (d *Destination) maxTables() int { return cmp.Or(d.MaxTables, defaultTables) }

func (d *Destination) keepSyncs() time.Duration { return cmp.Or(d.KeepSyncs, defaultKeep) }

// sourceOf is the schema of an event.
func (d *Destination) sourceOf(event string) string {
	if d.SourceOf == nil {
		return d.home
	}
	name := d.SourceOf([]byte(event))
	if name == "" {
		return d.home
	}
	return cmp.Or(schemaName(name, d.dialect.MaxName), d.home)
}

// Close closes the store, after a load that is under way.
func (d *Destination) Close(ctx context.Context) error {
	if d.busy == nil {
		return nil
	}
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	return d.Store.Close()
}

// take waits for the store. A ctx that is done already gets it where nobody has it: Close
// is called with such a one.
func (d *Destination) take(ctx context.Context) error {
	select {
	case <-d.busy:
		return nil
	default:
	}
	select {
	case <-d.busy:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *Destination) give() { d.busy <- struct{}{} }

// errNotOpen is what methods return that need an open store.
var errNotOpen = errors.New("warehouse: the destination is not open")

// within runs f in a transaction of its own, which is committed if f returns nil.
func (d *Destination) within(ctx context.Context, f func(Tx) error) error {
	if d.busy == nil {
		return errNotOpen
	}
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	tx, err := d.Store.Begin(ctx, d.home)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing, and before it there is an error already
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// SyncNow loads what was accepted before the call. It returns nil when that is in the
// tables, or has become a dead letter; else a [*analytics.PendingError], as
// Client.Flush. It needs a client.
func (d *Destination) SyncNow(ctx context.Context) error {
	if d.env.Flush == nil {
		return errNotOpen
	}
	return d.env.Flush(ctx)
}

// Translate makes the item of an event that was decoded, where plugins stand before the
// warehouse. When it was accepted is not known then: receivedAt or the time of loading
// counts.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	raw, err := e.AppendJSON(nil)
	if err != nil {
		return nil, &analytics.InvalidError{Field: "message", Reason: "cannot be encoded"}
	}
	return []analytics.Item{{Body: raw, Data: &meta{}}}, nil
}

// TranslateRaw takes the event as it is in the log.
func (d *Destination) TranslateRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	return analytics.Item{Body: raw, Data: &meta{accepted: h.AcceptedAt.UnixMicro(), seq: h.Seq, known: true}}, nil
}

// Deliver loads a batch in one transaction.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	return d.loader.load(ctx, b)
}

// Position returns the end of what was loaded of a log.
func (d *Destination) Position(ctx context.Context, log analytics.LogID) (next uint64, ok bool, err error) {
	err = d.within(ctx, func(tx Tx) error {
		next, ok, err = d.loader.position(ctx, tx, log)
		return err
	})
	return next, ok, err
}

// Schema returns the tables of Source with their columns, without those of the loader
// itself.
func (d *Destination) Schema(ctx context.Context) (tables []Table, err error) {
	err = d.within(ctx, func(tx Tx) error {
		all, err := tx.Tables(ctx, d.home)
		for _, t := range all {
			if !internal(t.Name) {
				tables = append(tables, t)
			}
		}
		return err
	})
	return tables, err
}

// LogValue is without the store, which may have secrets.
func (d *Destination) LogValue() slog.Value {
	return slog.GroupValue(slog.String("source", d.Source), slog.Duration("every", cmp.Or(d.Every, defaultEvery)))
}

// Format prints what LogValue tells.
func (d *Destination) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "warehouse %v", d.LogValue()) }
