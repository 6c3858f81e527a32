package analytics

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// DeadLetterFile writes dead letters to a file, one JSON object a line with time,
// destination, reason, attempts, error and event. The file is readable by its owner
// only. Its methods may be called from any goroutine; one client or several may
// share it:
//
//	letters := &analytics.DeadLetterFile{Path: "dead.ndjson"}
//	defer letters.Close()
//	client, err := analytics.New(analytics.Config{DeadLetters: letters.Write, …})
type DeadLetterFile struct {
	// Path is where the file is; it is made by the first letter. Required.
	Path string

	// MaxBytes bounds the file. When it is full it is renamed to Path with ".1"
	// behind it, in place of the one before. Zero means 64 MiB.
	MaxBytes int64

	mu   sync.Mutex
	file *os.File
	size int64
	torn bool
}

const defaultLetters = 64 << 20

type letterLine struct {
	Time        string          `json:"time"`
	Destination string          `json:"destination"`
	Reason      string          `json:"reason"`
	Attempts    int             `json:"attempts"`
	Error       string          `json:"error,omitempty"`
	Event       json.RawMessage `json:"event"`
}

// Write appends a letter.
func (f *DeadLetterFile) Write(l DeadLetter) error {
	event := json.RawMessage(l.Event)
	if !json.Valid(event) { // damaged in the log: kept as text
		event, _ = json.Marshal(string(l.Event))
	}
	line, err := json.Marshal(letterLine{
		Time: l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), Destination: l.Destination, Reason: l.Reason.String(),
		Attempts: l.Attempts, Error: l.Error, Event: event,
	})
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	line = append(line, '\n')
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.makeRoom(int64(len(line))); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	if f.torn { // the last line was cut off, by a full disk
		line = append([]byte{'\n'}, line...)
	}
	n, err := f.file.Write(line)
	f.size += int64(n)
	f.torn = err != nil && (n > 0 || f.torn)
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	return nil
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
	if err := os.Rename(f.Path, f.Path+".1"); err != nil {
		return err
	}
	return f.open()
}

func (f *DeadLetterFile) open() error {
	file, err := os.OpenFile(f.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		err = file.Chmod(0o600) // it may have been there with wider rights
	}
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.size = file, info.Size()
	return nil
}

func (f *DeadLetterFile) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Close closes the file. A later Write opens it again.
func (f *DeadLetterFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.close()
}
