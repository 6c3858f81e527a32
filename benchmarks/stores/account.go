package main

import (
	"fmt"
	"time"
)

// readLimit is how many events a drain asks for at once, and finishes at once.
const readLimit = 100

// patience is how many empty reads, with a pause after each, end a drain.
const patience = 10

// account compares what came out with what was accepted.
type account struct {
	Whole    int // events handed out as they were appended, each counted once
	Lost     int // accepted, never handed out whole
	Damaged  int // handed out with other bytes
	Twice    int // handed out again
	Disorder int // handed out after one with a higher number
	Errors   int // of reading and committing
	Error    string
}

// drain keeps the account while events come out.
type drain struct {
	account
	accepted int
	seen     []bool
	highest  int
	idle     int // empty reads in a row
	errors   int // in a row
}

func newDrain(accepted int) *drain {
	return &drain{accepted: accepted, seen: make([]bool, accepted), highest: -1}
}

// take counts what a read returned.
func (d *drain) take(events [][]byte) {
	if len(events) == 0 {
		d.idle++
		if d.idle > 1 {
			time.Sleep(5 * time.Millisecond)
		}
		return
	}
	d.idle, d.errors = 0, 0
	for _, e := range events {
		n, whole := check(e)
		if !whole {
			d.Damaged++
			continue
		}
		for n >= len(d.seen) { // on its way when the process died
			d.seen = append(d.seen, false)
		}
		if d.seen[n] {
			d.Twice++
			continue
		}
		d.seen[n] = true
		d.Whole++
		if n < d.highest {
			d.Disorder++
		}
		d.highest = max(d.highest, n)
	}
}

// fail counts an error of the store.
func (d *drain) fail(text string) {
	d.errors++
	d.Errors++
	if d.Error == "" {
		d.Error = text
	}
}

// balance closes the books.
func (d *drain) balance() account {
	a := d.account
	for _, ok := range d.seen[:d.accepted] {
		if !ok {
			a.Lost++
		}
	}
	return a
}

// wrong tells of events that did not come out as they went in, where nothing happened
// to the store.
func (d *drain) wrong() error {
	if a := d.balance(); a.Lost+a.Damaged+a.Twice+a.Disorder > 0 {
		return fmt.Errorf("%d lost, %d damaged, %d twice, %d out of order", a.Lost, a.Damaged, a.Twice, a.Disorder)
	}
	return nil
}
