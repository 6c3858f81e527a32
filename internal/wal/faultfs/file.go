package faultfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"unsafe"

	"github.com/tributary-dev/analytics/internal/wal"
)

const (
	pageSize    = 4096
	sectorSize  = 512
	pageSectors = pageSize / sectorSize

	// maxOlder is how many older versions of a sector and of a size are remembered.
	maxOlder = 4
	maxSizes = 16
)

// page is memory that may be part of a mapping. It is made of words so that it is
// aligned, and is read and written by functions that the race detector does not see.
type page [pageSize / 8]uint64

var zeroPage page

func (p *page) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(p)), pageSize)
}

// loadPage and storeBytes copy byte by byte: the race detector looks at what copy does,
// whatever the function says.
//
//go:norace
func loadPage(to, from *page) {
	for i := range from { //nolint:staticcheck // see above
		to[i] = from[i]
	}
}

//go:norace
func storeBytes(to, from []byte) {
	for i := range from { //nolint:staticcheck // see above
		to[i] = from[i]
	}
}

// image is the content of a file without its size. A page that is nil is zero, as is
// everything behind the last one.
type image struct{ pages []*page }

func (m *image) page(i int) *page {
	if i < len(m.pages) && m.pages[i] != nil {
		return m.pages[i]
	}
	return &zeroPage
}

func (m *image) set(i int, p *page) {
	for len(m.pages) <= i {
		m.pages = append(m.pages, nil)
	}
	m.pages[i] = p
}

func (m *image) read(p []byte, off int64) {
	for len(p) > 0 {
		var buffer page
		loadPage(&buffer, m.page(int(off/pageSize)))
		n := copy(p, buffer.bytes()[off%pageSize:])
		p, off = p[n:], off+int64(n)
	}
}

func (m *image) write(p []byte, off int64) {
	for len(p) > 0 {
		i := int(off / pageSize)
		if m.page(i) == &zeroPage {
			m.set(i, new(page))
		}
		to := m.pages[i].bytes()[off%pageSize:]
		n := min(len(p), len(to))
		storeBytes(to[:n], p[:n])
		p, off = p[n:], off+int64(n)
	}
}

// cut makes everything from size on zero.
func (m *image) cut(size int64) {
	m.pages = m.pages[:min(len(m.pages), int(blocks(size)))]
	if rest := size % pageSize; rest > 0 && len(m.pages) == int(blocks(size)) {
		m.write(make([]byte, pageSize-rest), size)
	}
}

func (m *image) sector(i int64) []byte {
	b := make([]byte, sectorSize)
	m.read(b, i*sectorSize)
	return b
}

func (m *image) clone() image {
	pages := make([]*page, len(m.pages))
	for i, p := range m.pages {
		if p != nil {
			pages[i] = new(page)
			loadPage(pages[i], p)
		}
	}
	return image{pages}
}

func blocks(size int64) int64  { return (size + pageSize - 1) / pageSize }
func sectors(size int64) int64 { return (size + sectorSize - 1) / sectorSize }

// node is a file or a directory, apart from its name.
type node struct {
	dir    bool
	open   int   // handles, mappings and locks
	blocks int64 // of the space that it takes

	size  int64
	cache image
	arena []page // the first pages of cache, while the file is mapped
	maps  int

	diskSize int64
	disk     image
	known    []bool // sectors that are on the disk; it ends with the last settled one

	sizes   []int64            // since the last Sync
	touched map[int64]bool     // sectors that may differ from the disk, without mappings
	older   map[int64][][]byte // what sectors held between the disk and now
	lost    map[int64][]byte   // what a failed Sync did not write and counts as written
}

func newNode(dir bool) *node {
	return &node{
		dir:     dir,
		touched: map[int64]bool{},
		older:   map[int64][][]byte{},
		lost:    map[int64][]byte{},
	}
}

// clone copies a file without its handles.
func (n *node) clone() *node {
	c := newNode(n.dir)
	c.blocks = n.blocks
	c.size, c.cache = n.size, n.cache.clone()
	c.diskSize, c.disk, c.known = n.diskSize, n.disk.clone(), slices.Clone(n.known)
	c.sizes = slices.Clone(n.sizes)
	maps.Copy(c.lost, n.lost)
	for i, versions := range n.older {
		c.older[i] = slices.Clone(versions)
	}
	maps.Copy(c.touched, n.touched)
	for _, i := range n.dirtyPages() {
		c.touchPage(i)
	}
	return c
}

func (n *node) touchPage(i int) {
	for s := range int64(pageSectors) {
		n.touched[int64(i)*pageSectors+s] = true
	}
}

func (n *node) isKnown(sector int64) bool {
	return sector < int64(len(n.known)) && n.known[sector]
}

// current is a sector as programs see it.
func (n *node) current(sector int64) []byte {
	b := n.cache.sector(sector)
	if end := n.size - sector*sectorSize; end < sectorSize {
		clear(b[max(0, end):])
	}
	return b
}

// isDirty tells whether the kernel would write a sector that now holds current.
func (n *node) isDirty(sector int64, current []byte) bool {
	if lost, ok := n.lost[sector]; ok && bytes.Equal(lost, current) {
		return false
	}
	return !n.isKnown(sector) || !bytes.Equal(current, n.disk.sector(sector))
}

func (n *node) isPageDirty(i int) bool {
	var cache page
	loadPage(&cache, n.cache.page(i))
	return cache != *n.disk.page(i)
}

// dirtyPages returns the pages of a mapped file that differ from the disk.
func (n *node) dirtyPages() []int {
	var dirty []int
	for i := 0; n.maps > 0 && i < int(blocks(n.size)); i++ {
		if n.isPageDirty(i) {
			dirty = append(dirty, i)
		}
	}
	return dirty
}

// sector is one that is pending.
type sector struct {
	index   int64
	current []byte
	dirty   bool
	options [][]byte // what it can hold after the loss of power, first what it does on the disk
}

// pending returns all sectors that are, in order.
func (n *node) pending() []sector {
	var pending []sector
	for _, i := range n.candidates() {
		s := sector{index: i, current: n.current(i)}
		s.dirty = n.isDirty(i, s.current)
		s.add(n.disk.sector(i))
		if s.dirty {
			s.add(s.current)
		}
		for _, b := range n.older[i] {
			s.add(b)
		}
		if s.dirty || len(s.options) > 1 {
			pending = append(pending, s)
		}
	}
	return pending
}

func (s *sector) add(option []byte) {
	if !slices.ContainsFunc(s.options, func(b []byte) bool { return bytes.Equal(b, option) }) {
		s.options = append(s.options, option)
	}
}

// candidates returns all sectors that could be pending, in order.
func (n *node) candidates() []int64 {
	all := slices.Collect(maps.Keys(n.touched))
	all = slices.AppendSeq(all, maps.Keys(n.older))
	for _, i := range n.dirtyPages() {
		for s := range int64(pageSectors) {
			all = append(all, int64(i)*pageSectors+s)
		}
	}
	for i := int64(len(n.known)); i < sectors(n.size); i++ {
		all = append(all, i)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(i int64) bool { return i >= sectors(n.size) })
}

// settle writes a sector or decides that it will never be written.
func (n *node) settle(s sector, written bool) {
	for int64(len(n.known)) <= s.index {
		n.known = append(n.known, false)
	}
	if written {
		n.disk.write(s.current, s.index*sectorSize)
		n.known[s.index] = true
		delete(n.lost, s.index)
	} else {
		n.lost[s.index] = s.current
	}
	delete(n.touched, s.index)
	delete(n.older, s.index)
}

func (n *node) settleSize() {
	n.diskSize = n.size
	n.sizes = nil
	n.disk.cut(n.size)
	n.known = n.known[:min(int64(len(n.known)), sectors(n.size))]
}

// sync brings everything to the disk.
func (n *node) sync() {
	for _, s := range n.pending() {
		if s.dirty {
			n.settle(s, true)
		}
	}
	clear(n.touched)
	clear(n.older)
	n.settleSize()
}

// failSync brings some of it to the disk; the other sectors count as written. Zeros that
// nobody wrote are no data, and not lost. The size stays pending, if it is not written.
func (n *node) failSync(rng *rand.Rand) {
	for _, s := range n.pending() {
		if s.dirty {
			blank := !n.touched[s.index] && bytes.Equal(s.current, make([]byte, sectorSize))
			n.settle(s, blank || rng.IntN(2) == 0)
		}
	}
	clear(n.older)
	if rng.IntN(2) == 0 {
		n.settleSize()
	}
}

// isSynced tells whether nothing is pending.
func (n *node) isSynced() bool {
	return n.size == n.diskSize && len(n.sizes) == 0 && len(n.pending()) == 0
}

// remember keeps what a sector holds as something that the kernel may have written.
func (n *node) remember(i int64, rng *rand.Rand) {
	if i >= sectors(n.size) {
		return
	}
	b := n.current(i)
	if !n.isDirty(i, b) {
		return
	}
	if versions := n.older[i]; len(versions) == maxOlder {
		versions[rng.IntN(maxOlder)] = b
	} else {
		n.older[i] = append(versions, b)
	}
}

// write stores bytes in the cache. There must be space for them.
func (n *node) write(p []byte, off int64, rng *rand.Rand) {
	if len(p) == 0 {
		return
	}
	end := off + int64(len(p))
	for i := off / sectorSize; i < sectors(end); i++ {
		n.remember(i, rng)
		n.touched[i] = true
		delete(n.lost, i)
	}
	if end > n.size {
		n.resize(end)
	}
	n.cache.write(p, off)
}

// resize changes the size in the cache.
func (n *node) resize(size int64) {
	if size < n.size {
		n.shrink(size)
	}
	for i := blocks(n.size); i < min(blocks(size), int64(len(n.arena))); i++ {
		storeBytes(n.arena[i].bytes(), zeroPage.bytes())
		n.cache.set(int(i), &n.arena[i])
	}
	n.size = size
	n.sizes = append(n.sizes, size)
	if len(n.sizes) > maxSizes {
		n.sizes = n.sizes[1:]
	}
}

// shrink forgets what is behind the new end. What is there on the disk differs from then
// on from what can come there again.
func (n *node) shrink(size int64) {
	for i := size / sectorSize; i < int64(len(n.known)); i++ {
		n.touched[i] = true
	}
	maps.DeleteFunc(n.lost, func(i int64, _ []byte) bool { return i >= sectors(size) })
	n.cache.cut(size)
}

// pin makes the first pages of the cache contiguous.
func (n *node) pin() {
	n.arena = make([]page, blocks(n.size))
	for i := range n.arena {
		loadPage(&n.arena[i], n.cache.page(i))
		n.cache.set(i, &n.arena[i])
	}
}

// unpin moves the cache away from the memory of the mappings and spoils that. The race
// detector sees it doing so.
func (n *node) unpin() {
	for _, i := range n.dirtyPages() {
		n.touchPage(i)
	}
	n.maps = 0
	n.cache = n.cache.clone()
	for i := range n.arena {
		for word := range n.arena[i] {
			n.arena[i][word] = 0xDBDB_DBDB_DBDB_DBDB
		}
	}
	n.arena = nil
}

// content is a copy of the file as programs see it.
func (n *node) content() []byte {
	b := make([]byte, n.size)
	n.cache.read(b, 0)
	return b
}

// corrupt changes the bytes that differ in both images.
func (n *node) corrupt(before, after []byte) {
	if len(after) != len(before) {
		n.corruptSize(int64(len(after)))
	}
	for i, b := range after {
		if i >= len(before) || before[i] != b {
			n.cache.write([]byte{b}, int64(i))
			if int64(i) < n.diskSize {
				n.disk.write([]byte{b}, int64(i))
			}
		}
	}
}

func (n *node) corruptSize(size int64) {
	wasCut := size < n.size
	wasSynced := n.size == n.diskSize
	n.resize(size)
	if wasCut {
		n.diskSize = min(n.diskSize, size)
	} else {
		n.diskSize = size
	}
	n.disk.cut(n.diskSize)
	n.known = n.known[:min(int64(len(n.known)), sectors(n.diskSize))]
	for !wasCut && int64(len(n.known)) < sectors(size) {
		n.known = append(n.known, true)
	}
	if wasSynced {
		n.sizes = nil
	}
}

// Corrupt changes the bytes of a file behind everybody's back: those that change alters
// are altered both in the cache and on the disk, so far as the file reaches there, and
// where it returns more or fewer, both have that size. Whatever else is pending stays
// so. The function must not use the file system.
func (f *FS) Corrupt(name string, change func([]byte) []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.findFile(name)
	if err != nil {
		return &fs.PathError{Op: "corrupt", Path: name, Err: err}
	}
	before := n.content()
	n.corrupt(before, change(slices.Clone(before)))
	f.take(n, n.size)
	return nil
}

// ReadFile returns what a file holds in the cache. It is no operation, and works after
// PowerLoss and Kill too.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.findFile(name)
	if err != nil {
		return nil, &fs.PathError{Op: "readfile", Path: name, Err: err}
	}
	return n.content(), nil
}

// take changes the space that a file takes to that of a size.
func (f *FS) take(n *node, size int64) {
	f.used += blocks(size) - n.blocks
	n.blocks = blocks(size)
}

// room is the largest size that a file can have.
func (f *FS) room(n *node) int64 {
	return (n.blocks + f.free()/pageSize) * pageSize
}

// Writeback lets the kernel write all dirty pages of mappings now: what they hold is
// from now on something that their sectors may hold after the loss of power, whatever
// is stored later.
func (f *FS) Writeback() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.mapped {
		for _, i := range n.dirtyPages() {
			n.rememberPage(i, f.rng)
		}
	}
}

func (n *node) rememberPage(i int, rng *rand.Rand) {
	for s := range int64(pageSectors) {
		n.remember(int64(i)*pageSectors+s, rng)
	}
}

// writeSomePage lets the kernel write one dirty page, sometimes.
func (f *FS) writeSomePage() {
	if len(f.mapped) == 0 || f.writeback <= 0 || f.rng.IntN(f.writeback) > 0 {
		return
	}
	n := f.mapped[f.rng.IntN(len(f.mapped))]
	if dirty := n.dirtyPages(); len(dirty) > 0 {
		n.rememberPage(dirty[f.rng.IntN(len(dirty))], f.rng)
	}
}

// handle is what an open file, a mapping and a lock have in common.
type handle struct {
	fs     *FS
	node   *node
	name   string
	closed bool
}

// close ends a handle of a process that is alive.
func (h *handle) close(end func()) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := h.fs.refusal(h.fs.ops)
	if err == nil {
		err = h.usable()
	}
	if err != nil {
		return &fs.PathError{Op: "close", Path: h.name, Err: err}
	}
	h.closed = true
	end()
	h.node.open--
	h.fs.release(h.node)
	return nil
}

func (h *handle) usable() error {
	if h.closed {
		return fs.ErrClosed
	}
	return nil
}

type file struct {
	handle
	writable bool
}

// Open opens a file, which it makes where that is asked for and it is missing.
func (f *FS) Open(name string, write, create bool) (file wal.File, err error) {
	op := Op{Kind: f.openKind(name, create), Name: name}
	err = f.do(op, func() error {
		n, err := f.openNode(name, write, create)
		if err == nil {
			file = f.open(n, name, write)
		}
		return err
	})
	return file, err
}

func (f *FS) openKind(name string, create bool) Kind {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(name); err == syscall.ENOENT && create {
		return Create
	}
	return Open
}

func (f *FS) openNode(name string, write, create bool) (*node, error) {
	switch {
	case write && f.readOnly:
		return nil, f.missingOr(name, create, syscall.EROFS)
	case create:
		return f.findOrCreate(name)
	}
	return f.findFile(name)
}

// missingOr is err, unless the file is missing and is not to be made.
func (f *FS) missingOr(name string, create bool, err error) error {
	if _, missing := f.findFile(name); missing != nil && !create {
		return missing
	}
	return err
}

func (f *FS) open(n *node, name string, write bool) wal.File {
	n.open++
	return &file{handle{fs: f, node: n, name: name}, write}
}

// ReadAt reads what programs see, be it on the disk or not.
func (h *file) ReadAt(p []byte, off int64) (n int, err error) {
	op := Op{Kind: Read, Name: h.name, Offset: off, Length: int64(len(p))}
	err = h.fs.do(op, func() error {
		switch err := h.usable(); {
		case err != nil:
			return err
		case off < 0:
			return syscall.EINVAL
		}
		n = int(min(int64(len(p)), max(0, h.node.size-off)))
		h.node.cache.read(p[:n], off)
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// WriteAt writes into the cache. Where the space ends it writes up to there.
func (h *file) WriteAt(p []byte, off int64) (int, error) {
	op := Op{Kind: Write, Name: h.name, Offset: off, Length: int64(len(p))}
	p = slices.Clone(p)
	fault := h.fs.enter(op)
	defer h.fs.mu.Unlock()
	if fault != nil {
		var short ShortWrite
		if !errors.As(fault, &short) {
			return 0, op.wrap(fault)
		}
		p = p[:min(len(p), max(0, short.N))]
	}
	n, err := h.write(p, off)
	if err == nil {
		err = fault
	}
	return n, op.wrap(err)
}

func (h *file) write(p []byte, off int64) (int, error) {
	switch err := h.usable(); {
	case err != nil:
		return 0, err
	case !h.writable:
		return 0, syscall.EBADF
	case off < 0:
		return 0, syscall.EINVAL
	case h.fs.readOnly:
		return 0, syscall.EROFS
	}
	var err error
	end := max(h.node.size, h.fs.room(h.node))
	if off+int64(len(p)) > end {
		p, err = p[:max(0, end-off)], syscall.ENOSPC
	}
	h.node.write(p, off, h.fs.rng)
	h.fs.take(h.node, h.node.size)
	return len(p), err
}

// Size is the size that programs see.
func (h *file) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := h.fs.refusal(h.fs.ops)
	if err == nil {
		err = h.usable()
	}
	if err != nil {
		return 0, &fs.PathError{Op: "stat", Path: h.name, Err: err}
	}
	return h.node.size, nil
}

// Sync brings the data and the size of the file to the disk. A fault may lose them.
func (h *file) Sync() error {
	op := Op{Kind: Sync, Name: h.name}
	fault := h.fs.enter(op)
	defer h.fs.mu.Unlock()
	if fault == nil {
		fault = h.usable()
	} else if h.mayLose(fault) {
		h.node.failSync(h.fs.rng)
	}
	if fault == nil {
		fault = h.sync()
	}
	return op.wrap(fault)
}

// mayLose tells whether a fault is one of the disk.
func (h *file) mayLose(fault error) bool {
	return !h.closed && !h.fs.dead && !h.fs.readOnly && !errors.Is(fault, ErrStopped)
}

func (h *file) sync() error {
	if h.fs.readOnly && !h.node.isSynced() {
		return syscall.EROFS
	}
	h.node.sync()
	return nil
}

// Close closes the file, which does not sync it.
func (h *file) Close() error { return h.close(func() {}) }

// errMapped is a limit of this package and of no real file system.
var errMapped = errors.New("faultfs: a file cannot be mapped larger than it is while it is mapped")

type mapping struct {
	handle
	bytes []byte
}

// Map maps a file, which it makes where it is missing. Where the space does not suffice
// it fails with syscall.ENOSPC and the file stays as it was, or empty if it is new.
func (f *FS) Map(name string, size int64) (m wal.Mapping, err error) {
	op := Op{Kind: Map, Name: name, Length: size}
	err = f.do(op, func() error {
		switch {
		case f.readOnly:
			return syscall.EROFS
		case size <= 0:
			return syscall.EINVAL
		}
		n, err := f.findOrCreate(name)
		if err != nil {
			return err
		}
		if err := f.allocate(n, size); err != nil {
			return err
		}
		m = f.mapNode(n, name)
		return nil
	})
	return m, err
}

func (f *FS) allocate(n *node, size int64) error {
	switch {
	case size > n.size && size > f.room(n):
		return syscall.ENOSPC
	case n.maps > 0 && blocks(size) > int64(len(n.arena)):
		return errMapped
	case size != n.size:
		n.resize(size)
		f.take(n, size)
	}
	return nil
}

func (f *FS) mapNode(n *node, name string) wal.Mapping {
	if n.maps == 0 {
		n.pin()
		f.mapped = append(f.mapped, n)
	}
	n.maps++
	n.open++
	all := unsafe.Slice((*byte)(unsafe.Pointer(&n.arena[0])), len(n.arena)*pageSize)
	return &mapping{handle{fs: f, node: n, name: name}, all[:n.size:n.size]}
}

// Bytes is the cache of the file.
func (m *mapping) Bytes() []byte { return m.bytes }

// Close ends the mapping. What was stored stays in the cache.
func (m *mapping) Close() error {
	return m.close(func() {
		if m.node.maps > 1 {
			m.node.maps--
			return
		}
		m.node.unpin()
		m.fs.mapped = slices.DeleteFunc(m.fs.mapped, func(n *node) bool { return n == m.node })
	})
}
