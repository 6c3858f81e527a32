// Package retry times what is tried again: a backoff that grows and a breaker that
// keeps a broken counterpart from being asked by everybody at once. Both take the
// time as an argument or return a duration; nothing in here waits.
package retry

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The growth of the pauses: half a second, doubled each time up to a minute, each
// spread by half of it to both sides.
const (
	Initial = 500 * time.Millisecond
	Longest = time.Minute
	factor  = 2
	spread  = 0.5
)

// Backoff gives one pause after another. The zero value is ready to use, by one
// goroutine at a time.
type Backoff struct {
	b     *backoff.ExponentialBackOff
	steps int
}

// mostSteps is after how many pauses they grow no more.
const mostSteps = 7

// Next returns the pause before the next try.
func (b *Backoff) Next() time.Duration {
	if b.b == nil {
		b.b = backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(Initial),
			backoff.WithMaxInterval(Longest),
			backoff.WithMultiplier(factor),
			backoff.WithRandomizationFactor(spread),
			backoff.WithMaxElapsedTime(0),
		)
	}
	b.steps = min(b.steps+1, mostSteps)
	return min(b.b.NextBackOff(), Longest)
}

// Steps is how often the pause has grown.
func (b *Backoff) Steps() int { return b.steps }

// Resume goes on where another Backoff was after so many steps.
func (b *Backoff) Resume(steps int) {
	b.Reset()
	for range min(steps, mostSteps) {
		b.Next()
	}
}

// Reset starts over with the shortest pause.
func (b *Backoff) Reset() {
	b.steps = 0
	if b.b != nil {
		b.b.Reset()
	}
}

// threshold is how many failures in a row open a Breaker.
const threshold = 5

// Breaker opens after five failures in a row; from then on one probe at a time may
// pass, with pauses that grow, until one succeeds. The zero value is closed.
type Breaker struct {
	failures int
	until    time.Time
	backoff  Backoff
}

// State is what a Breaker knows. The zero value is that of one which has seen no
// failure.
type State struct {
	Failures int       // in a row; those beyond what opens the breaker do not count
	Steps    int       // of the pauses between probes
	Until    time.Time // of the next probe, zero while the breaker is closed
}

// State returns what another Breaker needs to go on.
func (b *Breaker) State() State {
	return State{Failures: min(b.failures, threshold), Steps: b.backoff.Steps(), Until: b.Until()}
}

// Resume goes on where another Breaker was. No probe waits longer than it would after a
// failure at the time now.
func (b *Breaker) Resume(s State, now time.Time) {
	*b = Breaker{failures: min(max(s.Failures, 0), threshold)}
	if !b.Open() {
		return
	}
	b.backoff.Resume(s.Steps)
	b.until = s.Until
	if latest := now.Add(Longest); b.until.After(latest) {
		b.until = latest
	}
}

// Open tells whether only probes may pass.
func (b *Breaker) Open() bool { return b.failures >= threshold }

// Until is when the next probe may pass; zero while the breaker is closed.
func (b *Breaker) Until() time.Time {
	if !b.Open() {
		return time.Time{}
	}
	return b.until
}

// Fail counts a failure at the time now.
func (b *Breaker) Fail(now time.Time) {
	b.failures++
	if b.Open() {
		b.until = now.Add(b.backoff.Next())
	}
}

// Succeed closes the breaker and tells whether it was open.
func (b *Breaker) Succeed() (wasOpen bool) {
	wasOpen = b.Open()
	*b = Breaker{}
	return wasOpen
}
