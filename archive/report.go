package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/tributary-dev/analytics/internal/wal"
)

// A Fault is something that is wrong with a file or with a manifest. It holds no content.
type Fault struct {
	Key     string `json:"key"`
	Problem string `json:"problem"`
}

// A Report is what Verify has found.
type Report struct {
	Files  int64 `json:"files"`
	Events int64 `json:"events"`
	Bytes  int64 `json:"bytes"` // of the files

	// Faults are the first 1,000; MoreFaults counts the others.
	Faults     []Fault `json:"faults,omitempty"`
	MoreFaults int64   `json:"moreFaults,omitempty"`

	// Lost is how many events the disk had damaged before their files were finished, by the
	// manifests. What is in the files is sound.
	Lost int64 `json:"lost,omitempty"`

	// Parts are unfinished files beside a [Folder], which are no fault.
	Parts int `json:"parts,omitempty"`
}

// Progress is how far something has come, by files, events and the bytes of files.
// AllFiles and AllBytes are what there is.
type Progress struct {
	Files    int64 `json:"files"`
	AllFiles int64 `json:"allFiles"`
	Events   int64 `json:"events"`
	Bytes    int64 `json:"bytes"`
	AllBytes int64 `json:"allBytes"`
}

// parts are the names of the unfinished files beside a folder, and of those that were
// found damaged.
func (a *Archive) parts() (sound, damaged []string, err error) {
	if dir := a.partsDir(); dir != "" {
		return partsIn(wal.OS{}, dir)
	}
	return nil, nil, nil
}

func partsIn(fsys wal.FS, dir string) (sound, damaged []string, err error) {
	names, err := fsys.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("archive: %w", err)
	}
	for _, name := range names {
		switch {
		case isPart(name):
			sound = append(sound, name)
		case isPart(strings.TrimSuffix(name, damagedSuffix)):
			damaged = append(damaged, name)
		}
	}
	return sound, damaged, nil
}
