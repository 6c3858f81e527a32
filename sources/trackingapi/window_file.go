package trackingapi

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tributary-dev/analytics/internal/wal"
)

// A window's directory holds
//
//	lock                  held by the window that has it open
//	key                   the key of its hashes: magic, 16 bytes, check
//	0000000000000001.ids  ids in the order of their claims; each file belongs to a
//	                      generation, which has more than one when there are many
//
// A file of ids begins with a header and goes on with records, all of 20 bytes: two words
// and a check. The words of the header are the magic and the end of the generation in
// nanoseconds since 1970, those of a record are the hash. The check is a CRC-32C that
// begins with the key and the kind, so that it fails for a file of another key and tells
// a release from a claim. All numbers are little-endian.
const (
	recordSize = 20

	windowKeySize = 28
	windowKeyName = "key"
	windowLock    = "lock"
	windowSuffix  = ".ids"

	windowMagic    = "tapi ids"
	windowKeyMagic = "tapi win"
)

// errWindowVersion tells of a directory that a later version of this package has written.
var errWindowVersion = errors.New("was written by another version")

// recordKind is what the check of a record tells beside its being whole.
type recordKind int

const (
	recordClaim recordKind = iota
	recordRelease
	recordHeader
	recordKinds
)

// windowFormat writes and reads records under a key.
type windowFormat [recordKinds]uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newWindowFormat(key windowKey) (f windowFormat) {
	for kind := range f {
		f[kind] = crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, []byte{byte(kind)})
	}
	return f
}

// append writes a record. It does not allocate where b has room.
func (f *windowFormat) append(b []byte, id windowID, kind recordKind) []byte {
	b = binary.LittleEndian.AppendUint64(b, id.a)
	b = binary.LittleEndian.AppendUint64(b, id.b)
	return binary.LittleEndian.AppendUint32(b, crc32.Update(f[kind], castagnoli, b[len(b)-16:]))
}

// read is the record in b; ok is false if it is damaged.
func (f *windowFormat) read(b []byte) (id windowID, kind recordKind, ok bool) {
	id.a, id.b = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	check := binary.LittleEndian.Uint32(b[16:])
	for kind := range recordKinds {
		if crc32.Update(f[kind], castagnoli, b[:16]) == check {
			return id, kind, true
		}
	}
	return id, 0, false
}

func (f *windowFormat) header(until int64) []byte {
	magic := binary.LittleEndian.Uint64([]byte(windowMagic))
	return f.append(nil, windowID{magic, uint64(until)}, recordHeader)
}

// readHeader is the end of the generation that a file belongs to.
func (f *windowFormat) readHeader(b []byte) (until int64, ok bool) {
	if len(b) < recordSize || string(b[:8]) != windowMagic {
		return 0, false
	}
	id, kind, ok := f.read(b[:recordSize])
	return int64(id.b), ok && kind == recordHeader
}

// windowFile is a file of ids.
type windowFile struct {
	seq   uint64
	until int64 // the end of its generation
	size  int64 // up to the end of its last whole record
}

func windowFileName(seq uint64) string { return fmt.Sprintf("%016x%s", seq, windowSuffix) }

// parseWindowFile is the number in the name of a file of ids.
func parseWindowFile(name string) (seq uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, windowSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 16, 63)
	return seq, err == nil && windowFileName(seq) == name
}

// readWindowFile gives the records of a file to each, and returns what the file is and how
// much of it is damaged: records, a torn end, or all of it, in which case size is 0.
func readWindowFile(f wal.File, format *windowFormat, each func(id windowID, kind recordKind, until int64)) (file windowFile, damaged uint64, err error) {
	size, err := f.Size()
	if err != nil {
		return file, 0, err
	}
	buf := make([]byte, recordSize*3200)
	b, err := readAt(f, buf[:recordSize], 0)
	if err != nil {
		return file, 0, err
	}
	until, ok := format.readHeader(b)
	if !ok {
		return file, 1, nil
	}
	file.until, file.size = until, size-size%recordSize
	if size != file.size {
		damaged++
	}
	for off := int64(recordSize); off < file.size; off += int64(len(buf)) {
		b, err := readAt(f, buf[:min(int64(len(buf)), file.size-off)], off)
		if err != nil {
			return file, damaged, err
		}
		for ; len(b) >= recordSize; b = b[recordSize:] {
			id, kind, ok := format.read(b)
			if !ok || kind == recordHeader {
				damaged++
				continue
			}
			each(id, kind, until)
		}
	}
	return file, damaged, nil
}

// readAt fills b, or as much of it as the file has.
func readAt(f wal.File, b []byte, off int64) ([]byte, error) {
	n, err := f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

// readWindowKey reads the key; found is false if there is none that is whole, damaged if
// there is one that is not.
func readWindowKey(fsys wal.FS, dir string) (key windowKey, found, damaged bool, err error) {
	b, err := wal.ReadSmall(fsys, filepath.Join(dir, windowKeyName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return key, false, false, nil
	case err != nil:
		return key, false, false, err
	case len(b) != windowKeySize || crc32.Checksum(b[:24], castagnoli) != binary.LittleEndian.Uint32(b[24:]):
		return key, false, true, nil
	case string(b[:8]) != windowKeyMagic:
		return key, false, false, errWindowVersion
	}
	return windowKey(b[8:24]), true, false, nil
}

// writeWindowKey writes the key so that it is there as a whole or not at all, even when
// the power is lost.
func writeWindowKey(fsys wal.FS, dir string, key windowKey) error {
	b := append([]byte(windowKeyMagic), key[:]...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	name := filepath.Join(dir, windowKeyName)
	f, err := fsys.Open(name+".new", true, true)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	err = cmp.Or(err, f.Sync())
	if err = cmp.Or(err, f.Close()); err != nil {
		return err
	}
	return cmp.Or(fsys.Rename(name+".new", name), fsys.SyncDir(dir))
}
