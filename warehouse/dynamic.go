package warehouse

// dynamicKeys is how many new columns, each with one value, an object may bring in one
// load before its keys are taken for data.
const dynamicKeys = 100

// foldDynamicKeys finds objects whose keys are data, such as ids, and lets one column
// take each of them as JSON. If there is one it returns the notices, and the load is to
// be read again.
func (b *batch) foldDynamicKeys() (found notices) {
	type object struct {
		table *table
		node  *node
		data  bool // it stands in properties or traits, not in the context
	}
	var objects []object
	for _, t := range b.touched {
		for _, n := range t.dynamic() {
			objects = append(objects, object{t, n, n.root() != &t.source.context.root})
		}
	}
	if len(objects) == 0 {
		return nil
	}
	found = notices{}
	for notice, count := range b.notices {
		if notice.Kind == DynamicKeys {
			found[notice] = count
		}
	}
	for _, o := range objects { // two tables may have found the same
		found.add(DynamicKeys, o.table.name, o.node.name, 1)
		o.table.takeWhole(o.node.name, o.data)
	}
	return found
}

func (n *node) root() *node {
	for n.parent != nil {
		n = n.parent
	}
	return n
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

// takeWhole makes the column of an object one of JSON, for all tables that know the key.
func (t *table) takeWhole(name string, data bool) {
	s := t.source
	if !data {
		s.context = s.context.anew()
		s.context.whole[name] = true
		for _, other := range s.tables {
			other.forget()
		}
		return
	}
	old := t.data
	keys := old.anew()
	keys.whole[name] = true
	for _, other := range s.tables {
		if other.data == old {
			other.data = keys
			other.forget()
		}
	}
}
