package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// object is a JSON object.
type object = map[string]any

// message is one line of a file. The id and the times of sending are not there: the
// library gives them.
type message struct {
	Type         string `json:"type"`
	Timestamp    moment `json:"timestamp"`
	UserID       string `json:"userId,omitempty"`
	AnonymousID  string `json:"anonymousId,omitempty"`
	PreviousID   string `json:"previousId,omitempty"`
	GroupID      string `json:"groupId,omitempty"`
	Event        string `json:"event,omitempty"`
	Name         string `json:"name,omitempty"`
	Category     string `json:"category,omitempty"`
	Properties   object `json:"properties,omitzero"` // nil is absent, {} is not
	Traits       object `json:"traits,omitzero"`
	Context      object `json:"context,omitzero"`
	Integrations object `json:"integrations,omitzero"`
}

// moment is a time of the day, in milliseconds since midnight. Negative ones are
// before the day.
type moment int64

const (
	second    moment = 1000
	minute           = 60 * second
	hour             = 60 * minute
	dayLength        = 24 * hour
)

var midnight = time.Date(2026, time.November, 20, 0, 0, 0, 0, time.UTC)

func (t moment) String() string {
	return midnight.Add(time.Duration(t) * time.Millisecond).Format("2006-01-02T15:04:05.000Z")
}

func (t moment) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// sessionsByHour is the daily curve: relative numbers of sessions that begin in each
// hour, with a quiet night, a peak at lunch and a higher one in the evening.
var sessionsByHour = []int{
	8, 6, 5, 4, 4, 6, 11, 18, 25, 30, 36, 48,
	58, 50, 34, 30, 34, 44, 60, 76, 80, 62, 36, 18,
}

// arrivals returns n times along the daily curve, in order. Each lies somewhere in its
// own nth part of the area under the curve, so that few sessions show the curve too.
func arrivals(r *rand.Rand, n int) []moment {
	times := make([]moment, n)
	area := moment(sum(sessionsByHour)) * hour
	for i := range times {
		times[i] = onCurve(within(r, area*moment(i)/moment(n), area*moment(i+1)/moment(n)))
	}
	return times
}

// onCurve returns the time at which the area under the curve so far is the given one.
// It counts in integers: floating point differs between processors.
func onCurve(area moment) moment {
	for h, n := range sessionsByHour {
		if part := moment(n) * hour; area >= part {
			area -= part
			continue
		}
		return moment(h)*hour + area/moment(n)
	}
	panic("unreachable: the area is a part of the whole")
}

func sum(list []int) int {
	total := 0
	for _, n := range list {
		total += n
	}
	return total
}

// within returns a time from low to just before high.
func within(r *rand.Rand, low, high moment) moment {
	return low + moment(r.Int64N(int64(high-low)))
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// some picks n different ones, or all there are.
func some[T any](r *rand.Rand, list []T, n int) []T {
	list = slices.Clone(list)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(n, len(list))]
}

// chance is true in percent of all cases.
func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// weighted returns an index, each as often as its weight says.
func weighted(r *rand.Rand, weights []int) int {
	n := r.IntN(sum(weights))
	for i, w := range weights {
		if n < w {
			return i
		}
		n -= w
	}
	panic("unreachable: n is less than the sum")
}
