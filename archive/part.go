package archive

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"time"
)

// part is an unfinished file, as the note has it. What is in its file beyond Bytes was
// never promised, and is overwritten.
type part struct {
	File     string    `json:"file"`
	Prefix   string    `json:"prefix"`
	Folder   string    `json:"folder"` // of the key that it is going to have
	Ext      string    `json:"ext"`
	Layout   Layout    `json:"layout"`
	Source   string    `json:"source"`
	Log      string    `json:"log"`
	Begin    int64     `json:"begin"` // of its period, Unix milliseconds
	Since    time.Time `json:"since"` // when its first event came
	From     uint64    `json:"from"`
	To       uint64    `json:"to"`
	Count    int64     `json:"count"`
	Bytes    int64     `json:"bytes"`
	RawBytes int64     `json:"rawBytes"`
	Sum      uint32    `json:"crc32c,omitempty"` // of the first Bytes; zero: of a note that had none
	Lost     int64     `json:"lost,omitempty"`   // events that were damaged: Count is without them
	Aside    string    `json:"aside,omitempty"`  // where its damaged file goes, or has gone
	Sealed   bool      `json:"sealed,omitempty"` // nothing is added any more

	stats   *stats  // nil: of an earlier process, it is read again
	entries []entry // of the batch that is being written
	before  extent
}

// extent is what a batch changes of a part.
type extent struct {
	from, to             uint64
	count, bytes, rawLen int64
	sum                  uint32
}

// partKey finds the part of an event.
type partKey struct{ folder, ext, log string }

// entry is an event of a batch on its way into a part.
type entry struct {
	line     []byte
	m        *meta
	accepted int64 // Unix milliseconds
	seq      uint64
}

func (p *part) key() string {
	return p.Folder + fileName(p.Log, p.From, p.To) + p.Ext
}

// openKey finds it among those that are written to.
func (p *part) openKey() partKey { return partKey{p.Folder, p.Ext, p.Log} }

func (p *part) end() int64 { return p.Begin + p.Layout.period() }

func (p *part) save() {
	p.before = extent{p.From, p.To, p.Count, p.Bytes, p.RawBytes, p.Sum}
}

func (p *part) undo() {
	b := &p.before
	p.From, p.To, p.Count, p.Bytes, p.RawBytes, p.Sum = b.from, b.to, b.count, b.bytes, b.rawLen, b.sum
	p.drop()
}

// drop forgets the events of the batch: they belong to the log.
func (p *part) drop() {
	clear(p.entries)
	p.entries = p.entries[:0]
}

// write appends the entries of a batch, which are on the disk when it returns.
func (d *Destination) write(p *part) (err error) {
	file, err := d.fs.Open(filepath.Join(d.dir, p.File), true, true)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	end, raw, sum, summed := p.Bytes, p.RawBytes, p.Sum, p.summed()
	members, err := d.compress(p)
	for i := 0; i < len(members) && err == nil; i++ {
		_, err = file.WriteAt(members[i].out.Bytes(), end)
		if summed {
			sum = crc32.Update(sum, castagnoli, members[i].out.Bytes())
		}
		end += int64(members[i].out.Len())
		raw += members[i].raw
	}
	if err == nil {
		err = file.Sync()
	}
	if err = cmp.Or(err, file.Close()); err != nil {
		return fmt.Errorf("archive: write %s: %w", p.File, err)
	}
	if p.Count == 0 {
		p.From = p.entries[0].seq
	}
	p.To = p.entries[len(p.entries)-1].seq + 1
	p.Count += int64(len(p.entries))
	p.Bytes, p.RawBytes, p.Sum = end, raw, sum
	return nil
}

// summed tells whether Sum is that of its bytes: it goes on from the first.
func (p *part) summed() bool { return p.Sum != 0 || p.Bytes == 0 }

// commit counts the entries, now that the note has them.
func (p *part) commit() {
	if p.stats != nil {
		for i := range p.entries {
			e := &p.entries[i]
			if !e.m.own {
				e.m.facts.received = time.UnixMilli(e.accepted).UTC()
			}
			p.stats.add(&e.m.facts, func(name string) string { return name })
		}
	}
	p.drop()
}
