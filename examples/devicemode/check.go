package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
)

// result is what is known when the run is over.
type result struct {
	tools *tools
	start time.Time
	acts  []act // in the order in which they were tracked
	stats analytics.Stats

	back    time.Time      // PostHog came back
	morning int            // acts until then
	held    map[string]int // records of each tool at that moment
}

// wanted are the records that a tool has to have of acts, in order.
func wanted(acts []act, tool string) (list []record) {
	for _, a := range acts {
		list = append(list, a.want[tool]...)
	}
	return list
}

// await waits until the tools that are up have everything so far, but not for ever, and
// notes how far all of them are.
func (r *result) await(most time.Duration) {
	for end := time.Now().Add(most); !r.complete() && time.Now().Before(end); {
		time.Sleep(pace)
	}
	r.back, r.morning, r.held = time.Now(), len(r.acts), map[string]int{}
	for _, t := range r.tools.all() {
		r.held[t.name] = len(t.holds())
	}
}

func (r *result) complete() bool {
	return !slices.ContainsFunc(r.tools.alive(), func(t *tool) bool { return len(t.holds()) < len(wanted(r.acts, t.name)) })
}

// check tells which promises did not hold.
func (r *result) check() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, t := range r.tools.all() {
		have, want := byPerson(t.holds()), byPerson(wanted(r.acts, t.name))
		for _, person := range slices.Sorted(maps.Keys(want)) {
			if !slices.Equal(have[person], want[person]) {
				fault("%s has of %s %v, want %v", t.name, person, have[person], want[person])
			}
		}
		if len(have) != len(want) {
			fault("%s knows %d people of %d", t.name, len(have), len(want))
		}
		for _, c := range t.complains() {
			fault("%s", c)
		}
		d := r.stats.Destinations[t.name]
		if d.Accepted != uint64(len(r.acts)) || d.Accepted != d.Delivered+analytics.Sum(d.Filtered) {
			fault("the account of %s does not balance: %+v", t.name, d)
		}
	}
	for _, t := range r.tools.alive() {
		if want := len(wanted(r.acts[:r.morning], t.name)); r.held[t.name] != want {
			fault("%s was held up: it had %d of %d when PostHog came back", t.name, r.held[t.name], want)
		}
		if n := r.stats.Destinations[t.name].Retries; n > 0 {
			fault("%d requests to %s were tried again, though it was up", n, t.name)
		}
		if n := t.twice(); n > 0 {
			fault("%d records came to %s twice, though it was up", n, t.name)
		}
	}
	if r.stats.Destinations[posthogName].Retries == 0 || r.held[posthogName] >= len(wanted(r.acts[:r.morning], posthogName)) {
		fault("PostHog had no trouble, so nothing was shown")
	}
	return errors.Join(errs...)
}

func byPerson(list []record) map[string][]record {
	people := map[string][]record{}
	for _, one := range list {
		people[one.person] = append(people[one.person], one)
	}
	return people
}
