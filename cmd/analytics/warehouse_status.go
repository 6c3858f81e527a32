package main

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

type warehouseStatus struct {
	warehouseAt
	Timeout time.Duration `default:"1m" help:"Give up after so long, where a loader is at work for example."`
	Failed  bool          `help:"Only loads that have failed."`
	Limit   int           `default:"20" help:"At most so many loads; 0 means all. The totals are of all that the history has."`
}

// statusJSON is what the history of a warehouse says.
type statusJSON struct {
	Warehouse  string           `json:"warehouse"`
	Source     string           `json:"source"`
	Syncs      []warehouse.Sync `json:"syncs"` // the newest first
	Total      totalJSON        `json:"total"`
	Positions  []positionJSON   `json:"positions"`
	LastFailed bool             `json:"lastFailed"`
}

// totalJSON adds up the history, whatever is listed of it.
type totalJSON struct {
	Success int                `json:"success"`
	Partial int                `json:"partial"`
	Failure int                `json:"failure"`
	Events  int                `json:"events"`
	Rows    int64              `json:"rows"`
	Notices []warehouse.Notice `json:"notices"`
}

// positionJSON is up to where a log is loaded.
type positionJSON struct {
	Log  string `json:"log"`
	Next uint64 `json:"next"` // the first that is not
}

// Run shows the history.
func (cmd *warehouseStatus) Run(c *command) error {
	w, ctx, done, err := cmd.open(c, cmd.Timeout)
	if err != nil {
		return err
	}
	defer done()
	all, err := w.Syncs(ctx, 0)
	if err != nil {
		return err
	}
	out := statusJSON{Warehouse: w.name, Source: w.source, Syncs: []warehouse.Sync{}, Total: total(all), Positions: []positionJSON{}}
	out.LastFailed = len(all) > 0 && all[0].Status == warehouse.Failure
	for _, s := range all {
		if cmd.Limit > 0 && len(out.Syncs) >= cmd.Limit {
			break
		}
		if !cmd.Failed || s.Status == warehouse.Failure {
			out.Syncs = append(out.Syncs, s)
		}
	}
	for _, log := range logsOf(out.Syncs) {
		next, ok, err := w.Position(ctx, log)
		if err != nil {
			return err
		}
		if ok {
			out.Positions = append(out.Positions, positionJSON{log.String(), next})
		}
	}
	if c.json {
		err = c.printJSON(out)
	} else {
		err = out.print(c)
	}
	return cmp.Or(err, told(out.LastFailed))
}

func total(all []warehouse.Sync) totalJSON {
	t := totalJSON{Notices: []warehouse.Notice{}}
	notices := make(map[warehouse.Notice]int)
	for _, s := range all {
		switch s.Status {
		case warehouse.Success:
			t.Success++
		case warehouse.Partial:
			t.Partial++
		default:
			t.Failure++
			continue // what it was about is loaded by another one, or will be
		}
		t.Events += s.Events
		t.Rows += rowsOf(s)
		for _, n := range s.Notices {
			notices[warehouse.Notice{Kind: n.Kind, Table: n.Table, Column: n.Column}] += n.Count
		}
	}
	for n, count := range notices {
		n.Count = count
		t.Notices = append(t.Notices, n)
	}
	slices.SortFunc(t.Notices, func(a, b warehouse.Notice) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Kind, b.Kind))
	})
	return t
}

func rowsOf(s warehouse.Sync) (n int64) {
	for _, rows := range s.Tables {
		n += rows
	}
	return n
}

func noticesOf(s warehouse.Sync) (n int) {
	for _, notice := range s.Notices {
		n += notice.Count
	}
	return n
}

// logsOf are the logs that loads were of, the latest first.
func logsOf(list []warehouse.Sync) (logs []analytics.LogID) {
	for _, s := range list {
		var id analytics.LogID
		b, err := hex.DecodeString(s.Log)
		if err == nil && copy(id[:], b) == len(id) && !slices.Contains(logs, id) {
			logs = append(logs, id)
		}
	}
	return logs
}

func (s *statusJSON) print(c *command) error {
	c.printf("%s, source %s\n", printable(s.Warehouse), printable(s.Source))
	if len(s.Syncs) > 0 {
		c.printf("\n")
		t := newTable(c.stdout, "STARTED", "STATUS", "EVENTS", "ROWS", "NOTICES", "PREPARED IN", "LOADED IN", "ERROR")
		for _, l := range s.Syncs {
			t.row(at(l.Started), l.Status, l.Events, rowsOf(l), noticesOf(l), milliseconds(l.Prepare), milliseconds(l.Load), cmp.Or(l.Error, "-"))
		}
		if err := t.print(); err != nil {
			return err
		}
	}
	n := s.Total.Success + s.Total.Partial + s.Total.Failure
	c.printf("\n%s: %d with notices, %d failed; %s, %s\n", count(n, "load"), s.Total.Partial, s.Total.Failure,
		count(s.Total.Events, "event"), count(int(s.Total.Rows), "row"))
	for _, p := range s.Positions {
		c.printf("  log %s is loaded up to %d\n", printable(p.Log), p.Next)
	}
	return s.Total.printNotices(c)
}

const mostNotices = 20

func (t *totalJSON) printNotices(c *command) error {
	if len(t.Notices) == 0 {
		return nil
	}
	c.printf("\n")
	rows := newTable(c.stdout, "NOTICE", "TABLE", "COLUMN", "COUNT")
	for _, n := range t.Notices[:min(len(t.Notices), mostNotices)] {
		rows.row(n.Kind, cmp.Or(n.Table, "-"), cmp.Or(n.Column, "-"), n.Count)
	}
	if err := rows.print(); err != nil {
		return err
	}
	if more := len(t.Notices) - mostNotices; more > 0 {
		c.printf("and %d more, which --json has\n", more)
	}
	return nil
}

// at is a time in UTC; empty if there is none.
func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeFormat)
}
