package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// progress prints the head of a table and returns what prints its lines.
func progress(out io.Writer, r *result) (line func(tracked int64)) {
	const row = "%7s %8s %10s %8s %12s   %s\n"
	fmt.Fprintf(out, row, "time", "tracked", amplitudeName, posthogName, customerioName, posthogName+" answers")
	seen := 0
	return func(tracked int64) {
		cells := []any{fmt.Sprintf("%.2f s", time.Since(r.start).Seconds()), strconv.FormatInt(tracked, 10)}
		for _, t := range r.tools.all() {
			cells = append(cells, strconv.Itoa(len(t.holds())))
		}
		calls := r.tools.posthog.calls()
		fmt.Fprintf(out, row, append(cells, answers(calls[seen:]))...)
		seen = len(calls)
	}
}

func answers(calls []call) string {
	var list []string
	for _, c := range calls {
		list = append(list, strconv.Itoa(c.status))
	}
	return cmp.Or(strings.Join(list, " "), "-")
}

// account is the line of a tool in the table at the end.
type account struct {
	Name                              string
	Accepted, Delivered, Retried      uint64
	Filtered, State                   string
	Records, Twice, Refused, Requests int
}

func (r *result) accounts() (list []account) {
	for _, t := range r.tools.all() {
		d := r.stats.Destinations[t.name]
		a := account{Name: t.name, Accepted: d.Accepted, Delivered: d.Delivered, Retried: d.Retries, Filtered: reasons(d.Filtered), Records: len(t.holds()), Twice: t.twice()}
		for _, c := range t.calls() {
			a.Requests++
			if c.status != http.StatusOK {
				a.Refused++
			}
			a.State = fmt.Sprintf("answered %d, %d waiting", c.status, d.Pending)
		}
		list = append(list, a)
	}
	return list
}

// reasons are counts with their sum: 49 (1 integrations, 48 plugin).
func reasons(counts map[analytics.Reason]uint64) string {
	var all []string
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%d %v", counts[why], why))
	}
	if all == nil {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", analytics.Sum(counts), strings.Join(all, ", "))
}

// share tells of one kind of act how often it happened and how often each tool has it.
type share struct {
	What  string
	Acts  int
	Tools []int
}

func (r *result) shares() (list []share) {
	has := make([]map[record]bool, 0, 3)
	for _, t := range r.tools.all() {
		set := map[record]bool{}
		for _, one := range t.holds() {
			set[one] = true
		}
		has = append(has, set)
	}
	for _, a := range r.acts {
		i := slices.IndexFunc(list, func(s share) bool { return s.What == a.what })
		if i < 0 {
			i = len(list)
			list = append(list, share{What: a.what, Tools: make([]int, len(has))})
		}
		list[i].Acts++
		for n, t := range r.tools.all() {
			all := len(a.want[t.name]) > 0
			for _, one := range a.want[t.name] {
				all = all && has[n][one]
			}
			if all {
				list[i].Tools[n]++
			}
		}
	}
	return list
}

// print shows who got what.
func (r *result) print(out io.Writer) {
	const cells = "%-16s %8s %10s %8s %12s\n"
	fmt.Fprintf(out, "\n"+cells, "event", "tracked", amplitudeName, posthogName, customerioName)
	for _, s := range r.shares() {
		row := []any{s.What, strconv.Itoa(s.Acts)}
		for _, n := range s.Tools {
			row = append(row, count(n))
		}
		fmt.Fprintf(out, cells, row...)
	}
	const line = "%-12s %8s %9s  %-30s %7s  %s\n"
	fmt.Fprintf(out, "\n"+line, "tool", "accepted", "delivered", "filtered", "retried", "last state")
	for _, a := range r.accounts() {
		fmt.Fprintf(out, line, a.Name, fmt.Sprint(a.Accepted), fmt.Sprint(a.Delivered), a.Filtered, fmt.Sprint(a.Retried), a.State)
	}
	fmt.Fprintln(out)
	if r.check() == nil {
		fmt.Fprintf(out, "Each tool has every event that was for it once, and in order for each customer. When PostHog came back,\n"+
			"the others had all that was tracked so far. %d events came to it twice: it broke with the answer under way,\nand knows them by their uuid.\n", r.tools.posthog.twice())
	}
}

// count is a number, and a dash for none.
func count(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}
