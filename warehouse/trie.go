package warehouse

import "strings"

// trie holds the keys of the objects that events have had, so that a key that was seen
// before costs a comparison: it knows the column's name already.
type trie struct {
	root   node
	most   int // bytes of a name
	size   int // nodes without the root
	own    int // bytes of them
	held   *int
	whole  map[string]bool
	prefix string
}

// node is a key in its place. Its number is the index of what tables know of it.
type node struct {
	key    string // as it stands in the JSON, without quotes
	parent *node
	number int32
	path   string // the words of all keys, joined, as far as a name may be long
	length int    // of all that
	sum    uint32 // its hash
	name   string // of the column; empty: there is none, a key has no letter
	whole  bool   // the column takes objects as they are
	plain  bool   // the key has no escapes
	turn   int64  // of a walker that was here last

	children map[string]*node
	first    *node // the child that was first the last time
	next     *node // and what came behind this one
}

// What a loader may know of keys, in bytes, about: all tries and all columns that are not
// in the database. A load that brings more keeps the values of further keys in _unmapped;
// what stays between two loads is forgotten when it is too much.
const (
	mostHeld       = 16 << 20
	mostHeldInLoad = 64 << 20
	nodeCost       = 300
	columnCost     = 250
)

// newTrie has a trie add what it needs to held.
func newTrie(prefix string, most int, held *int) *trie {
	t := &trie{most: most, held: held, whole: make(map[string]bool), prefix: prefix}
	if prefix != "" {
		t.root.lengthen(&node{}, prefix, most)
	}
	return t
}

// anew is a trie without keys that takes the place of this one.
func (t *trie) anew() *trie {
	*t.held -= t.own
	fresh := newTrie(t.prefix, t.most, t.held)
	fresh.whole = t.whole
	return fresh
}

// crowded tells whether there is no room for further keys.
func (t *trie) crowded() bool { return *t.held > mostHeldInLoad }

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
		if t.crowded() {
			n.number = -1 // only for now
			return n
		}
		t.add(n)
	}
	*guess = n
	return n
}

func (t *trie) grow(parent *node, key string) *node {
	n := &node{key: cloned(key), parent: parent}
	n.plain = strings.IndexByte(key, '\\') < 0
	word := snake(plainKey(n.key))
	if word != "" && (parent == &t.root || parent.name != "") {
		n.lengthen(parent, word, t.most)
	}
	n.whole = t.whole[n.name]
	return n
}

// add keeps a node.
func (t *trie) add(n *node) {
	n.number = int32(t.size)
	t.size++
	cost := nodeCost + len(n.key) + len(n.path)
	t.own += cost
	*t.held += cost
	if n.parent.children == nil {
		n.parent.children = make(map[string]*node)
	}
	n.parent.children[n.key] = n
}

// lengthen gives a node the path of its parent and one word more. The name is what
// identifier makes of the whole, which is not kept: paths may be a thousand keys long.
func (n *node) lengthen(parent *node, word string, most int) {
	lead := ""
	if parent.length == 0 {
		n.path, n.length, n.sum = word, len(word), hashBasis
		if word[0] >= '0' && word[0] <= '9' {
			n.sum = hashed(n.sum, "_")
		}
	} else {
		n.path, n.length, n.sum = parent.path, parent.length+1+len(word), hashed(parent.sum, "_")
		if len(n.path) < most {
			n.path += "_" + word
		}
	}
	n.sum = hashed(n.sum, word)
	if n.path = n.path[:min(len(n.path), most)]; n.path[0] >= '0' && n.path[0] <= '9' {
		lead = "_"
	}
	if n.length+len(lead) > most {
		n.path = cloned(n.path)
		n.name = shortened(lead+n.path, n.sum, most)
		return
	}
	n.name = identifier(n.path, most)
}

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
