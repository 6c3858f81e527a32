package main

import (
	"strings"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

// document is the page of this command.
type document struct{ page.Document }

func (d *document) figures(all []page.Figure) {
	d.Figures(all)
	d.Printf("%s\n", strings.TrimSpace(`
- Loads: track calls of one event, in batches of 10,000 and one transaction each, two rows an event: one in its table, one in tracks.
  Ours begins with raw JSON and ends with the commit, position and history included; rows are written in one goroutine while another makes
  the next. By hand is one goroutine, and means that the rows are there already: those that a destination has made of the same batch, in
  the types of the driver. Batches alternate, each side first in every second one, each into a database of its own; the first batch, which
  makes the tables, does not count. The share is the time by hand divided by ours, for each round; the median of the rounds counts. A garbage
  collection goes before each measured part. CPU is that of the process, which is steadier than time when other programs run; the server's
  is not in it.
- PostgreSQL by hand: CopyFrom of pgx into a temporary table that stays with the connection, then INSERT … SELECT … ON CONFLICT DO NOTHING.
  Both write over one connection, with the defaults of the server. The keys are collated alike.
- SQLite by hand: the driver without database/sql, prepared statements of as many rows as were fastest for each table just before, the
  pragmas of the store, times as texts before the clock starts.
- Flatten: TranslateRaw and Deliver into a store that reads every value of every row and keeps none, in two goroutines as any load. CPU is
  that of the process, garbage collection included; the target is for the time.
- Archive: Deliver of the same batches and the end of the file at the end of each round, its manifest included; two halves of a batch are
  compressed at the same time, on two cores. By hand is the same compressor, on one, at the same level, given the finished lines in pieces
  of 64 KiB, a member for each batch, into a file, and as many syncs: of the file, of a small one that takes another's place, and two of
  their folder. Alone is the compressor without a file.
- Memory: a process of its own opens a spool with a backlog and loads all of it, with the defaults of Go; the figure is the peak of its
  resident memory, the mapped files of the spool included.
`))
}
