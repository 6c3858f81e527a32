package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

// A target is a destination that events of an archive go to.
type target struct {
	name        string // for people; has no secrets
	integration string // the name of the destination in its client
	config      analytics.Config
	refused     error                       // what is wrong when it does not take our credentials
	check       func(context.Context) error // before anything is sent; may be nil
	watch       func(*complaints)           // before the client is made; may be nil
}

// target is the cloud mode.
func (a *cloudAt) target(c *command) target {
	config := a.config(c)
	config.MaxAge = neverTooOld
	return target{name: a.where(), integration: cloudName, refused: errUnauthorized, config: config}
}

// warehouseTarget is a warehouse; a file of SQLite need not be there.
func warehouseTarget(address, source string) (target, error) {
	db, err := databaseAt(address)
	if err != nil {
		return target{}, err
	}
	t := db.target(source)
	t.check = func(ctx context.Context) error {
		db, err := databaseAt(address)
		if err != nil {
			return err
		}
		return db.reach(ctx, source)
	}
	return t, nil
}

// neverTooOld is the age of events for which the time-out of the command comes first.
const neverTooOld = 365 * 24 * time.Hour

var errWarehouseRefuses = errors.New("the warehouse refuses us: user, password or permission, or the state that it is in")

func (d *database) target(source string) target {
	w := &warehouse.Destination{Store: d.store, Source: source}
	return target{
		name: d.name + ", source " + cmp.Or(source, d.store.Dialect().Schema), integration: analytics.IntegrationWarehouses, refused: errWarehouseRefuses,
		config: analytics.Config{
			Destinations: []analytics.Destination{w}, WhenFull: analytics.Block, MaxAge: neverTooOld, Logger: slog.New(slog.DiscardHandler),
		},
		watch: func(p *complaints) {
			w.OnSync = func(s warehouse.Sync) {
				if s.Status == warehouse.Failure {
					p.add("a load has failed and is tried again: %s", s.Error)
				}
			}
		},
	}
}

// reach looks into the database, since a load that cannot is tried again for long. Its
// store is opened for that alone.
func (d *database) reach(ctx context.Context, source string) (err error) {
	if errors.Is(d.exists(), fs.ErrNotExist) {
		return nil
	}
	w := &warehouse.Destination{Store: d.store, Source: source}
	if err := w.Open(analytics.Env{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { err = cmp.Or(err, w.Close(ctx)) }()
	_, err = w.Syncs(ctx, 1)
	return err
}
