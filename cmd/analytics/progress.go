package main

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar shows how far something has got: on a terminal as a bar, elsewhere with a line
// every few seconds, or not at all. Its methods may be called from several goroutines.
type bar struct {
	c    *command
	what string
	all  int64

	mu    sync.Mutex
	done  int64
	drawn *progressbar.ProgressBar // nil: not on a terminal
	clean bool                     // nothing of it is on the screen
	lines bool
	unit  func(int64) any // how numbers are written in lines
	told  time.Time       // when the last line was written
}

const (
	barWidth  = 30
	lineEvery = 5 * time.Second
)

// bar is for what takes seconds: elsewhere than on a terminal it is silent.
func (c *command) bar(what string, all int64, inBytes bool) *bar {
	b := &bar{c: c, what: what, all: max(all, 1), clean: true}
	if !c.terminal {
		return b
	}
	b.clean = false
	b.drawn = progressbar.NewOptions64(b.all,
		progressbar.OptionSetWriter(c.stderr), progressbar.OptionSetDescription(what), progressbar.OptionSetWidth(barWidth),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "#", SaucerPadding: ".", BarStart: "[", BarEnd: "]"}),
		progressbar.OptionShowCount(), progressbar.OptionShowTotalBytes(true),
		progressbar.OptionShowBytes(inBytes), progressbar.OptionUseIECUnits(true),
		progressbar.OptionUseANSICodes(true), progressbar.OptionThrottle(65*time.Millisecond), progressbar.OptionSetRenderBlankState(true),
	)
	return b
}

// longBar is for what takes minutes or hours.
func (c *command) longBar(what string, all int64, inBytes bool) *bar {
	b := c.bar(what, all, inBytes)
	b.lines, b.told = !c.terminal, c.now()
	b.unit = func(n int64) any { return n }
	if inBytes {
		b.unit = func(n int64) any { return bytesOf(n) }
	}
	return b
}

func (b *bar) add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to(b.done + n)
}

func (b *bar) set(done int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to(done)
}

func (b *bar) to(done int64) {
	done = min(done, b.all)
	if b.drawn != nil && done != b.done {
		_ = b.drawn.Set64(done) // what cannot be drawn is not missed
		b.clean = false
	}
	b.done = done
	if b.lines && b.c.now().Sub(b.told) >= lineEvery {
		b.told = b.c.now()
		b.c.warn("%s: %v of %v", b.what, b.unit(b.done), b.unit(b.all))
	}
}

// clear takes the bar away, so that something else can be printed.
func (b *bar) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.clean {
		_ = b.drawn.Clear()
		b.clean = true
	}
}
