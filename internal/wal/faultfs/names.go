package faultfs

import (
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/tributary-dev/analytics/internal/wal"
)

// place is where a name is: in a directory.
type place struct {
	dir  *node
	name string
}

// namespace says what is where. Everything is in one place at most.
type namespace struct {
	at map[place]*node
	of map[*node]place
}

func newNamespace() namespace {
	return namespace{at: map[place]*node{}, of: map[*node]place{}}
}

// put moves a node to a place, from wherever it is, and returns what was there.
func (ns namespace) put(p place, n *node) (replaced *node) {
	replaced = ns.at[p]
	if replaced != nil {
		ns.drop(replaced)
	}
	ns.drop(n)
	ns.at[p] = n
	ns.of[n] = p
	return replaced
}

func (ns namespace) drop(n *node) {
	if p, ok := ns.of[n]; ok {
		delete(ns.at, p)
		delete(ns.of, n)
	}
}

func (ns namespace) list(dir *node) []string {
	names := []string{}
	for p := range ns.at {
		if p.dir == dir {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	return names
}

// walk calls visit for everything below a directory, in order and a directory before
// what is in it.
func (ns namespace) walk(dir *node, prefix string, visit func(name string, p place, n *node)) {
	for _, name := range ns.list(dir) {
		p := place{dir, name}
		n := ns.at[p]
		visit(prefix+name, p, n)
		if n.dir {
			ns.walk(n, prefix+name+"/", visit)
		}
	}
}

// change is one change of names: the creation of a node has no from, its removal no to.
type change struct {
	node     *node
	from, to place
	replaced *node   // by a rename
	unsynced []*node // the directories whose SyncDir is still missing
}

func (c *change) isCreation() bool { return c.from.dir == nil }
func (c *change) isRemoval() bool  { return c.to.dir == nil }
func (c *change) isRename() bool   { return !c.isCreation() && !c.isRemoval() }

func (c *change) apply(ns namespace) {
	if c.isRemoval() {
		ns.drop(c.node)
	} else {
		ns.put(c.to, c.node)
	}
}

// change makes a change in the cache; on the disk it is pending.
func (f *FS) change(c *change) {
	for _, dir := range []*node{c.from.dir, c.to.dir} {
		if dir != nil && !slices.Contains(c.unsynced, dir) {
			c.unsynced = append(c.unsynced, dir)
		}
	}
	f.changes = append(f.changes, c)
	if !c.isRemoval() {
		c.replaced = f.cache.at[c.to]
	}
	c.apply(f.cache)
	for _, gone := range []*node{c.node, c.replaced} {
		f.release(gone)
	}
}

// release gives back the space of a file that has neither a name nor a handle.
func (f *FS) release(n *node) {
	if n == nil || n.open > 0 {
		return
	}
	if _, named := f.cache.of[n]; !named {
		f.used -= n.blocks
		n.blocks = 0
	}
}

// keepNeeded marks the changes before the k-th that are kept because it is: those
// without which a renamed file would be under none of its names.
func (f *FS) keepNeeded(k int, kept []bool) {
	c := f.changes[k]
	for i, earlier := range f.changes[:k] {
		movedAway := earlier.isRename() && !c.isRemoval() && earlier.from == c.to
		movedOut := earlier.isRename() && c.isRemoval() && earlier.from.dir == c.node
		if movedAway || movedOut {
			kept[i] = true
		}
	}
	was, onDisk := f.disk.of[c.node]
	leaves := onDisk && was.dir != c.to.dir || c.node.dir && c.from.dir != c.to.dir
	if c.isRename() && leaves {
		f.keepDirectory(c.to.dir, kept)
	}
}

// keepDirectory marks the creation of a directory, and of those it is in.
func (f *FS) keepDirectory(dir *node, kept []bool) {
	for dir != nil && dir != f.root {
		parent := f.disk.of[dir].dir
		for i, c := range f.changes {
			if c.node == dir && c.isCreation() {
				kept[i] = true
				parent = c.to.dir
			}
		}
		dir = parent
	}
}

// SyncDir makes the changes of names in a directory survive the loss of power. It does
// not do so for the directory itself in the one above. Where it fails they stay
// pending.
func (f *FS) SyncDir(name string) error {
	return f.do(Op{Kind: SyncDir, Name: name}, func() error {
		dir, err := f.find(name)
		switch {
		case err != nil:
			return err
		case !dir.dir:
			return syscall.ENOTDIR
		case f.readOnly && f.hasChanges(dir):
			return syscall.EROFS
		}
		f.commitNames(dir)
		return nil
	})
}

func (f *FS) hasChanges(dir *node) bool {
	return slices.ContainsFunc(f.changes, func(c *change) bool {
		return slices.Contains(c.unsynced, dir)
	})
}

// commitNames brings to the disk the changes that wait for no other directory.
func (f *FS) commitNames(dir *node) {
	kept := make([]bool, len(f.changes))
	for i, c := range f.changes {
		c.unsynced = slices.DeleteFunc(c.unsynced, func(d *node) bool { return d == dir })
		kept[i] = len(c.unsynced) == 0
	}
	for k := len(kept) - 1; k >= 0; k-- {
		if kept[k] {
			f.keepNeeded(k, kept)
			f.keepHistory(k, kept)
		}
	}
	var pending []*change
	for i, c := range f.changes {
		if kept[i] {
			c.apply(f.disk)
		} else {
			pending = append(pending, c)
		}
	}
	f.changes = pending
}

// keepHistory marks the changes before the k-th that would undo it if they came to the
// disk after it.
func (f *FS) keepHistory(k int, kept []bool) {
	c := f.changes[k]
	for i, earlier := range f.changes[:k] {
		if earlier.node == c.node || earlier.node == c.replaced {
			kept[i] = true
		}
	}
}

// clean splits a name into the names of directories, from the root on. Relative names
// begin at the root too.
func clean(name string) []string {
	name = path.Clean("/" + filepath.ToSlash(name))
	if name == "/" {
		return nil
	}
	return strings.Split(name[1:], "/")
}

func (f *FS) find(name string) (*node, error) {
	if name == "" {
		return nil, syscall.ENOENT
	}
	return f.follow(clean(name))
}

func (f *FS) follow(names []string) (*node, error) {
	n := f.root
	for _, name := range names {
		if !n.dir {
			return nil, syscall.ENOTDIR
		}
		if n = f.cache.at[place{n, name}]; n == nil {
			return nil, syscall.ENOENT
		}
	}
	return n, nil
}

// findFile is find for what must not be a directory.
func (f *FS) findFile(name string) (*node, error) {
	n, err := f.find(name)
	if err == nil && n.dir {
		return nil, syscall.EISDIR
	}
	return n, err
}

// findPlace is where a name is or would be.
func (f *FS) findPlace(name string) (place, error) {
	names := clean(name)
	if len(names) == 0 {
		return place{}, syscall.EBUSY
	}
	last := len(names) - 1
	dir, err := f.follow(names[:last])
	if err == nil && !dir.dir {
		err = syscall.ENOTDIR
	}
	return place{dir, names[last]}, err
}

// findOrCreate is findFile that makes the file where it is missing.
func (f *FS) findOrCreate(name string) (*node, error) {
	n, err := f.findFile(name)
	if err != syscall.ENOENT || name == "" {
		return n, err
	}
	to, err := f.findPlace(name)
	switch {
	case err != nil:
		return nil, err
	case f.readOnly:
		return nil, syscall.EROFS
	}
	n = newNode(false)
	f.change(&change{node: n, to: to})
	return n, nil
}

// ReadDir returns the names in a directory, sorted.
func (f *FS) ReadDir(name string) (names []string, err error) {
	err = f.do(Op{Kind: ReadDir, Name: name}, func() error {
		dir, err := f.find(name)
		if err == nil && !dir.dir {
			err = syscall.ENOTDIR
		}
		if err == nil {
			names = f.cache.list(dir)
		}
		return err
	})
	return names, err
}

// MkdirAll makes a directory with its parents, each of which is a change of its own.
func (f *FS) MkdirAll(name string) error {
	return f.do(Op{Kind: Mkdir, Name: name}, func() error {
		dir := f.root
		for _, name := range clean(name) {
			to := place{dir, name}
			dir = f.cache.at[to]
			switch {
			case dir == nil && f.readOnly:
				return syscall.EROFS
			case dir == nil:
				dir = newNode(true)
				f.change(&change{node: dir, to: to})
			case !dir.dir:
				return syscall.ENOTDIR
			}
		}
		return nil
	})
}

// Rename gives a file or a directory another name. A file that has that name is
// replaced; a directory that has it is an error, as it is for package os.
func (f *FS) Rename(from, to string) error {
	return f.do(Op{Kind: Rename, Name: from, To: to}, func() error {
		n, err := f.find(from)
		if err != nil {
			return err
		}
		source, err := f.findPlace(from)
		if err != nil {
			return err
		}
		target, err := f.findPlace(to)
		if err != nil {
			return err
		}
		if err := f.mayRename(n, target); err != nil || source == target {
			return err
		}
		f.change(&change{node: n, from: source, to: target})
		return nil
	})
}

func (f *FS) mayRename(n *node, target place) error {
	existing := f.cache.at[target]
	switch {
	case f.readOnly:
		return syscall.EROFS
	case existing != nil && existing != n && existing.dir:
		return syscall.EEXIST
	case existing != nil && existing != n && n.dir:
		return syscall.ENOTDIR
	}
	for dir := target.dir; dir != nil; dir = f.cache.of[dir].dir {
		if dir == n {
			return syscall.EINVAL
		}
	}
	return nil
}

// Remove removes a file or an empty directory. Handles that have the file open go on.
func (f *FS) Remove(name string) error {
	return f.do(Op{Kind: Remove, Name: name}, func() error {
		n, err := f.find(name)
		if err != nil {
			return err
		}
		from, err := f.findPlace(name)
		switch {
		case err != nil:
			return err
		case f.readOnly:
			return syscall.EROFS
		case n.dir && len(f.cache.list(n)) > 0:
			return syscall.ENOTEMPTY
		}
		f.change(&change{node: n, from: from})
		return nil
	})
}

// RemoveAll removes a name and all below it, as somebody else on the machine would: it
// is no operation, and neither a fault nor SetReadOnly keeps it from it. The removals
// are pending like others. Handles go on.
func (f *FS) RemoveAll(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name)
	if err != nil {
		return
	}
	var gone []*change
	if n != f.root {
		gone = append(gone, &change{node: n, from: f.cache.of[n]})
	}
	f.cache.walk(n, "", func(_ string, p place, n *node) {
		gone = append(gone, &change{node: n, from: p})
	})
	for _, c := range slices.Backward(gone) {
		f.change(c)
	}
}

// Files returns the names of all files, sorted, from the root on and without directories.
func (f *FS) Files() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	files := []string{}
	f.cache.walk(f.root, "/", func(name string, _ place, n *node) {
		if !n.dir {
			files = append(files, name)
		}
	})
	slices.Sort(files)
	return files
}

// Lock takes the lock of a file, which it makes where it is missing. Like that of flock
// it is one of the file and not of the name.
func (f *FS) Lock(name string) (c io.Closer, err error) {
	op := Op{Kind: Lock, Name: name}
	err = f.do(op, func() error {
		if f.readOnly {
			return syscall.EROFS
		}
		n, err := f.findOrCreate(name)
		if err != nil {
			return err
		}
		if f.locked[n] {
			return wal.ErrLocked
		}
		f.locked[n] = true
		n.open++
		c = &lock{handle{fs: f, node: n, name: name}}
		return nil
	})
	return c, err
}

type lock struct{ handle }

// Close releases the lock.
func (l *lock) Close() error {
	return l.close(func() { delete(l.fs.locked, l.node) })
}
