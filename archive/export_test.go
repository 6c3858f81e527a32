package archive

import (
	"bytes"
	"io"
	"math"

	"github.com/tributary-dev/analytics/internal/wal"
)

// UseFS puts the folder of parts on another file system.
func (d *Destination) UseFS(fs wal.FS) { d.fs = fs }

// LimitNote has the note hold little beside the positions.
func (d *Destination) LimitNote(bytes int) { d.noteLimit = mostLogs*200 + bytes }

// EachLine reads a file as Events does.
var EachLine = func(raw []byte, key string, rawBytes int64) (n int, err error) {
	_, err = eachLine(summed(bytes.NewReader(raw)), &Manifest{Key: key, RawBytes: rawBytes}, func(_ int64, line []byte, v *fields) error {
		n++
		if v.id == "" || len(line) >= maxLine {
			panic("a line that is no event")
		}
		return nil
	})
	return n, err
}

// SoundFront measures what is sound at the beginning of a damaged part.
func SoundFront(raw []byte, ext string, rawBytes int64) (bytesOf, rawOf, count int64) {
	front := soundFront(io.NewSectionReader(bytes.NewReader(raw), 0, int64(len(raw))), &part{Ext: ext, RawBytes: rawBytes, Count: math.MaxInt64})
	return front.bytes, front.rawLen, front.count
}

// ParseManifest reads a manifest.
var ParseManifest = parseManifest

// Parts of the package that have tests of their own.
var (
	PathPart   = pathPart
	Received   = received
	TimeOf     = timeOf
	WithMember = withMember
	Fitting    = fitting
)

// FilterOf is the filter of a file with n events.
func FilterOf(n int, user func(i int) string) Filter {
	s := newStats()
	for i := range n {
		s.add(&facts{user: hashOf(userKind, user(i))}, nil)
	}
	return s.ids.filter()
}

// LockForget takes the lock of a Forget.
func LockForget(f *Folder) (unlock func() error, err error) { return f.lockForget() }
