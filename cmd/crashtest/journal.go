package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The journal is what a process writes down about itself, outside the spool and with a
// system call for each entry, so that it survives the process:
//
//   - for each writer a file with one byte before each call and one after it, and
//   - a file with a line for each step of its life and each request.
type journal struct {
	life    *os.File
	writers [writers]*os.File
}

const (
	intended = 'i' // before the call
	accepted = 'a' // it returned nil
	refused  = 'r' // it returned an error
)

func lifeFile(dir string, process int) string {
	return filepath.Join(dir, fmt.Sprintf("p%d-life", process))
}

func writerFile(dir string, process, writer int) string {
	return filepath.Join(dir, fmt.Sprintf("p%d-w%d", process, writer))
}

func openJournal(dir string, process int) (*journal, error) {
	j := &journal{}
	var err error
	open := func(name string) *os.File {
		f, e := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
		err = errors.Join(err, e)
		return f
	}
	j.life = open(lifeFile(dir, process))
	for w := range j.writers {
		j.writers[w] = open(writerFile(dir, process, w))
	}
	return j, err
}

// note writes a line. A journal that cannot be written proves nothing: the process ends.
func (j *journal) note(format string, args ...any) {
	if _, err := fmt.Fprintf(j.life, format+"\n", args...); err != nil {
		panic(err)
	}
}

func (j *journal) mark(writer int, what byte) {
	if _, err := j.writers[writer].Write([]byte{what}); err != nil {
		panic(err)
	}
}

// A record is the journal of a process, read after its end.
type record struct {
	opened   time.Duration   // how long New took; 0: it did not return
	left     int             // what New found unfinished, of all destinations
	closeErr string          // what Close returned; empty: it did not return
	dropped  []string        // why a destination was never to get an event
	calls    [writers][]byte // by number: intended, accepted or refused
	requests map[int]*request
	answers  [places]int // how many requests have ended
	end      int         // how many processes had ended before it
}

// A request is one Deliver.
type request struct {
	place  place
	fate   fate
	log    string   // of the cloud mode: the id of the log,
	seqs   []uint64 // and the numbers of the events in it
	answer int      // how many requests to the place had ended before it
}

// fate is what the library knows of a request. Its names are the words of the journal.
type fate byte

const (
	sent   fate = iota // Deliver had not returned when the process ended
	failed             // it returned an error
	taken              // it returned nil
)

func (f fate) String() string { return [...]string{"sent", "failed", "taken"}[f] }

// dropped is the word for an event that a destination will never get.
const dropped = "dropped"

func readJournal(dir string, process int) (*record, error) {
	r := &record{requests: make(map[int]*request)}
	for w := range r.calls {
		marks, err := os.ReadFile(writerFile(dir, process, w))
		if errors.Is(err, os.ErrNotExist) {
			continue // killed before it could open its journal
		}
		if err != nil {
			return nil, err
		}
		if r.calls[w], err = readMarks(marks); err != nil {
			return nil, fmt.Errorf("process %d, writer %d: %w", process, w, err)
		}
	}
	life, err := os.ReadFile(lifeFile(dir, process))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	lines := bytes.Split(life, []byte("\n"))
	for _, line := range lines[:len(lines)-1] { // what follows the last line break was cut off
		if err := r.step(string(line)); err != nil {
			return nil, fmt.Errorf("process %d: %q: %w", process, line, err)
		}
	}
	return r, nil
}

func readMarks(marks []byte) (calls []byte, err error) {
	for i, m := range marks {
		switch {
		case i%2 == 0 && m == intended:
			calls = append(calls, m)
		case i%2 == 1 && (m == accepted || m == refused):
			calls[i/2] = m
		default:
			return nil, fmt.Errorf("the journal is damaged at %d", i)
		}
	}
	return calls, nil
}

func (r *record) step(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case opening.String(), closing.String():
		return nil
	case running.String():
		_, err := fmt.Sscan(rest, (*int64)(&r.opened), &r.left)
		return err
	case closed.String():
		text, err := strconv.Unquote(rest)
		r.closeErr = text
		return err
	case dropped:
		r.dropped = append(r.dropped, rest)
		return nil
	case sent.String():
		return r.sent(strings.Fields(rest))
	case failed.String():
		return r.answer(rest, failed)
	case taken.String():
		return r.answer(rest, taken)
	}
	return errors.New("no such word")
}

func (r *record) sent(fields []string) error {
	if len(fields) < 2 {
		return errors.New("too short")
	}
	p, errPlace := strconv.Atoi(fields[0])
	n, errNumber := strconv.Atoi(fields[1])
	if err := errors.Join(errPlace, errNumber); err != nil {
		return err
	}
	q := &request{place: place(p)}
	r.requests[n] = q
	if len(fields) == 2 {
		return nil
	}
	q.log = fields[2]
	for _, f := range fields[3:] {
		seq, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return err
		}
		q.seqs = append(q.seqs, seq)
	}
	return nil
}

func (r *record) answer(number string, f fate) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	q := r.requests[n]
	if q == nil {
		return errors.New("no such request")
	}
	q.fate, q.answer = f, r.answers[q.place]
	r.answers[q.place]++
	return nil
}
