package warehouse

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// leaf is a value that stands below a container of an event: properties, traits or
// context.
type leaf struct {
	node *node
	cell cell
}

// stray is a value without a column, since one of its keys has no letter.
type stray struct{ path, json string }

// walker turns a container into leaves, in one pass over its bytes. It is told to be
// careful when two of the keys have met in one column, or may be the same: then it goes
// through the keys in their byte order, as segmentio/go-tableize does, and the later one
// counts.
type walker struct {
	trie    *trie
	careful bool
	twice   bool  // a key may stand twice in an object
	turn    int64 // of walking
	leaves  []leaf
	strays  []stray
	nuls    int // strings in which a NUL was replaced
}

// maxDepth is more than a client accepts.
const maxDepth = 1000

func (w *walker) reset(careful bool) {
	w.leaves, w.strays, w.nuls, w.careful, w.twice = w.leaves[:0], nil, 0, careful, false
	w.turn++
}

// release lets go of the event.
func (w *walker) release() {
	clear(w.leaves[:cap(w.leaves)])
	w.strays = nil
}

// walk reads the container at i and returns its end, or -1 if it is broken. What is no
// object is an empty one.
func (w *walker) walk(t *trie, s string, i int) int {
	w.trie = t
	if i < len(s) && s[i] != '{' {
		return jsontext.SkipValue(s, i, 0)
	}
	return w.object(s, i, &t.root, 0)
}

func (w *walker) object(s string, i int, parent *node, depth int) int {
	if i >= len(s) || depth > maxDepth {
		return -1
	}
	if w.careful {
		return w.sorted(s, i, parent, depth)
	}
	var prev *node
	for i = jsontext.SkipSpace(s, i+1); i < len(s); i = jsontext.SkipSpace(s, i+1) {
		if s[i] == '}' && prev == nil {
			return i + 1
		}
		key, at := memberKey(s, i)
		if at < 0 {
			return -1
		}
		prev = w.trie.child(parent, prev, key)
		if prev.turn == w.turn || !prev.plain {
			w.twice = true
		}
		prev.turn = w.turn
		if i = w.value(s, at, prev, depth); i < 0 {
			return -1
		}
		if i = jsontext.SkipSpace(s, i); i >= len(s) {
			return -1
		}
		if s[i] == '}' {
			return i + 1
		}
		if s[i] != ',' {
			return -1
		}
	}
	return -1
}

// memberKey reads the key at i, as it stands there without its quotes, and where its
// value begins.
func memberKey(s string, i int) (key string, value int) {
	if s[i] != '"' {
		return "", -1
	}
	end := jsontext.SkipString(s, i)
	if end < 0 {
		return "", -1
	}
	key = s[i+1 : end-1]
	if i = jsontext.SkipSpace(s, end); i >= len(s) || s[i] != ':' {
		return "", -1
	}
	if i = jsontext.SkipSpace(s, i+1); i >= len(s) {
		return "", -1
	}
	return key, i
}

type member struct {
	key, raw string // unescaped, and as sent
	value    int
}

// sorted is object in the byte order of the keys. Of equal keys the last one counts.
func (w *walker) sorted(s string, i int, parent *node, depth int) int {
	var members []member
	end := -1
	for i = jsontext.SkipSpace(s, i+1); end < 0; i = jsontext.SkipSpace(s, i+1) {
		if i < len(s) && s[i] == '}' && len(members) == 0 {
			end = i + 1
			break
		}
		if i >= len(s) {
			return -1
		}
		key, value := memberKey(s, i)
		if value < 0 {
			return -1
		}
		members = append(members, member{plainKey(key), key, value})
		if i = jsontext.SkipValue(s, value, 0); i < 0 {
			return -1
		}
		if i = jsontext.SkipSpace(s, i); i >= len(s) || s[i] != '}' && s[i] != ',' {
			return -1
		}
		if s[i] == '}' {
			end = i + 1
		}
	}
	slices.SortStableFunc(members, func(a, b member) int { return cmp.Compare(a.key, b.key) })
	for k, m := range members {
		if k+1 < len(members) && members[k+1].key == m.key {
			continue
		}
		if w.value(s, m.value, w.trie.child(parent, nil, m.raw), depth) < 0 {
			return -1
		}
	}
	return end
}

// value reads the value of n at i and returns its end.
func (w *walker) value(s string, i int, n *node, depth int) (end int) {
	if n.name == "" {
		return w.stray(s, i, n)
	}
	var c cell
	switch s[i] {
	case '{':
		if !n.whole {
			return w.object(s, i, n, depth+1)
		}
		end = jsontext.SkipValue(s, i, depth)
		c.kind = JSON
	case '[':
		end = jsontext.SkipValue(s, i, depth)
		c.kind, c.n = String, isJSON
	case '"':
		if end = jsontext.SkipString(s, i); end < 0 {
			return -1
		}
		var nul bool
		if c, nul = str(s[i:end]); nul {
			w.nuls++
		}
		w.leaves = append(w.leaves, leaf{n, c})
		return end
	case 't', 'f':
		end = jsontext.SkipValue(s, i, depth)
		c.kind = Bool
		if s[i] == 't' {
			c.n = 1
		}
	case 'n':
		end = jsontext.SkipValue(s, i, depth)
	default:
		if end = jsontext.SkipNumber(s, i); end < 0 {
			return -1
		}
		w.leaves = append(w.leaves, leaf{n, number(s[i:end])})
		return end
	}
	if end < 0 {
		return -1
	}
	c.text = s[i:end]
	if c.kind == JSON || c.kind == String {
		c.text = w.tidy(c.text)
	}
	w.leaves = append(w.leaves, leaf{n, c})
	return end
}

// tidy makes JSON that is stored as it is fit for every database.
func (w *walker) tidy(text string) string {
	text, nul := tidyJSON(text)
	if nul {
		w.nuls++
	}
	return text
}

// stray keeps a value that has no column under the path of its keys.
func (w *walker) stray(s string, i int, n *node) int {
	end := jsontext.SkipValue(s, i, 0)
	if end >= 0 && s[i] != 'n' {
		w.strays = append(w.strays, stray{n.rawPath(w.trie.prefix), w.tidy(s[i:end])})
	}
	return end
}

// plainKey is a key without its escapes.
func plainKey(raw string) string {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw
	}
	return jsontext.Unquote(`"` + raw + `"`)
}

// cloned is a copy that does not hold on to the event.
func cloned(s string) string { return strings.Clone(s) }
