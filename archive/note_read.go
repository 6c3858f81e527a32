package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/tributary-dev/analytics/internal/wal"
)

// readNote reads the newest note of a folder. turn is 0 where there is none.
func readNote(fsys wal.FS, dir string) (n *note, turn uint64, err error) {
	n = &note{Logs: make(map[string]*position)}
	files, raw := 0, []byte(nil)
	for slot := range uint64(2) {
		t, content, err := readSlot(fsys, filepath.Join(dir, noteName(slot)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		if files++; t > turn {
			turn, raw = t, content
		}
	}
	switch {
	case turn == 0 && files == 2:
		return nil, 0, errors.New("both notes of what is in unfinished files are damaged")
	case turn == 0: // none, or the first was never finished
		return n, 0, nil
	}
	if err := json.Unmarshal(raw, n); err != nil || !n.sound() {
		return nil, 0, errors.New("the note of what is in unfinished files is damaged")
	}
	return n, turn, nil
}

// readSlot reads one of the files; turn is 0 if it is not whole.
func readSlot(fsys wal.FS, name string) (turn uint64, content []byte, err error) {
	f, err := fsys.Open(name, false, false)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, nil, err
	}
	if size > mostNote {
		return 0, nil, fmt.Errorf("the note of what is in unfinished files has %d bytes, the most is %d", size, mostNote)
	}
	raw, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		return 0, nil, err
	}
	head, content, _ := bytes.Cut(raw, []byte("\n"))
	var version, length, sum uint64
	if len(head) > mostHead {
		return 0, nil, nil
	}
	if _, err := fmt.Sscanf(string(head)+"\n", noteHead, &version, &turn, &length, &sum); err != nil || length > uint64(len(content)) {
		return 0, nil, nil
	}
	if content = content[:length]; uint64(crc32.Checksum(content, castagnoli)) != sum {
		return 0, nil, nil
	}
	if version != noteVersion {
		return 0, nil, fmt.Errorf("the note of what is in unfinished files is of version %d, this library knows %d", version, noteVersion)
	}
	return turn, content, nil
}

// sound refuses what this library does not write.
func (n *note) sound() bool {
	if n.Logs == nil {
		n.Logs = make(map[string]*position)
	}
	for _, at := range n.Logs {
		if at == nil {
			return false
		}
	}
	return !slices.ContainsFunc(n.Parts, func(p *part) bool {
		return p == nil || filepath.Base(p.File) != p.File || !isPart(p.File) || p.Aside != "" && filepath.Base(p.Aside) != p.Aside ||
			!validKey(p.key()) || p.Bytes < 0 || p.From >= p.To
	})
}
