package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tributary-dev/analytics/archive"
)

// checkpoint is how far a shipment has come, in a file.
type checkpoint struct {
	file string // "": nowhere
	of   string // which shipment
	key  string // the write key; empty: none is needed, or given
	at   archive.Checkpoint
}

// checkpointJSON is what the file has.
type checkpointJSON struct {
	Version    int                `json:"version"`
	Of         string             `json:"of"`
	Key        string             `json:"key,omitempty"` // a hash
	Checkpoint archive.Checkpoint `json:"checkpoint"`
}

const checkpointVersion = 1

// shipmentID tells shipments apart, without the ids of users that a query may have.
func shipmentID(dir, prefix string, q archive.Query, target string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	b, _ := json.Marshal(struct { // of strings and times, which is never an error
		Dir, Prefix string
		Query       archive.Query
		Target      string
	}{dir, prefix, q, target})
	return shortHash(b)
}

func shortHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// keyHash tells write keys apart: the same endpoint with another one is another target.
func (m *checkpoint) keyHash() string {
	if m.key == "" {
		return ""
	}
	return shortHash([]byte(m.of + m.key))
}

// load reads the file, if there is one.
func (m *checkpoint) load() error {
	if m.file == "" {
		return nil
	}
	b, err := os.ReadFile(m.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var s checkpointJSON
	switch err := json.Unmarshal(b, &s); {
	case err != nil:
		return fmt.Errorf("%w: %s is no file of --state", errUsage, m.file)
	case s.Version != checkpointVersion:
		return fmt.Errorf("%w: %s has version %d, want %d", errUsage, m.file, s.Version, checkpointVersion)
	case s.Of != m.of:
		return fmt.Errorf("%w: %s is of another archive, target or selection; remove it to begin anew", errUsage, m.file)
	}
	if key := m.keyHash(); key != "" && key != s.Key {
		return fmt.Errorf("%w: %s is of another write key; remove it to begin anew", errUsage, m.file)
	}
	m.at = s.Checkpoint
	return nil
}

// save replaces the file whole.
func (m *checkpoint) save(at archive.Checkpoint) (err error) {
	if m.file == "" {
		return nil
	}
	b, err := json.Marshal(checkpointJSON{checkpointVersion, m.of, m.keyHash(), at})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(m.file), "."+filepath.Base(m.file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error is told already
		}
	}()
	_, err = f.Write(append(b, '\n'))
	err = cmp.Or(err, f.Sync())
	err = cmp.Or(err, f.Close())
	return cmp.Or(err, os.Rename(f.Name(), m.file))
}

// remove is for the end: what comes into the archive later has its place among the files
// that are done, so the next shipment looks at all of them.
func (m *checkpoint) remove() error {
	if m.file == "" {
		return nil
	}
	if err := os.Remove(m.file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
