package analytics

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// DeadLetterFile writes dead letters to a file, one JSON object a line with time,
// destination, reason, attempts, error and event. [ReadDeadLetters] reads them. The
// file is readable by its owner only. Its methods may be called from any goroutine;
// one client or several may share it:
//
//	letters := &analytics.DeadLetterFile{Path: "dead.ndjson"}
//	defer letters.Close()
//	client, err := analytics.New(analytics.Config{DeadLetters: letters.Write, …})
//
// A path belongs to one DeadLetterFile of one process. Lines of several would stay
// whole on a local disk, each being a single write at the end of the file, but each
// would count only what it wrote itself, and rename the file below the others. There
// is no fsync: a letter outlives the process, but a loss of power may take those
// of the last seconds.
type DeadLetterFile struct {
	// Path is where the file is; it is made by the first letter, in a folder that is
	// there. Required.
	Path string

	// MaxBytes bounds the file. When it is full it is renamed to Path with ".1"
	// behind it, in place of the one before. Zero means 64 MiB.
	MaxBytes int64

	mu   sync.Mutex
	file *os.File
	size int64
}

// Limits of dead letters. A line of the largest event fits, whatever it is made of.
const (
	defaultLetters = 64 << 20
	maxLetterLine  = 1 << 20 // bytes, with the line feed
	maxLetterError = 8 << 10 // bytes of error
	rotatedSuffix  = ".1"
)

type letterLine struct {
	Time        string          `json:"time"`
	Destination string          `json:"destination"`
	Reason      string          `json:"reason"`
	Attempts    int             `json:"attempts"`
	Error       string          `json:"error,omitempty"`
	Event       json.RawMessage `json:"event"`
	EventBytes  []byte          `json:"eventBytes,omitempty"`
}

var letterKeys = []string{"time", "destination", "reason", "attempts", "error", "event", "eventBytes"}

// letterTime is milliseconds, in UTC.
const letterTime = "2006-01-02T15:04:05.000Z"

// Write appends a letter. The time is written in milliseconds; an error longer than
// 8 KiB is cut. An event that is no JSON object in UTF-8, since it was damaged in the
// log, is written as a string; of one that is not UTF-8 the bytes follow in base64, as
// eventBytes. A letter that makes a line of more than 1 MiB is refused; those of a
// client do not.
func (f *DeadLetterFile) Write(l DeadLetter) error {
	line, err := l.line()
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.append(line); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	return nil
}

func (l *DeadLetter) line() ([]byte, error) {
	line := letterLine{
		Time: l.Time.UTC().Format(letterTime), Destination: l.Destination, Reason: l.Reason.String(),
		Attempts: l.Attempts, Error: cut(l.Error, maxLetterError), Event: l.Event,
	}
	whole := utf8.Valid(l.Event)
	if !whole {
		line.EventBytes = l.Event
	}
	if !whole || !isObject(l.Event) {
		line.Event, _ = json.Marshal(string(l.Event)) // a string is never an error
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // or the event would not be what it was
	if err := enc.Encode(line); err != nil {
		return nil, err
	}
	if buf.Len() > maxLetterLine {
		return nil, invalid("letter", "makes a line of %d bytes, the limit is %d", buf.Len(), maxLetterLine)
	}
	return buf.Bytes(), nil
}

// isObject tells whether b is one JSON object.
func isObject(b []byte) bool {
	i := jsontext.SkipSpace(text(b), 0)
	return i < len(b) && b[i] == '{' && json.Valid(b)
}

// cut returns at most n bytes of s, and no part of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func (f *DeadLetterFile) append(line []byte) error {
	if err := f.makeRoom(int64(len(line))); err != nil {
		return err
	}
	n, err := f.file.Write(line)
	f.size += int64(n)
	if err != nil {
		_ = f.close() // the next letter opens it again, and ends the half line of this one
	}
	return err
}

func (f *DeadLetterFile) makeRoom(n int64) error {
	limit := f.MaxBytes
	if limit <= 0 {
		limit = defaultLetters
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.size == 0 || f.size+n <= limit {
		return nil
	}
	if err := f.close(); err != nil {
		return err
	}
	if err := os.Rename(f.Path, f.Path+rotatedSuffix); err != nil {
		return err
	}
	return f.open()
}

func (f *DeadLetterFile) open() error {
	file, err := os.OpenFile(f.Path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	size, err := prepareLetters(file)
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.size = file, size
	return nil
}

// prepareLetters makes the file private and ends a last line that was cut off, by a
// full disk or the end of a process. It returns the size in bytes.
func prepareLetters(file *os.File) (size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if err := file.Chmod(0o600); err != nil { // it may have been there with wider rights
		return 0, err
	}
	size = info.Size()
	if size == 0 || !info.Mode().IsRegular() {
		return size, nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	_, err = file.Write([]byte{'\n'})
	return size + 1, err
}

func (f *DeadLetterFile) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// setAside renames one of the files, so that letters from now on go into another. It is
// no error if there is none.
func (f *DeadLetterFile) setAside(path, aside string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.close(); err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	if err := os.Rename(path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dead letters: %w", err)
	}
	return nil
}

// Close closes the file. A later Write opens it again.
func (f *DeadLetterFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.close()
}

// ReadDeadLetters reads what a [DeadLetterFile] has written, for [Client.Replay]. It
// holds one line at a time, of at most 1 MiB, and goes on behind a line that it
// cannot read: one that was cut off, is longer, or was never a dead letter. Such a line
// comes as an error with its number and an [*InvalidError] for each thing that is wrong,
// beside an empty letter; empty lines are skipped. An error of r is the last thing
// that comes, and holds no InvalidError.
//
// Letters are those that were written, with the time in UTC and milliseconds, and
// MessageID taken from the event. A reason that this version does not know becomes
// [ReasonNone], with its name in front of Error; unknown keys are skipped. Each letter
// belongs to the caller. The sequence reads on where it was left; it is for one
// goroutine.
//
//	file, err := os.Open("dead.ndjson.1")
//	…
//	for letter, err := range analytics.ReadDeadLetters(file) {
//		if err == nil {
//			err = client.Replay(ctx, letter)
//		}
//		if err != nil {
//			log.Print(err)
//		}
//	}
//
// The file to which a running client writes may grow while it is read, by the very
// letters that are replayed: read it up to the size that it had, with
// [io.LimitReader].
func ReadDeadLetters(r io.Reader) iter.Seq2[DeadLetter, error] {
	lines := &letterLines{r: bufio.NewReader(r)}
	return func(yield func(DeadLetter, error) bool) {
		for lines.next() {
			letter, err := lines.letter()
			if err != nil {
				err = fmt.Errorf("dead letters: line %d: %w", lines.n, err)
			}
			if !yield(letter, err) {
				return
			}
		}
		if lines.err != io.EOF {
			yield(DeadLetter{}, fmt.Errorf("dead letters: line %d: %w", lines.n, lines.err))
		}
	}
}

// letterLines reads lines of bounded length.
type letterLines struct {
	r    *bufio.Reader
	n    int // number of the line, from 1
	line []byte
	long bool  // longer than maxLetterLine, and not kept
	err  error // of r; io.EOF at the end
}

// next moves to the next line that is not empty.
func (l *letterLines) next() bool {
	for l.err == nil {
		l.read()
		if l.long || len(bytes.TrimSpace(l.line)) > 0 {
			return true
		}
	}
	return false
}

// read reads a line, or what is left where the last one has no end. What comes before
// an error is none.
func (l *letterLines) read() {
	l.n++
	l.line, l.long = l.line[:0], false
	for {
		part, err := l.r.ReadSlice('\n')
		l.long = l.long || len(l.line)+len(part) > maxLetterLine
		if l.long {
			l.line = l.line[:0]
		} else {
			l.line = append(l.line, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if l.err = err; err != nil && err != io.EOF {
			l.line, l.long = l.line[:0], false
		}
		return
	}
}

func (l *letterLines) letter() (DeadLetter, error) {
	if l.long {
		return DeadLetter{}, invalid("letter", "is longer than %d bytes", maxLetterLine)
	}
	if !isObject(l.line) {
		return DeadLetter{}, invalid("letter", "is not one whole JSON object")
	}
	p := letterParser{fields: make(map[string]string)}
	whole := jsontext.EachMember(text(l.line), func(key, value string) bool {
		if slices.Contains(letterKeys, key) {
			p.fields[key] = value
		}
		return true
	})
	if !whole {
		return DeadLetter{}, invalid("letter", "is nested deeper than %d levels", maxDepth)
	}
	letter := p.letter()
	if err := p.faults.err(); err != nil {
		return DeadLetter{}, err
	}
	return letter, nil
}

// letterParser takes a letter out of the raw members of its line. It copies what it
// keeps.
type letterParser struct {
	fields map[string]string
	faults faults
}

func (p *letterParser) letter() DeadLetter {
	l := DeadLetter{Time: p.time("time"), Attempts: p.integer("attempts"), Event: p.event()}
	l.Destination, _ = p.text("destination")
	if p.fields["error"] != "" {
		l.Error, _ = p.text("error")
	}
	if reason, ok := p.text("reason"); ok && l.Reason.UnmarshalText([]byte(reason)) != nil {
		l.Error = fmt.Sprintf("reason %q: %s", reason, l.Error)
	}
	l.MessageID = messageIDOf(l.Event)
	return l
}

func (p *letterParser) text(key string) (s string, ok bool) {
	raw := p.fields[key]
	if raw == "" || raw[0] != '"' {
		p.faults.add(key, "is not a string")
		return "", false
	}
	return strings.Clone(jsontext.Unquote(raw)), true
}

func (p *letterParser) time(key string) time.Time {
	s, ok := p.text(key)
	t, err := time.Parse(time.RFC3339Nano, s)
	if ok && (err != nil || !inRange(t)) {
		p.faults.add(key, "is not an RFC 3339 date of the years 1 to 9999")
	}
	return t.UTC()
}

func (p *letterParser) integer(key string) int {
	n, err := strconv.Atoi(p.fields[key])
	if err != nil {
		p.faults.add(key, "is not a whole number")
	}
	return n
}

// event is the bytes of the event, which stand as an object, or damaged as a string or
// in base64. Of none it is nil.
func (p *letterParser) event() (event []byte) {
	if raw := p.fields["event"]; raw != "" && raw[0] == '{' {
		event = []byte(raw)
	} else {
		damaged, _ := p.text("event")
		event = []byte(damaged)
	}
	if p.fields["eventBytes"] != "" {
		encoded, ok := p.text("eventBytes")
		exact, err := base64.StdEncoding.DecodeString(encoded)
		if ok && err != nil {
			p.faults.add("eventBytes", "is not base64")
		}
		event = exact
	}
	if len(event) == 0 {
		return nil
	}
	return event
}

// messageIDOf finds the messageId of an event that may be damaged behind it.
func messageIDOf(event []byte) string {
	id := jsontext.Member(text(event), "messageId")
	if id == "" || id[0] != '"' {
		return ""
	}
	return strings.Clone(jsontext.Unquote(id))
}
