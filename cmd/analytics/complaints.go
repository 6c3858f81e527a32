package main

import (
	"io"
	"sync"
	"time"

	"github.com/tributary-dev/analytics"
)

// complaints names what goes wrong, up to a number of lines, between two states of the
// bar.
type complaints struct {
	c   *command
	mu  sync.Mutex
	bar *bar
	n   int
}

func (p *complaints) add(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n++; p.n <= mostComplaints {
		p.bar.clear()
		p.c.warn(format, args...)
	}
	if p.n == mostComplaints+1 {
		p.bar.clear()
		p.c.warn("and more")
	}
}

// quiet is a command that does not name again the lines that cannot be read.
func (p *complaints) quiet() *command { return &command{stderr: io.Discard} }

// watched is a configuration of which dead letters are named, and refused is called when
// the destination does not take our credentials.
func (p *complaints) watched(cfg analytics.Config, refused func()) analytics.Config {
	cfg.DeadLetters = func(l analytics.DeadLetter) error {
		p.add("%s: %s: %s", l.MessageID, l.Reason, l.Error)
		return nil
	}
	cfg.OnOutcome = func(o analytics.Outcome) {
		if o.Status == analytics.Paused {
			refused()
		}
	}
	return cfg
}

// watch moves the bar, which begins at before, as events come to their end at a destination,
// until the function that it returns is called.
func (p *complaints) watch(client *analytics.Client, destination string, before int64) (stop func()) {
	end, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			s := client.Stats().Destinations[destination]
			p.mu.Lock()
			p.bar.set(before + int64(s.Delivered+analytics.Sum(s.Filtered)+analytics.Sum(s.Dropped)))
			p.mu.Unlock()
		}
	}()
	return func() {
		close(end)
		<-gone
	}
}
