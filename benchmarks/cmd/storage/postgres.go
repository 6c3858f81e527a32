package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/postgres"
)

func (r *run) postgres() (figures []page.Figure, err error) {
	if r.server == nil {
		return []page.Figure{{Name: "PostgreSQL: load", Value: "left out: no server"}}, nil
	}
	err = r.server.database(r.ctx, func(ours string) error {
		return r.server.database(r.ctx, func(theirs string) error {
			figures, err = r.postgresIn(ours, theirs)
			return err
		})
	})
	return figures, err
}

func (r *run) postgresIn(ours, theirs string) (figures []page.Figure, err error) {
	conn, err := pgx.Connect(r.ctx, theirs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.Background())) }()
	l, err := r.compare(&postgres.Store{URL: ours}, &postgresHand{conn: conn})
	if err != nil {
		return nil, err
	}
	var mine contents
	hand, err := postgresContents(r.ctx, conn)
	if err == nil {
		err = r.server.with(r.ctx, ours, func(c *pgx.Conn) error {
			mine, err = postgresContents(r.ctx, c)
			return err
		})
	}
	if err = errors.Join(err, l.check(hand, mine)); err != nil {
		return nil, err
	}
	return l.figures("PostgreSQL", "CopyFrom of pgx into a temporary table, then INSERT"), nil
}

func postgresContents(ctx context.Context, conn *pgx.Conn) (c contents, err error) {
	row := conn.QueryRow(ctx, "SELECT count(*), sum(round(revenue * 100)::bigint)::bigint, (SELECT count(*) FROM "+source+".tracks) FROM "+source+"."+eventTable)
	return c, row.Scan(&c.Events, &c.Cents, &c.Tracks)
}

// postgresHand loads with CopyFrom into temporary tables, and inserts from there.
type postgresHand struct {
	conn   *pgx.Conn
	tables []copied
}

// copied is a table and the rows that are ready for it.
type copied struct {
	name    string
	columns []string
	insert  string
	rows    [][]any
}

var postgresTypes = map[warehouse.Kind]string{
	warehouse.Bool: "boolean", warehouse.Int: "bigint", warehouse.Float: "double precision",
	warehouse.Time: "timestamptz", warehouse.String: "text", warehouse.JSON: "jsonb",
}

func (p *postgresHand) setup(ctx context.Context, tables []prepared, _ int) error {
	if _, err := p.conn.Exec(ctx, "CREATE SCHEMA "+source); err != nil {
		return err
	}
	for _, t := range tables {
		c := copied{name: t.name}
		var defined []string
		for i, column := range t.columns {
			name := pgx.Identifier{column.Name}.Sanitize()
			c.columns = append(c.columns, column.Name)
			definition := name + " " + postgresTypes[column.Kind]
			if i == 0 {
				definition += ` COLLATE "C" PRIMARY KEY`
			}
			defined = append(defined, definition)
		}
		_, err := p.conn.Exec(ctx, fmt.Sprintf("CREATE TABLE %[1]s.%[2]s (%[3]s); CREATE TEMPORARY TABLE %[2]s ON COMMIT DELETE ROWS AS SELECT * FROM %[1]s.%[2]s WITH NO DATA",
			source, t.name, strings.Join(defined, ", ")))
		if err != nil {
			return err
		}
		c.insert = fmt.Sprintf("INSERT INTO %[1]s.%[2]s SELECT * FROM pg_temp.%[2]s ON CONFLICT DO NOTHING", source, t.name)
		p.tables = append(p.tables, c)
	}
	return nil
}

func (p *postgresHand) ready(tables []prepared) {
	for i, t := range tables {
		rows := make([][]any, len(t.rows))
		for j, row := range t.rows {
			rows[j] = make([]any, len(row))
			for k, v := range row {
				rows[j][k] = boxed(v)
			}
		}
		p.tables[i].rows = rows
	}
}

// boxed is a value as the driver takes it.
func boxed(v warehouse.Value) any {
	switch v.Kind {
	case warehouse.Bool:
		return v.Bool()
	case warehouse.Int:
		return v.N
	case warehouse.Float:
		return v.Float()
	case warehouse.Time:
		return v.Time()
	case warehouse.String, warehouse.JSON:
		return v.S
	}
	return nil
}

func (p *postgresHand) load(ctx context.Context) error {
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.Background()) //nolint:errcheck // after Commit it does nothing
	for _, t := range p.tables {
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, t.insert); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}
