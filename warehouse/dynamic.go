package warehouse

// dynamicKeys is how many new columns, each with one value, an object may bring in one
// load before its keys are taken for data.
const dynamicKeys = 100

// foldDynamicKeys finds objects whose keys are data, such as ids, and lets one column
// take each of them as JSON. If there is one it returns the notices, and the load is to
// be read again.
func (b *batch) foldDynamicKeys() (found notices) {
	for _, t := range b.touched {
		for _, n := range t.dynamic() {
			if found == nil {
				found = notices{}
				for notice, count := range b.notices {
					if notice.Kind == DynamicKeys {
						found[notice] = count
					}
				}
			}
			found.add(DynamicKeys, t.name, n.name, 1)
			t.takeWhole(n)
		}
	}
	return found
}

// dynamic returns the innermost objects with too many new columns.
func (t *table) dynamic() (found []*node) {
	if len(t.columns) <= dynamicKeys {
		return nil
	}
	var counts map[*node]int
	for _, c := range t.columns {
		if !c.live || c.Kind != Null || c.rows != 1 {
			continue
		}
		for n := c.from.parent; n.parent != nil; n = n.parent {
			if counts == nil {
				counts = make(map[*node]int)
			}
			counts[n]++
		}
	}
	for n, count := range counts {
		if count > dynamicKeys && !n.anyBelow(counts) {
			found = append(found, n)
		}
	}
	return found
}

func (n *node) anyBelow(counts map[*node]int) bool {
	for _, child := range n.children {
		if counts[child] > dynamicKeys {
			return true
		}
	}
	return false
}

// takeWhole makes the column of n one of JSON, for all tables that know the key.
func (t *table) takeWhole(n *node) {
	root := n
	for root.parent != nil {
		root = root.parent
	}
	s := t.source
	if root == &s.context.root {
		s.context = s.context.anew()
		s.context.whole[n.name] = true
		for _, other := range s.tables {
			other.forget()
		}
		return
	}
	old := t.data
	keys := old.anew()
	keys.whole[n.name] = true
	for _, other := range s.tables {
		if other.data == old {
			other.data = keys
			other.forget()
		}
	}
}
