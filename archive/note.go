package archive

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
)

// The note says what is in the parts, and where the destination stands in each log. A part
// is as long as the note says, whatever is in its file; so a batch is wholly written or
// not at all.
type note struct {
	Serial uint64               `json:"serial"` // of the newest part
	Logs   map[string]*position `json:"logs"`
	Parts  []*part              `json:"parts"`
}

// position is where the destination stands in a log: the first sequence number that is
// not written.
type position struct {
	Next uint64    `json:"next"`
	At   time.Time `json:"at"` // when it last moved
}

// There are two files for the note, which are written in turns: one line with version,
// turn, length and checksum (CRC-32C), then JSON. The newest that is whole counts. That
// costs one sync, where a new file and its name would cost two.
const (
	noteVersion = 1
	noteHead    = "analytics archive note %d %d %d %08x\n"
	mostHead    = 100
	notePage    = 4096 // a file whose length stays as it is costs less to sync
	mostNote    = 64 << 20
	lockName    = "lock"
	partSuffix  = ".part"
	mostLogs    = 1000 // a client without a spool has a new log each time
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func noteName(turn uint64) string   { return fmt.Sprintf("note-%d", turn%2) }
func partName(serial uint64) string { return fmt.Sprintf("p-%d%s", serial, partSuffix) }

// openDir locks the folder and reads the note.
func (d *Destination) openDir() (err error) {
	if err := d.fs.MkdirAll(d.dir); err != nil {
		return err
	}
	lock, err := d.fs.Lock(filepath.Join(d.dir, lockName))
	if err != nil {
		if errors.Is(err, wal.ErrLocked) {
			err = fmt.Errorf("another destination works there: %w", err)
		}
		return err
	}
	d.lock, d.closed, d.pending = lock, false, nil
	d.open = make(map[partKey]*part)
	for i := range d.packers {
		d.packers[i] = &packer{z: make(map[string]compressor)}
	}
	if err = d.load(); err != nil {
		err = errors.Join(err, lock.Close())
	}
	return err
}

func (d *Destination) load() error {
	names, err := d.fs.ReadDir(d.dir)
	if err != nil {
		return err
	}
	n, turn, err := readNote(d.fs, d.dir)
	if err == nil && turn == 0 && slices.ContainsFunc(names, isPart) {
		err = errors.New("there are unfinished files, but no note of what is in them")
	}
	if err != nil {
		return err
	}
	d.turn, d.serial, d.logs, d.parts = turn, n.Serial, n.Logs, n.Parts
	for _, p := range n.Parts {
		if !p.Sealed {
			d.open[p.openKey()] = p
		}
	}
	for _, name := range names { // parts that the note does not know were never promised
		d.serial = max(d.serial, serialOf(name)) // nothing is written over what was put aside
		known := slices.ContainsFunc(d.parts, func(p *part) bool { return p.File == name })
		if isPart(name) && !known {
			if err := d.fs.Remove(filepath.Join(d.dir, name)); err != nil {
				return err
			}
		}
	}
	if turn == 0 {
		syncAbove(d.fs, d.dir)
	}
	// Twice, so that both files are there, and before Position is believed: the process
	// before may have died in between.
	return errors.Join(d.save(), d.save(), d.fs.SyncDir(d.dir))
}

// syncAbove makes the name of a folder safe from a loss of power, and those of the folders
// above that may be new with it. What cannot be synced, such as a folder of somebody else,
// is not new.
func syncAbove(fsys wal.FS, dir string) {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		above := filepath.Dir(dir)
		if above == dir || fsys.SyncDir(above) != nil {
			return
		}
	}
}

func isPart(name string) bool { return strings.HasSuffix(name, partSuffix) }

// serialOf is that of a part, put aside or not; zero of another file.
func serialOf(name string) (serial uint64) {
	if n, _ := fmt.Sscanf(name, "p-%d"+partSuffix, &serial); n != 1 {
		return 0
	}
	return serial
}

// save writes the note. After an error nobody knows which one the next process finds, so
// nothing may change before a further save has told: see assure.
func (d *Destination) save() error {
	d.unsure = true
	d.pruneLogs()
	content, err := json.Marshal(note{d.serial, d.logs, d.parts})
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	turn := d.turn + 1
	raw := fmt.Appendf(nil, noteHead, noteVersion, turn, len(content), crc32.Checksum(content, castagnoli))
	f, err := d.fs.Open(filepath.Join(d.dir, noteName(turn)), true, true)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	raw = append(raw, content...)
	raw = append(raw, bytes.Repeat([]byte{'\n'}, notePage-len(raw)%notePage)...)
	_, err = f.WriteAt(raw, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	d.turn, d.unsure = turn, false
	return nil
}

var errTooMuch = errors.New("archive: too many sources and periods at a time")

// fits refuses planned parts with which the note would be longer than it may be.
func (d *Destination) fits() error {
	const logs, one = mostLogs * 200, 700 // more than the positions need, and the numbers of a part
	size := logs
	add := func(p *part) { size += one + 6*(len(p.Source)+len(p.Prefix)+len(p.Folder)) } // JSON writes up to six bytes for one
	for _, p := range d.parts {
		add(p)
	}
	for _, p := range d.pending {
		if p.before.count == 0 {
			add(p)
		}
	}
	if size > cmp.Or(d.noteLimit, mostNote-notePage) {
		return errTooMuch
	}
	return nil
}

// assure saves the note again where that has failed.
func (d *Destination) assure() error {
	if !d.unsure {
		return nil
	}
	return d.save()
}

// pruneLogs forgets the logs that have not moved for the longest time.
func (d *Destination) pruneLogs() {
	for len(d.logs) > mostLogs {
		oldest := ""
		for log, at := range d.logs {
			if oldest == "" || at.At.Before(d.logs[oldest].At) {
				oldest = log
			}
		}
		delete(d.logs, oldest)
	}
}
