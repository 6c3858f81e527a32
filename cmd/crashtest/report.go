package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// report is the result.
type report struct {
	Seed      uint64 `json:"seed"`
	Kills     int    `json:"kills"`
	Processes int    `json:"processes"`
	Outages   int    `json:"outages"`
	Slots     int    `json:"slots"`

	Accepted  int `json:"accepted"`  // calls that returned nil
	Uncertain int `json:"uncertain"` // calls that were cut off by a kill

	Destinations map[string]account `json:"destinations"`

	Left          int      `json:"left"`         // after the last process
	ControlLost   int      `json:"control_lost"` // by the queue in memory
	OpenMS        float64  `json:"open_ms"`      // the median of New
	SlowestOpenMS float64  `json:"slowest_open_ms"`
	OrphanSeconds float64  `json:"orphan_seconds"` // until what a killed process had left was delivered by a living one
	Seconds       float64  `json:"seconds"`
	Violations    []string `json:"violations"`
}

func (r *report) violation(format string, args ...any) {
	r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
}

// report judges the history of a driver.
func (d *driver) report() report {
	r := report{
		Seed: d.seed, Kills: d.killed, Processes: d.processes, Outages: d.outages, Slots: d.slots,
		Destinations: make(map[string]account), Left: d.left,
	}
	if slices.Sort(d.opened); len(d.opened) > 0 {
		r.OpenMS, r.SlowestOpenMS = millis(d.opened[len(d.opened)/2]), millis(d.opened[len(d.opened)-1])
	}
	var violations int
	for p := range places {
		a := d.history.verdict(p)
		r.Destinations[p.String()] = a
		violations += a.violations()
	}
	if violations > 0 {
		r.Violations = append(r.Violations, d.history.examples...)
	}
	for process, record := range d.history.records {
		for _, why := range record.dropped {
			r.violation("process %d dropped an event: %s", process, why)
		}
		for _, calls := range record.calls {
			for _, c := range calls {
				switch c {
				case accepted:
					r.Accepted++
				case intended:
					r.Uncertain++
				}
			}
		}
	}
	if d.last.closeErr != "<nil>" {
		r.violation("the last process did not close in peace: %s", d.last.closeErr)
	}
	if d.left > 0 {
		r.violation("a process found %d events after everything was delivered", d.left)
	}
	return r
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d kills of %d processes in %.0f s, %d outages, %d slots, seed %d\n", r.Kills, r.Processes, r.Seconds, r.Outages, r.Slots, r.Seed)
	fmt.Fprintf(w, "accepted %d, and %d calls were cut off\n", r.Accepted, r.Uncertain)
	total := account{}
	for p := range places {
		a := r.Destinations[p.String()]
		fmt.Fprintf(w, "%-6v  delivered %d, duplicates %d = %d without an answer + %d in flight + %d not noted yet + %d ranges forgotten + %d unexplained\n",
			p, a.Delivered, a.duplicates(), a.Unanswered, a.InFlight, a.Unnoted, a.Forgotten, a.Unexplained)
		total.Lost += a.Lost
		total.Invented += a.Invented
		total.Disordered += a.Disordered
		total.Unconfirmed += a.Unconfirmed
		total.Unexplained += a.Unexplained
	}
	fmt.Fprintf(w, "New took %.0f ms in the median and %.0f ms at most; what a killed process had left was delivered by a living one after %.0f s\n", r.OpenMS, r.SlowestOpenMS, r.OrphanSeconds)
	fmt.Fprintf(w, "the queue in memory lost %d\n", r.ControlLost)
	for _, v := range r.Violations {
		fmt.Fprintln(w, "violation:", v)
	}
	fmt.Fprintf(w, "lost = %d, invented = %d, disordered = %d, unexplained duplicates = %d, given up unconfirmed = %d, left = %d\n",
		total.Lost, total.Invented, total.Disordered, total.Unexplained, total.Unconfirmed, r.Left)
}
