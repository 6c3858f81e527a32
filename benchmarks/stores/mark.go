package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
)

// mark is a number in a file of eight bytes: how far a log that knows no consumers
// is finished. It survives the death of the process; after a loss of power it may be
// an older one, and events come twice.
type mark struct {
	file  *os.File
	value uint64
}

func openMark(dir string) (*mark, error) {
	file, err := os.OpenFile(filepath.Join(dir, "mark"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	m := &mark{file: file}
	var b [8]byte
	if n, _ := file.ReadAt(b[:], 0); n == len(b) {
		m.value = binary.LittleEndian.Uint64(b[:])
	}
	return m, nil
}

func (m *mark) set(v uint64) error {
	m.value = v
	_, err := m.file.WriteAt(binary.LittleEndian.AppendUint64(nil, v), 0)
	return err
}
