package postgres

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/tributary-dev/analytics/warehouse"
)

const (
	// copyHeader begins a stream of COPY in binary format: signature, flags, length of
	// an extension.
	copyHeader = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

	// copyTrailer ends it.
	copyTrailer = "\xff\xff"

	// epoch is where the database counts from, 2000-01-01, in microseconds since 1970.
	epoch = 946_684_800_000_000

	// jsonbVersion stands before the text of a jsonb.
	jsonbVersion = 1

	// copyChunk is how much the encoder makes at a time, but for a row that is longer.
	copyChunk = 64 << 10
)

// encoder is the stream of a COPY: it makes rows when they are read, so that no more than
// a chunk is in memory.
type encoder struct {
	rows     warehouse.Rows
	from, to int
	skip     []bool // which of them are left out; nil is none

	mu       sync.Mutex // held while rows are used
	columns  []warehouse.Column
	row      []warehouse.Value
	next     int    // the row that comes next
	buf      []byte // what was made
	off      int    // how much of it was read
	end      error  // what follows it
	wrong    error  // why it ends early
	panicked any    // what the rows have panicked with
}

// newEncoder makes a stream of the rows from to to-1. It owns buf until stop.
func newEncoder(rows warehouse.Rows, from, to int, skip []bool, buf []byte) *encoder {
	return &encoder{
		rows: rows, from: from, to: to, skip: skip, columns: rows.Columns(),
		row: make([]warehouse.Value, len(rows.Columns())), next: from,
		buf: append(buf[:0], copyHeader...),
	}
}

// Read is called by the driver on a goroutine of its own.
func (e *encoder) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.buf)-e.off < len(p) {
		e.buf, e.off = e.buf[:copy(e.buf, e.buf[e.off:])], 0
		e.fill()
	}
	if e.off == len(e.buf) {
		return 0, e.end
	}
	n := copy(p, e.buf[e.off:])
	e.off += n
	return n, nil
}

// fill makes rows until there is a chunk, or the end. A panic would end the process, since
// nobody can recover it on the driver's goroutine.
func (e *encoder) fill() {
	defer func() {
		if v := recover(); v != nil {
			e.panicked = v
			e.fail(errPanicked)
		}
	}()
	for e.end == nil && len(e.buf) < copyChunk {
		if e.next == e.to {
			e.buf = append(e.buf, copyTrailer...)
			e.end = io.EOF
			return
		}
		if e.skip == nil || !e.skip[e.next-e.from] {
			e.rows.Row(e.next, e.row)
			if err := checkRow(e.columns, e.row); err != nil {
				e.fail(err)
				return
			}
			e.buf = appendRow(e.buf, e.row)
		}
		e.next++
	}
}

// fail ends the stream, which has the server refuse all of it.
func (e *encoder) fail(err error) {
	e.buf, e.off = e.buf[:0], 0
	e.end, e.wrong = err, err
}

// checkRow wants that values have the kinds of their columns.
func checkRow(columns []warehouse.Column, row []warehouse.Value) error {
	for i := range row {
		if k := row[i].Kind; k != columns[i].Kind && k != warehouse.Null {
			return kindError("column " + columns[i].Name + " is " + columns[i].Kind.String() + ", a value is " + k.String())
		}
	}
	return nil
}

// stop makes sure that rows are used no more: the driver may leave its goroutine behind
// when the connection breaks. It returns the buffer.
func (e *encoder) stop() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	buf := e.buf
	e.buf, e.off, e.end = nil, 0, io.ErrClosedPipe
	return buf
}

// appendRow appends a tuple of the binary format: the number of its fields, and each with
// its length before it.
func appendRow(b []byte, row []warehouse.Value) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(row)))
	for i := range row {
		b = appendValue(b, &row[i])
	}
	return b
}

func appendValue(b []byte, v *warehouse.Value) []byte {
	switch v.Kind {
	case warehouse.Bool:
		return append(b, 0, 0, 0, 1, byte(v.N))
	case warehouse.Int, warehouse.Float:
		return appendInt(b, v.N)
	case warehouse.Time:
		return appendInt(b, v.N-epoch)
	case warehouse.String:
		b = binary.BigEndian.AppendUint32(b, uint32(len(v.S)))
		return append(b, v.S...)
	case warehouse.JSON:
		b = binary.BigEndian.AppendUint32(b, uint32(len(v.S)+1))
		b = append(b, jsonbVersion)
		return append(b, v.S...)
	}
	return append(b, 0xff, 0xff, 0xff, 0xff)
}

func appendInt(b []byte, n int64) []byte {
	b = append(b, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(b, uint64(n))
}
