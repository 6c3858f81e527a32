package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver" // sqlite3, the one that the warehouse writes with

	"github.com/tributary-dev/analytics"
)

// steps are the places of the funnel, as the shop calls them.
var steps = [...]string{"Product Viewed", "Product Added", "Checkout Started", "Order Completed"}

// answers are what the shop wants to know.
type answers struct {
	hours  []hour
	funnel [len(steps)]int
	users  []user
}

type hour struct {
	of, orders int
	revenue    float64 // in EUR
}

type user struct {
	id, email, tier, plan string
	orders                int
	revenue               float64 // in EUR
}

// contents are what is in a database.
type contents struct {
	answers
	counts counts
}

// ask opens a database to read from it, as any program can. Amounts are rounded to cents.
func ask(ctx context.Context, path string) (c contents, err error) {
	file := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite3", file.String())
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	c.hours, err = query(ctx, db, revenueByHour, func(h *hour) []any { return []any{&h.of, &h.orders, cents{&h.revenue}} })
	if err != nil {
		return c, fmt.Errorf("revenue by hour: %w", err)
	}
	f := &c.funnel
	if err := db.QueryRowContext(ctx, funnel).Scan(&f[0], &f[1], &f[2], &f[3]); err != nil {
		return c, fmt.Errorf("funnel: %w", err)
	}
	c.users, err = query(ctx, db, topUsers, func(u *user) []any {
		return []any{&u.id, &u.email, &u.tier, &u.plan, &u.orders, cents{&u.revenue}}
	})
	if err != nil {
		return c, fmt.Errorf("top users: %w", err)
	}
	c.counts, err = count(ctx, db)
	return c, err
}

func count(ctx context.Context, db *sql.DB) (counts, error) {
	type row struct {
		call analytics.Call
		n    int
	}
	rows, err := query(ctx, db, calls, func(r *row) []any { return []any{&r.call, &r.n} })
	if err != nil {
		return nil, fmt.Errorf("calls: %w", err)
	}
	found := make(counts)
	for _, r := range rows {
		found[r.call] = r.n
	}
	return found, nil
}

// query reads all rows; fields are where the columns of one go.
func query[T any](ctx context.Context, db *sql.DB, text string, fields func(*T) []any) (all []T, err error) {
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one T
		if err := rows.Scan(fields(&one)...); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// cents scans an amount.
type cents struct{ into *float64 }

func (c cents) Scan(v any) error {
	f, ok := v.(float64)
	if !ok {
		return fmt.Errorf("an amount is %T; has its currency a rate?", v)
	}
	*c.into = math.Round(f*100) / 100
	return nil
}
