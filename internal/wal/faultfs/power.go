package faultfs

import (
	"math/rand/v2"
	"slices"
)

// PowerLoss returns the file system as it may be after the power was lost: what is on
// the disk, and of what is pending a part chosen at random. The old one is dead.
func (f *FS) PowerLoss() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.loseLater()
	f.dead = true
	return l.strike(newLuck(l.rng))
}

// Kill returns the file system as the next process sees it when this one has died: the
// same cache, with everything pending that was, and all locks free. The old one is
// dead.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.clone()
	f.dead = true
	return c
}

// EachPowerLoss calls visit with the file system as it would be if the power were lost
// now, once for each combination of what can be kept and lost, if there are at most
// limit of them, and otherwise limit times at random; it returns whether they were all.
// Of the sizes between two that a file had only those count that it had or that are the
// end of a page, and of the garbage that the new sectors of a file may hold only whether
// there is any. The file system itself goes on unharmed.
func (f *FS) EachPowerLoss(limit int, visit func(*FS)) (all bool) {
	f.mu.Lock()
	l := f.loseLater()
	f.mu.Unlock()
	if l.outcomes(limit) > limit {
		for range limit {
			visit(l.strike(newLuck(l.rng)))
		}
		return false
	}
	for e, more := new(everything), true; more; more = e.next() {
		visit(l.strike(e))
	}
	return true
}

// clone copies both images, without anything that belongs to a process.
func (f *FS) clone() *FS {
	c := newFS(split(f.rng))
	c.inherit(f)
	nodes := map[*node]*node{f.root: c.root}
	copied := func(n *node) *node {
		if n != nil && nodes[n] == nil {
			nodes[n] = n.clone()
		}
		return nodes[n]
	}
	for n, p := range f.cache.of {
		c.cache.put(p.clone(copied), copied(n))
		c.used += n.blocks
	}
	for n, p := range f.disk.of {
		c.disk.put(p.clone(copied), copied(n))
	}
	for _, change := range f.changes {
		c.changes = append(c.changes, change.clone(copied))
	}
	return c
}

func (p place) clone(copied func(*node) *node) place {
	return place{copied(p.dir), p.name}
}

func (c *change) clone(copied func(*node) *node) *change {
	cc := &change{node: copied(c.node), replaced: copied(c.replaced)}
	cc.from, cc.to = c.from.clone(copied), c.to.clone(copied)
	for _, dir := range c.unsynced {
		cc.unsynced = append(cc.unsynced, copied(dir))
	}
	return cc
}

// chooser decides what becomes of what is pending.
type chooser interface {
	// pick chooses one of n. Of these 0 stands for the disk and 1 for the cache, if
	// there is a difference.
	pick(n int) int
	// within chooses any number of a range, or does not care to.
	within(low, high int64) (int64, bool)
	// each chooses whether something holds for one more of many.
	each() bool
}

// luck chooses at random.
type luck struct {
	rng  *rand.Rand
	lean int
}

// newLuck returns one that, half of the time, leans to one side: much lost or much kept.
func newLuck(rng *rand.Rand) *luck { return &luck{rng, rng.IntN(4)} }

func (l *luck) pick(n int) int {
	if l.lean < min(n, 2) && l.rng.IntN(8) > 0 {
		return l.lean
	}
	return l.rng.IntN(n)
}

func (l *luck) within(low, high int64) (int64, bool) {
	return low + l.rng.Int64N(high-low+1), l.rng.IntN(4) == 0
}

func (l *luck) each() bool { return l.rng.IntN(2) == 0 }

// everything makes all choices one after the other, as an odometer does. A choice may
// depend on those before it.
type everything struct {
	choices, limits []int
	made            int
}

func (e *everything) pick(n int) int {
	if e.made == len(e.choices) {
		e.choices = append(e.choices, 0)
		e.limits = append(e.limits, n)
	}
	e.made++
	return e.choices[e.made-1]
}

func (e *everything) within(int64, int64) (int64, bool) { return 0, false }

func (e *everything) each() bool { return true }

// next goes to the next combination, if there is one.
func (e *everything) next() bool {
	e.made = 0
	for last := len(e.choices) - 1; last >= 0; last-- {
		if e.choices[last]++; e.choices[last] < e.limits[last] {
			return true
		}
		e.choices, e.limits = e.choices[:last], e.limits[:last]
	}
	return false
}

// loss is a power loss with everything but what it does.
type loss struct {
	fs      *FS
	rng     *rand.Rand
	boot    string
	pending map[*node][]sector
}

func (f *FS) loseLater() *loss {
	l := &loss{fs: f.clone(), rng: split(f.rng), boot: f.boot, pending: map[*node][]sector{}}
	if l.boot != "" {
		l.boot = newBoot(l.rng)
	}
	return l
}

func (l *loss) pendingOf(n *node) []sector {
	if _, ok := l.pending[n]; !ok {
		l.pending[n] = n.pending()
	}
	return l.pending[n]
}

// outcomes counts the combinations, up to one more than the limit.
func (l *loss) outcomes(limit int) int {
	count := 0
	for e, more := new(everything), true; more && count <= limit; more = e.next() {
		l.choose(e, func(string, *node, *outcome) {})
		count++
	}
	return count
}

// outcome is what became of a file.
type outcome struct {
	size    int64
	sectors map[int64][]byte // that differ from the disk
	garbage []int64
}

// choose decides everything and calls visit with each directory and file that is left.
func (l *loss) choose(c chooser, visit func(name string, n *node, o *outcome)) {
	names := l.chooseNames(c)
	names.walk(l.fs.root, "/", func(name string, _ place, n *node) {
		if n.dir {
			visit(name, n, nil)
		} else {
			visit(name, n, l.chooseContent(n, c))
		}
	})
}

func (l *loss) chooseNames(c chooser) namespace {
	kept := make([]bool, len(l.fs.changes))
	for k := len(kept) - 1; k >= 0; k-- {
		kept[k] = kept[k] || c.pick(2) == 1
		if kept[k] {
			l.fs.keepNeeded(k, kept)
		}
	}
	names := newNamespace()
	for n, p := range l.fs.disk.of {
		names.put(p, n)
	}
	for k, change := range l.fs.changes {
		if kept[k] {
			change.apply(names)
		}
	}
	return names
}

func (l *loss) chooseContent(n *node, c chooser) *outcome {
	o := &outcome{size: n.chooseSize(c), sectors: map[int64][]byte{}}
	for _, s := range l.pendingOf(n) {
		if s.index >= sectors(o.size) || len(s.options) < 2 {
			continue
		}
		if i := c.pick(len(s.options)); i > 0 {
			o.sectors[s.index] = s.options[i]
		}
	}
	if l.fs.garbage {
		o.chooseGarbage(n, c)
	}
	return o
}

// chooseGarbage decides which of the sectors that never were on the disk are not zero.
func (o *outcome) chooseGarbage(n *node, c chooser) {
	var never []int64
	for i := range sectors(o.size) {
		if _, kept := o.sectors[i]; !kept && !n.isKnown(i) {
			never = append(never, i)
		}
	}
	if len(never) == 0 || c.pick(2) == 0 {
		return
	}
	o.garbage = slices.DeleteFunc(never, func(int64) bool { return !c.each() })
}

// chooseSize decides between all sizes that a file had since it was synced, and those in
// between where it grew.
func (n *node) chooseSize(c chooser) int64 {
	options := []int64{n.diskSize}
	for _, size := range append([]int64{n.size}, n.sizes...) {
		if !slices.Contains(options, size) {
			options = append(options, size)
		}
	}
	if len(options) == 1 {
		return n.diskSize
	}
	low, high := n.growth()
	for size := (low/pageSize + 1) * pageSize; size < high; size += pageSize {
		if !slices.Contains(options, size) {
			options = append(options, size)
		}
	}
	if size, ok := c.within(low, max(low, high)); ok && low < high {
		return size
	}
	return options[c.pick(len(options))]
}

// growth is the range of sizes that the file went through growing, if it did.
func (n *node) growth() (low, high int64) {
	last := n.diskSize
	for _, size := range n.sizes {
		if size > last && low < high {
			low, high = min(low, last), max(high, size)
		} else if size > last {
			low, high = last, size
		}
		last = size
	}
	return low, high
}

// strike builds the file system that is left.
func (l *loss) strike(c chooser) *FS {
	f := newFS(split(l.rng))
	f.inherit(l.fs)
	f.boot = l.boot
	l.choose(c, func(name string, n *node, o *outcome) {
		left := newNode(n.dir)
		if o != nil {
			left = l.build(n, o)
		}
		to, err := f.findPlace(name)
		if err != nil {
			panic(err) // directories come before what is in them
		}
		f.cache.put(to, left)
		f.disk.put(to, left)
		f.take(left, left.size)
	})
	return f
}

// build makes a file that is, as it is, on the disk.
func (l *loss) build(n *node, o *outcome) *node {
	left := newNode(false)
	left.disk = n.disk.clone()
	for i, b := range o.sectors {
		left.disk.write(b, i*sectorSize)
	}
	for _, i := range o.garbage {
		left.disk.write(l.noise(), i*sectorSize)
	}
	left.disk.cut(o.size)
	left.cache = left.disk.clone()
	left.size, left.diskSize = o.size, o.size
	left.known = slices.Repeat([]bool{true}, int(sectors(o.size)))
	return left
}

func (l *loss) noise() []byte {
	b := make([]byte, sectorSize)
	for i := range b {
		b[i] = byte(l.rng.Uint32())
	}
	return b
}
