package warehouse

// arena is the memory of the cells of a load, in blocks that serve the next load as well.
type arena struct {
	blocks [][]cell // those before at are full
	at     int
}

const (
	blockCells = 16 << 10  // of a block, of 32 bytes each
	mostCells  = 512 << 10 // kept between two loads; one of usual events has 400,000
)

// room returns an empty slice for n cells. It is given again until use says that they are
// in use.
func (a *arena) room(n int) []cell {
	for ; a.at < len(a.blocks); a.at++ {
		if b := a.blocks[a.at]; cap(b)-len(b) >= n {
			return b[len(b) : len(b) : len(b)+n]
		}
	}
	a.blocks = append(a.blocks, make([]cell, 0, max(n, blockCells)))
	return a.blocks[a.at][0:0:n]
}

// use keeps the first n cells that room has returned last.
func (a *arena) use(n int) { a.blocks[a.at] = a.blocks[a.at][:len(a.blocks[a.at])+n] }

// mark is a point that rewind goes back to.
type mark struct{ block, cells int }

func (a *arena) mark() mark {
	if a.at == len(a.blocks) {
		return mark{a.at, 0}
	}
	return mark{a.at, len(a.blocks[a.at])}
}

// rewind gives the cells that are in use since the mark for others.
func (a *arena) rewind(to mark) {
	for i := to.block; i < len(a.blocks) && i <= a.at; i++ {
		n := 0
		if i == to.block {
			n = to.cells
		}
		clear(a.blocks[i][n:])
		a.blocks[i] = a.blocks[i][:n]
	}
	a.at = to.block
}

// release gives all cells for others, and memory back beyond mostCells.
func (a *arena) release() {
	a.rewind(mark{})
	kept := 0
	for i, b := range a.blocks {
		if kept += cap(b); kept > mostCells {
			clear(a.blocks[i:])
			a.blocks = a.blocks[:i]
			break
		}
	}
}
