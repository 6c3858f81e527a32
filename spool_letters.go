package analytics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// spoolLetters are the dead letters of a spool: a file for each destination, in the
// slot of the client.
type spoolLetters struct {
	path func(destination string) string

	mu    sync.Mutex
	files map[string]*DeadLetterFile
}

func newSpoolLetters(path func(destination string) string) *spoolLetters {
	return &spoolLetters{path: path, files: make(map[string]*DeadLetterFile)}
}

func (s *spoolLetters) file(destination string) *DeadLetterFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[destination]
	if f == nil {
		f = &DeadLetterFile{Path: s.path(destination)}
		s.files[destination] = f
	}
	return f
}

func (s *spoolLetters) write(l DeadLetter) error {
	f := s.file(l.Destination)
	err := f.Write(l)
	if errors.Is(err, fs.ErrNotExist) { // the first letter of the slot
		if err = os.MkdirAll(filepath.Dir(f.Path), 0o700); err == nil {
			err = f.Write(l)
		}
	}
	return err
}

func (s *spoolLetters) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// ReplayDeadLetters replays the dead letters that the spool of this client keeps of a
// destination, and returns how many it has accepted; see [Client.Replay]. Those that
// cannot be replayed are kept, as are those that are left when ctx ends or the queue is
// full; err names what went wrong with them. Letters of other slots are for the command
// analytics, or for [ReadDeadLetters]. If the process dies meanwhile, the next call
// begins again: what was accepted may then arrive twice, under one messageId.
func (c *Client) ReplayDeadLetters(ctx context.Context, destination string) (replayed int, err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	if c.kept == nil {
		return 0, errors.New("analytics: this client keeps no dead letters: it has no spool, or a DeadLetters of its own")
	}
	if _, err := c.loopOf(destination); err != nil {
		return 0, err
	}
	f := c.kept.file(destination)
	for _, path := range []string{f.Path + asideSuffix, f.Path + rotatedSuffix, f.Path} {
		n, err := c.replayFile(ctx, f, path)
		replayed += n
		if err != nil {
			return replayed, err
		}
	}
	return replayed, nil
}

// asideSuffix is that of a file whose letters are being replayed.
const asideSuffix = ".replay"

// replayFile replays a file and removes it. What cannot be replayed is written anew.
func (c *Client) replayFile(ctx context.Context, f *DeadLetterFile, path string) (replayed int, err error) {
	aside := f.Path + asideSuffix
	if path != aside {
		if err = f.setAside(path, aside); err != nil {
			return 0, err
		}
	}
	file, err := os.Open(aside)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("dead letters: %w", err)
	}
	defer file.Close()
	var errs []error
	for letter, err := range ReadDeadLetters(file) {
		switch {
		case err != nil:
			if invalid := (*InvalidError)(nil); !errors.As(err, &invalid) {
				return replayed, err // the file cannot be read: it stays aside
			}
			errs = note(errs, err)
			continue
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		default:
			err = c.Replay(ctx, letter)
		}
		if err == nil || errors.Is(err, ErrNotDurable) {
			replayed++
			continue
		}
		errs = note(errs, err)
		if err := f.Write(letter); err != nil {
			return replayed, errors.Join(append(errs, err)...)
		}
	}
	return replayed, errors.Join(append(errs, os.Remove(aside))...)
}

// note adds an error to a list that is kept short.
func note(errs []error, err error) []error {
	if len(errs) < 10 {
		errs = append(errs, err)
	}
	return errs
}
