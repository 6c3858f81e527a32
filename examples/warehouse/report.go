package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strconv"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/examples"
)

// result is what is known in the end.
type result struct {
	day           *examples.Recording
	archive       counts
	shop, rebuilt contents
}

// printAnswers shows a table for each question.
func (r *result) printAnswers(out io.Writer) {
	fmt.Fprintf(out, "The %s events of %s are in a warehouse and in an archive.\n",
		grouped(len(r.day.Events)), r.day.Midnight.Format("Monday, 2 January 2006"))

	fmt.Fprintf(out, "\nWhen does money come in?\n%8s %8s %12s\n", "hour UTC", "orders", "revenue EUR")
	for _, h := range r.shop.hours {
		fmt.Fprintf(out, "%8s %8d %12s\n", fmt.Sprintf("%02d:00", h.of), h.orders, money(h.revenue))
	}

	fmt.Fprintf(out, "\nWhere are visitors lost?\n%-18s %9s %14s %13s\n", "step", "visitors", "of step before", "of all")
	f := r.shop.funnel
	for i, n := range f {
		fmt.Fprintf(out, "%-18s %9d %14s %13s\n", steps[i], n, percent(n, f[max(i-1, 0)]), percent(n, f[0]))
	}

	fmt.Fprintf(out, "\nWho buys most?\n%-8s  %-40s %-8s %-14s %6s %12s\n", "user", "email", "loyalty", "plan", "orders", "revenue EUR")
	for _, u := range r.shop.users {
		fmt.Fprintf(out, "%-8.8s  %-40s %-8s %-14s %6d %12s\n", u.id, u.email, u.tier, u.plan, u.orders, money(u.revenue))
	}
	fmt.Fprintln(out)
}

// callOrder is that of the table of counts.
var callOrder = []analytics.Call{
	analytics.CallIdentify, analytics.CallTrack, analytics.CallPage, analytics.CallScreen, analytics.CallGroup, analytics.CallAlias,
}

// printCounts shows how many events are where.
func (r *result) printCounts(out io.Writer) {
	fmt.Fprintf(out, "%-10s %10s %10s %10s %10s\n", "call", "recorded", "archive", "shop.db", "rebuilt.db")
	recorded := r.recorded()
	for _, call := range callOrder {
		fmt.Fprintf(out, "%-10s %10s %10s %10s %10s\n", call, grouped(recorded[call]),
			grouped(r.archive[call]), grouped(r.shop.counts[call]), grouped(r.rebuilt.counts[call]))
	}
}

func (r *result) recorded() counts {
	all := make(counts)
	for _, e := range r.day.Events {
		all[e.Type]++
	}
	return all
}

// check compares what is where.
func (r *result) check() error {
	var errs []error
	recorded := r.recorded()
	for _, place := range []struct {
		name string
		has  counts
	}{{"the archive", r.archive}, {"shop.db", r.shop.counts}, {"rebuilt.db", r.rebuilt.counts}} {
		if !maps.Equal(place.has, recorded) {
			errs = append(errs, fmt.Errorf("%s has %v, recorded were %v", place.name, place.has, recorded))
		}
	}
	if !reflect.DeepEqual(r.shop.answers, r.rebuilt.answers) {
		errs = append(errs, errors.New("shop.db and rebuilt.db give different answers"))
	}
	return errors.Join(errs...)
}

func percent(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

// money writes 14495.3 as 14,495.30.
func money(eur float64) string {
	s := fmt.Sprintf("%.2f", eur)
	whole, _ := strconv.Atoi(s[:len(s)-3])
	return grouped(whole) + s[len(s)-3:]
}

// grouped writes 2879 as 2,879.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
