package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

// The picture, in its own units: three lanes below each other, time from left to right.
const (
	width, laneHeight, laneGap = 960, 130, 34
	left, right, top           = 20, 940, 40
	largest                    = 9 // radius of a request
)

// lane is what one tool received over time.
type lane struct {
	Name, Note          string
	Y, Bottom, Height   int
	Wanted, Held        string // lines of what was tracked for it and of what it had
	Marks               []mark
	OutageX, OutageWide float64 // no width: it was never down
}

// mark is a request.
type mark struct {
	X, R  float64
	OK    bool
	Title string
}

type tick struct {
	X    float64
	Text string
}

// page is what the template gets.
type page struct {
	Width, Height, Left, Right, Top, Foot int
	Lanes                                 []lane
	Ticks                                 []tick
	Accounts                              []account
	Shares                                []share
	Fault                                 error
}

// writePage writes the page to the file, or to a temporary one, and says where it is.
func writePage(out io.Writer, name string, r *result) error {
	tmpl, err := template.New("page").Funcs(template.FuncMap{"count": count}).Parse(pageHTML)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := tmpl.Execute(&text, r.page()); err != nil {
		return err
	}
	if name == "" {
		f, err := os.CreateTemp("", "devicemode-*.html")
		if err != nil {
			return err
		}
		name = f.Name()
		f.Close()
	}
	fmt.Fprintf(out, "\nThe picture: %s\n", name)
	return os.WriteFile(name, text.Bytes(), 0o600)
}

func (r *result) page() page {
	end := r.start
	for _, t := range r.tools.all() {
		for _, c := range t.calls() {
			end = later(end, c.at)
		}
	}
	for _, a := range r.acts {
		end = later(end, a.at)
	}
	span := max(end.Sub(r.start), time.Second)
	x := func(at time.Time) float64 { return left + float64(right-left)*float64(at.Sub(r.start))/float64(span) }

	p := page{Width: width, Left: left, Right: right, Top: top, Accounts: r.accounts(), Shares: r.shares(), Fault: r.check()}
	for n, t := range r.tools.all() {
		p.Lanes = append(p.Lanes, r.lane(t, top+n*(laneHeight+laneGap), x))
	}
	p.Foot = p.Lanes[len(p.Lanes)-1].Bottom
	p.Height = p.Foot + 40
	for s := time.Duration(0); s <= span; s += time.Second {
		p.Ticks = append(p.Ticks, tick{x(r.start.Add(s)), fmt.Sprintf("%.0f s", s.Seconds())})
	}
	return p
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// lane draws one tool: its requests stand at the bottom, the lines grow from there.
func (r *result) lane(t *tool, y int, x func(time.Time) float64) lane {
	total := max(len(wanted(r.acts, t.name)), 1)
	l := lane{Name: t.name, Y: y, Height: laneHeight, Bottom: y + laneHeight}
	level := func(n int) float64 {
		return float64(l.Bottom-2*largest) - float64(laneHeight-3*largest)*float64(n)/float64(total)
	}
	l.Note = fmt.Sprintf("%d of %d", len(t.holds()), total)

	n, line := 0, steps{level: level}
	for _, a := range r.acts {
		n += len(a.want[t.name])
		line.to(x(a.at), n)
	}
	l.Wanted = line.String()

	n, line = 0, steps{level: level}
	line.to(left, 0)
	var failed, back time.Time
	for _, c := range t.calls() {
		n += c.fresh
		line.to(x(c.at), n)
		l.Marks = append(l.Marks, markOf(c, x(c.at)))
		if c.status == http.StatusServiceUnavailable && failed.IsZero() {
			failed, back = c.at, r.back
		}
	}
	line.to(right, n)
	l.Held = line.String()
	if !failed.IsZero() {
		l.OutageX, l.OutageWide = x(failed), x(back)-x(failed)
	}
	return l
}

func markOf(c call, x float64) mark {
	m := mark{X: x, R: min(3+float64(c.fresh+c.old)/12, largest), OK: c.status == http.StatusOK}
	m.Title = fmt.Sprintf("answered %d: %d new", c.status, c.fresh)
	if c.old > 0 {
		m.Title += fmt.Sprintf(", %d it had already", c.old)
	}
	return m
}

// steps is a line that goes from left to right and jumps up, as the points of a polyline.
type steps struct {
	strings.Builder
	level func(n int) float64
	n     int
}

func (s *steps) to(x float64, n int) {
	fmt.Fprintf(s, "%.1f,%.1f %.1f,%.1f ", x, s.level(s.n), x, s.level(n))
	s.n = n
}
