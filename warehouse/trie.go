package warehouse

import "strings"

// trie holds the keys of the objects that events have had, so that a key that was seen
// before costs a comparison: it knows the column's name already.
type trie struct {
	root   node
	most   int // bytes of a name
	size   int // nodes without the root
	whole  map[string]bool
	prefix string
}

// node is a key in its place. Its number is the index of what tables know of it.
type node struct {
	key    string // as it stands in the JSON, without quotes
	parent *node
	number int32
	path   string // the words of all keys, joined
	name   string // of the column; empty: there is none, a key has no letter
	whole  bool   // the column takes objects as they are
	plain  bool   // the key has no escapes
	turn   int64  // of a walker that was here last

	children map[string]*node
	first    *node // the child that was first the last time
	next     *node // and what came behind this one
}

// maxNodes bounds a trie between two loads.
const maxNodes = 20_000

func newTrie(prefix string, most int) *trie {
	return &trie{root: node{path: prefix}, most: most, whole: make(map[string]bool), prefix: prefix}
}

// anew is a trie without keys.
func (t *trie) anew() *trie {
	fresh := newTrie(t.prefix, t.most)
	fresh.whole = t.whole
	return fresh
}

// child finds the node of a key behind the node prev of the same object.
func (t *trie) child(parent, prev *node, key string) *node {
	guess := &parent.first
	if prev != nil {
		guess = &prev.next
	}
	if n := *guess; n != nil && n.key == key {
		return n
	}
	n := parent.children[key]
	if n == nil {
		n = t.grow(parent, key)
	}
	*guess = n
	return n
}

func (t *trie) grow(parent *node, key string) *node {
	t.size++
	n := &node{key: cloned(key), parent: parent, number: int32(t.size - 1)}
	n.plain = strings.IndexByte(key, '\\') < 0
	word := snake(plainKey(key))
	nameless := parent != &t.root && parent.name == "" || word == ""
	switch {
	case nameless:
	case parent.path == "":
		n.path = word
	default:
		n.path = parent.path + "_" + word
	}
	n.name = identifier(n.path, t.most)
	n.whole = t.whole[n.name]
	if parent.children == nil {
		parent.children = make(map[string]*node)
	}
	parent.children[n.key] = n
	return n
}

// full tells whether it is time to forget the keys and begin anew.
func (t *trie) full() bool { return t.size > maxNodes }

// rawPath is the way to the node as the keys were sent.
func (n *node) rawPath(prefix string) string {
	key := plainKey(n.key)
	if n.parent.parent == nil {
		if prefix != "" {
			return prefix + "." + key
		}
		return key
	}
	return n.parent.rawPath(prefix) + "." + key
}
