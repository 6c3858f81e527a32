package analytics

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// testLogModel drives a log and a model of it through n random schedules. After each
// step, for each cursor,
//
//	accepted = finished + evicted + unread + in its window
func testLogModel(t *testing.T, n int, newLog func(t testing.TB, opts logOptions) eventLog) {
	if testing.Short() {
		n /= 10
	}
	var total modelStats
	for seed := range n {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		o := logOptions{
			unit: 150 + rng.IntN(600), units: 2 + rng.IntN(8), dropOldest: rng.IntN(3) == 0, kept: true, hooks: &logHooks{},
		}
		m := &logModel{t: t, rng: rng, seed: seed, o: o, log: newLog(t, o), cursors: map[string]*cursorModel{}, stats: &total}
		m.run(60 + rng.IntN(120))
	}
	t.Logf("%d schedules: %+v", n, total)
	require.Positive(t, total.refused)
	require.Positive(t, total.lagged)
	require.Positive(t, total.overflow)
	require.Positive(t, total.gone)
	require.Positive(t, total.reopened)
}

type modelStats struct{ steps, accepted, refused, lagged, overflow, gone, seeks, reopened int }

// logModel says what a log has to do, in the plainest words.
type logModel struct {
	t       *testing.T
	rng     *rand.Rand
	seed    int
	o       logOptions
	log     eventLog
	bodies  [][]byte
	units   []modelUnit
	cursors map[string]*cursorModel
	names   []string
	trace   []string
	stats   *modelStats
}

// modelUnit is a piece of the log: a range of records and its bytes.
type modelUnit struct {
	from, to uint64
	bytes    int
	full     bool // it takes no more
}

// cursorModel knows what became of each event.
type cursorModel struct {
	c       logCursor
	fresh   bool // nothing was read: seek is allowed
	fate    []fate
	at      uint64 // next to read
	evicted [reasonCount]uint64
	window  []record
}

type fate uint8

const (
	fateUnread fate = iota
	fateWindow
	fateFinished
	fateEvicted
)

func (c *cursorModel) done() uint64 {
	for i, f := range c.fate {
		if f == fateUnread || f == fateWindow {
			return uint64(i)
		}
	}
	return uint64(len(c.fate))
}

func (c *cursorModel) count(want fate) (n uint64) {
	for _, f := range c.fate {
		if f == want {
			n++
		}
	}
	return n
}

// ahead moves at past what is finished.
func (c *cursorModel) ahead() {
	for c.at < uint64(len(c.fate)) && c.fate[c.at] != fateUnread {
		c.at++
	}
}

func (m *logModel) run(steps int) {
	m.open("a")
	for range steps {
		m.stats.steps++
		switch k := m.rng.IntN(100); {
		case k < 45:
			for range 1 + m.rng.IntN(6) {
				m.append()
			}
		case k < 65:
			m.read()
		case k < 85:
			m.finish()
		case k < 90:
			m.seek()
		case k < 93:
			if len(m.names) < 4 {
				m.open(string(rune('a' + len(m.names))))
			}
		case k < 95:
			m.reopen()
		default:
			m.check()
		}
		m.check()
	}
	m.drain()
}

func (m *logModel) note(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

func (m *logModel) String() string { return fmt.Sprintf("seed %d, %+v: %v", m.seed, m.o, m.trace) }

func (m *logModel) end() uint64 { return uint64(len(m.bodies)) }

// fits tells whether the log has to take a body of n bytes, after it made room.
func (m *logModel) fits(n int) bool {
	cost := m.o.hooks.cost(n)
	if k := len(m.units); k > 0 && !m.units[k-1].full && m.units[k-1].bytes+cost <= m.o.unit {
		return true
	}
	for len(m.units) >= m.o.units {
		if !m.makeRoom(ReasonLagged) && (!m.o.dropOldest || !m.makeRoom(ReasonOverflow)) {
			return false
		}
	}
	m.units = append(m.units, modelUnit{from: m.end(), to: m.end()})
	return true
}

// makeRoom gives up the oldest unit but the last of which nothing is in a window.
// Lagged asks that the cursor furthest ahead has read it.
func (m *logModel) makeRoom(why Reason) bool {
	lead := uint64(0)
	for _, c := range m.cursors {
		lead = max(lead, c.at)
	}
	for i, u := range m.units[:len(m.units)-1] {
		held := false
		for _, c := range m.cursors {
			held = held || slices.Contains(c.fate[u.from:u.to], fateWindow)
		}
		if held || why == ReasonLagged && lead < u.to {
			continue
		}
		for _, c := range m.cursors {
			for s := u.from; s < u.to; s++ {
				if c.fate[s] == fateUnread {
					c.fate[s] = fateEvicted
					c.evicted[why]++
				}
			}
			c.ahead()
		}
		m.units = slices.Delete(m.units, i, i+1)
		return true
	}
	return false
}

func (m *logModel) append() {
	body := make([]byte, m.rng.IntN(90))
	for i := range body {
		body[i] = byte(m.end()) + byte(i)
	}
	want := m.fits(len(body))
	err := m.log.append(int64(m.end()), recordFlags(m.end()), body)
	m.note("append %d: %v", len(body), err)
	if !want {
		m.stats.refused++
		require.Equal(m.t, ErrQueueFull, err, m)
		return
	}
	m.stats.accepted++
	require.NoError(m.t, err, m)
	m.bodies = append(m.bodies, body)
	u := &m.units[len(m.units)-1]
	u.to++
	u.bytes += m.o.hooks.cost(len(body))
	for _, c := range m.cursors {
		c.fate = append(c.fate, fateUnread)
		c.ahead()
	}
}

func (m *logModel) any() (string, *cursorModel) {
	name := m.names[m.rng.IntN(len(m.names))]
	return name, m.cursors[name]
}

func (m *logModel) read() {
	name, c := m.any()
	n, limit := 1+m.rng.IntN(8), 1+m.rng.IntN(300)
	m.readSome(name, c, n, limit)
}

func (m *logModel) readSome(name string, c *cursorModel, n, limit int) int {
	recs := c.c.read(nil, n, limit)
	m.note("%s read %d %d: %v", name, n, limit, seqs(recs))
	got := len(recs)
	c.fresh = false
	for ; n > 0 && limit > 0 && c.at < m.end(); c.ahead() {
		require.NotEmpty(m.t, recs, m)
		require.Equal(m.t, record{c.at, int64(c.at), recordFlags(c.at), recs[0].body}, recs[0], m)
		require.Equal(m.t, string(m.bodies[c.at]), string(recs[0].body), m)
		c.fate[c.at] = fateWindow
		c.window = append(c.window, recs[0])
		n--
		limit -= len(recs[0].body)
		recs = recs[1:]
	}
	require.Empty(m.t, recs, m)
	return got
}

func (m *logModel) finish() {
	name, c := m.any()
	var spans []span
	if m.rng.IntN(2) == 0 {
		c.window = slices.DeleteFunc(c.window, func(r record) bool {
			if m.rng.IntN(2) == 0 {
				return false
			}
			spans = append(spans, span{r.seq, r.seq + 1})
			return true
		})
	} else {
		n := m.rng.IntN(len(c.window) + 1)
		for _, r := range c.window[:n] {
			if k := len(spans); k > 0 && spans[k-1].to == r.seq {
				spans[k-1].to++
			} else {
				spans = append(spans, span{r.seq, r.seq + 1})
			}
		}
		c.window = c.window[n:]
	}
	for _, s := range spans {
		for seq := s.from; seq < s.to; seq++ {
			c.fate[seq] = fateFinished
		}
	}
	m.note("%s finish %v", name, spans)
	c.c.finish(spans)
	m.trim()
}

// trim gives back the units in front that all have finished.
func (m *logModel) trim() {
	done := m.end()
	for _, c := range m.cursors {
		done = min(done, c.done())
	}
	for len(m.units) > 1 && m.units[0].to <= done {
		m.units = m.units[1:]
	}
}

func (m *logModel) open(name string) {
	c := &cursorModel{c: m.log.cursor(name, nil, make(chan struct{}, 1)), at: m.end(), fresh: true}
	for range m.end() {
		c.fate = append(c.fate, fateFinished)
	}
	m.cursors[name] = c
	m.names = append(m.names, name)
	m.note("%s open", name)
}

// ranges is how many ranges a cursor has finished ahead of its place.
func (c *cursorModel) ranges() (n int) {
	over := true
	for _, f := range c.fate[c.done():] {
		before := over
		if over = f == fateFinished || f == fateEvicted; over && !before {
			n++
		}
	}
	return n
}

// renew is for a log that does not go on in its last unit.
func (m *logModel) renew() {
	if k := len(m.units); k > 0 && m.units[k-1].from == m.units[k-1].to {
		m.units = m.units[:k-1]
	}
	if !slices.ContainsFunc(m.names, func(name string) bool { return m.cursors[name].done() < m.end() }) {
		m.units = nil
	}
	if k := len(m.units); k > 0 {
		m.units[k-1].full = true
	}
}

func (m *logModel) reopen() {
	if most := m.o.hooks.ranges; most > 0 && slices.ContainsFunc(m.names, func(name string) bool { return m.cursors[name].ranges() > most }) {
		return
	}
	m.log.close()
	require.Equal(m.t, ErrClosed, m.log.append(0, 0, nil))
	m.log = m.o.hooks.reopen()
	if m.o.hooks.fresh {
		m.renew()
	}
	for _, name := range m.names {
		c := m.cursors[name]
		c.c = m.log.cursor(name, nil, make(chan struct{}, 1))
		c.window, c.fresh, c.evicted = nil, true, [reasonCount]uint64{}
		for i, f := range c.fate {
			switch f {
			case fateWindow:
				c.fate[i] = fateUnread
			case fateEvicted:
				c.fate[i] = fateFinished // of another process
			}
		}
		c.at = 0
		c.ahead()
	}
	m.stats.reopened++
	m.note("reopen")
}

// has tells whether the log still has a record.
func (m *logModel) has(seq uint64) bool {
	return slices.ContainsFunc(m.units, func(u modelUnit) bool { return u.from <= seq && seq < u.to })
}

// seek goes somewhere where there is no doubt what it means: back over events that
// are gone in front only, or forward where nothing is finished beyond. The tests by
// name have the rest.
func (m *logModel) seek() {
	name, c := m.any()
	if !c.fresh {
		return
	}
	next := uint64(m.rng.IntN(len(m.bodies) + 2))
	first := m.end()
	if len(m.units) > 0 {
		first = m.units[0].from
	}
	for s := max(first, next); s < m.end(); s++ {
		if !m.has(s) || c.fate[s] == fateEvicted || next >= c.done() && c.fate[s] == fateFinished {
			return
		}
	}
	for s := next; s < min(first, m.end()); s++ {
		if c.fate[s] == fateEvicted {
			return // was counted already
		}
	}
	gone, ok := c.c.seek(next)
	m.note("%s seek %d: %d %v", name, next, gone, ok)
	require.Equal(m.t, next <= m.end(), ok, m)
	if !ok {
		return
	}
	missing := uint64(0)
	for s := range c.fate {
		switch seq := uint64(s); {
		case seq < next:
			if c.fate[s] == fateUnread {
				c.fate[s] = fateFinished
			}
		case m.has(seq):
			c.fate[s] = fateUnread
		default:
			missing++
		}
	}
	require.Equal(m.t, missing, gone, m)
	c.at = next
	c.ahead()
	m.trim()
	m.stats.seeks++
	m.stats.gone += int(gone)
}

func (m *logModel) check() {
	used, limit := m.log.usage()
	require.LessOrEqual(m.t, used, limit, m)
	require.Equal(m.t, m.end(), m.log.end(), m)
	size, over := 0, true
	for _, u := range m.units {
		size += u.bytes
	}
	for _, name := range m.names {
		over = over && m.cursors[name].c.state().done == m.end()
	}
	if over { // nothing is in use
		size = 0
	}
	require.Equal(m.t, int64(size), used, m)
	for _, name := range m.names {
		c := m.cursors[name]
		s := c.c.state()
		evicted := uint64(0)
		for _, n := range s.evicted {
			evicted += n
		}
		require.Equal(m.t, m.end(), c.count(fateFinished)+evicted+s.unread+uint64(len(c.window)), "%s: %s", name, m)
		require.Equal(m.t, c.evicted, s.evicted, "%s: %s", name, m)
		require.Equal(m.t, c.count(fateUnread), s.unread, "%s: %s", name, m)
		require.Equal(m.t, c.done(), s.done, "%s: %s", name, m)
		require.Equal(m.t, m.end(), s.end, "%s: %s", name, m)
		for _, r := range c.window {
			if !bytes.Equal(m.bodies[r.seq], r.body) {
				require.Equal(m.t, m.bodies[r.seq], r.body, "%s: %s", name, m)
			}
		}
	}
}

// drain reads and finishes the rest; then nothing may be left.
func (m *logModel) drain() {
	m.log.close()
	for _, name := range m.names {
		c := m.cursors[name]
		for m.readSome(name, c, 100, 1<<20) > 0 {
			m.check()
		}
		for _, r := range c.window {
			c.c.finish([]span{{r.seq, r.seq + 1}})
			c.fate[r.seq] = fateFinished
		}
		c.window = nil
		m.trim()
		m.check()
		s := c.c.state()
		require.Equal(m.t, m.end(), s.done, m)
		require.Zero(m.t, s.unread, m)
		m.stats.lagged += int(s.evicted[ReasonLagged])
		m.stats.overflow += int(s.evicted[ReasonOverflow])
	}
}
