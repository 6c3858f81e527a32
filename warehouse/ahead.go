package warehouse

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// ahead writes decided rows of a load in a goroutine of its own while the loader makes the
// next ones, so that two cores work at it. As long as some are on their way, the
// transaction is that goroutine's.
type ahead struct {
	l   *loader
	s   *Sync
	ctx context.Context
	tx  Tx

	done chan struct{} // closed when rows are written; nil: none are on their way
	took time.Duration // by the database

	// Of the goroutine until done is closed:
	rows   []*eventRows
	fresh  []int64 // how many of each were new
	err    error
	thrown any // what the store has panicked with
}

// offer takes the rows of the batch that are decided, unless others are on their way:
// then they become more until the next time, and a slow database gets larger parts.
func (a *ahead) offer() error {
	if a.done != nil {
		select {
		case <-a.done:
		default:
			return nil
		}
	}
	if err := a.wait(); err != nil {
		return err
	}
	if rows := a.l.batch.take(); len(rows) > 0 {
		a.rows, a.fresh, a.done = rows, make([]int64, len(rows)), make(chan struct{})
		go a.write(a.done)
	}
	return nil
}

func (a *ahead) write(done chan<- struct{}) {
	defer close(done)
	defer func() {
		if v := recover(); v != nil {
			a.thrown = fmt.Sprintf("%v\n\n%s", v, debug.Stack())
		}
	}()
	start := time.Now()
	for i, r := range a.rows {
		if a.fresh[i], a.err = a.tx.Write(a.ctx, r.table.source.name, r.table.name, r, Keep); a.err != nil {
			return
		}
	}
	a.took += time.Since(start)
}

// wait ends when nothing is on its way. A panic of the store goes on here.
func (a *ahead) wait() error {
	if a.done == nil {
		return nil
	}
	<-a.done
	a.done = nil
	if a.thrown != nil {
		panic(a.thrown)
	}
	if a.err != nil {
		return a.err
	}
	for i, r := range a.rows {
		a.l.count(a.s, r.table, a.fresh[i])
		a.l.batch.giveBack(r.rows)
	}
	return nil
}

// leave is wait for a load that has failed already.
func (a *ahead) leave() {
	if a.done != nil {
		<-a.done
	}
}
