package trackingapi

import (
	"encoding/binary"

	"github.com/tributary-dev/analytics/internal/wal"
)

// What the external tests of Window need of its inside.

var (
	OpenWindowFS = openWindow
	LockByName   = lockByName
)

const WindowRecord = recordSize

// WindowSip is the hash of a text of whole words.
func WindowSip(key [16]byte, text string) (out [16]byte) {
	id := newWindowHasher(key).text(text).finish(len(text) / 8)
	binary.LittleEndian.PutUint64(out[:], id.a)
	binary.LittleEndian.PutUint64(out[8:], id.b)
	return out
}

// WindowSum is the hash of a source and an id.
func WindowSum(key [16]byte, source, messageID string) [2]uint64 {
	id := newWindowHasher(key).sum(source, messageID)
	return [2]uint64{id.a, id.b}
}

// SignWindowFile makes the checks of a file right: of its header, and of its records,
// whose kind is the lowest bit of what stood in their place.
func SignWindowFile(key [16]byte, b []byte) {
	format := newWindowFormat(key)
	for i := 0; i+recordSize <= len(b); i += recordSize {
		kind := recordKind(b[i+16] & 1)
		if i == 0 {
			copy(b, windowMagic)
			kind = recordHeader
		}
		id := windowID{binary.LittleEndian.Uint64(b[i:]), binary.LittleEndian.Uint64(b[i+8:])}
		format.append(b[i:i], id, kind)
	}
}

// WriteWindowKey puts a key into a directory.
func WriteWindowKey(fsys wal.FS, dir string, key [16]byte) error {
	return writeWindowKey(fsys, dir, key)
}
