package main

import (
	"fmt"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

// maxMemory is the target for a loader, in bytes.
const maxMemory = 128 << 20

// memory loads a backlog in processes of their own.
func (r *run) memory() (figures []page.Figure, err error) {
	for _, loader := range []string{loadSQLite, loadPostgres, loadArchive} {
		t := task{Loader: loader, N: r.backlog}
		name := fmt.Sprintf("memory: %s events of a spool into %s", page.Grouped(r.backlog), into(loader))
		if loader == loadPostgres && r.server == nil {
			figures = append(figures, page.Figure{Name: name, Value: "left out: no server"})
			continue
		}
		r.progress("    %s", name)
		got, err := r.backlogOf(t)
		if err != nil {
			return nil, err
		}
		figures = append(figures, memoryFigure(name, r.backlog, got))
	}
	return figures, nil
}

func into(loader string) string {
	if loader == loadArchive {
		return "an archive"
	}
	return loader
}

// backlogOf leaves a backlog and loads it.
func (r *run) backlogOf(t task) (got result, err error) {
	err = r.in(func(dir string) error {
		t.Dir, t.Fill = dir, true
		if _, err := t.run(r.ctx); err != nil {
			return err
		}
		load := func(url string) (err error) {
			t.URL, t.Fill = url, false
			got, err = t.run(r.ctx)
			return err
		}
		if t.Loader == loadPostgres {
			return r.server.database(r.ctx, load)
		}
		return load("")
	})
	if err == nil && (got.Delivered != t.N || got.Rows != int64(t.N)) {
		err = fmt.Errorf("%s: %d events delivered, %d rows, want %d", t.Loader, got.Delivered, got.Rows, t.N)
	}
	return got, err
}

func memoryFigure(name string, n int, got result) page.Figure {
	return page.Figure{
		Name: name,
		Value: fmt.Sprintf("%s; %s events/s with start and end", page.Mebibytes(float64(got.PeakRSS)),
			page.Grouped(int(float64(n)/got.Took.Seconds()))),
		Target: "≤ " + page.Mebibytes(maxMemory), Met: got.PeakRSS <= maxMemory,
	}
}
