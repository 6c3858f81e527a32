package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

const (
	gzipLevel = 6 // that of package archive
	piece     = 64 << 10
)

// compressor is a gzip or zstd writer.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// newCompressor has the level that package archive has.
func newCompressor(c archive.Compression) (compressor, error) {
	if c == archive.Zstd {
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	}
	return gzip.NewWriterLevel(nil, gzipLevel)
}

// archives compares the archive with the compressor that it has inside.
func (r *run) archives() (figures []page.Figure, err error) {
	for _, c := range []archive.Compression{archive.Gzip, archive.Zstd} {
		err := r.in(func(dir string) error {
			a := &archiving{run: r, dir: dir, compression: c}
			if err := a.compare(); err != nil {
				return err
			}
			figures = append(figures, a.figures()...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return figures, nil
}

// The sides of the comparison.
const (
	alone = iota // the compressor, into nothing
	inFile
	ours
	sides
)

type archiving struct {
	*run
	dir         string
	compression archive.Compression
	z           compressor

	took  [sides][]time.Duration // of a round
	bytes int64                  // of a round, not compressed
	all   int64
}

func (a *archiving) compare() (err error) {
	if a.z, err = newCompressor(a.compression); err != nil {
		return err
	}
	bucket := &archive.Folder{Path: filepath.Join(a.dir, "archive")}
	d := &archive.Destination{Bucket: bucket, Source: source, Compression: a.compression}
	if err := d.Open(analytics.Env{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		return err
	}
	for round := range a.rounds {
		if err := a.round(d, round); err != nil {
			return errors.Join(err, d.Close(context.Background()))
		}
	}
	if err := d.Close(a.ctx); err != nil {
		return err
	}
	return a.check(bucket)
}

// round has a file of each side, and lets another side begin each time.
func (a *archiving) round(d *archive.Destination, round int) (err error) {
	hand := &partFile{dir: a.dir, z: a.z}
	var took [sides]time.Duration
	a.bytes = 0
	for i := range a.batches {
		n := round*a.batches + i
		b := events(n*a.batch, a.batch)
		pieces := lines(b)
		for _, p := range pieces {
			a.bytes += int64(len(p))
		}
		for k := range sides {
			side := (n + k) % sides
			runtime.GC()
			start := time.Now()
			switch side {
			case alone:
				err = compress(a.z, io.Discard, pieces)
			case inFile:
				err = hand.add(pieces)
			case ours:
				pprof.Do(a.ctx, pprof.Labels("side", "ours"), func(context.Context) { err = a.deliver(d, b) })
			}
			took[side] += time.Since(start)
			if err != nil {
				return err
			}
		}
	}
	a.all += a.bytes
	start := time.Now()
	if err := d.Rotate(a.ctx); err != nil {
		return err
	}
	took[ours] += time.Since(start)
	for side := range took {
		a.took[side] = append(a.took[side], took[side])
	}
	return hand.remove()
}

// lines are what the archive writes of a batch, in pieces of whole lines.
func lines(b *batch) (pieces [][]byte) {
	p := make([]byte, 0, piece)
	for i, raw := range b.raw {
		if len(p)+len(raw)+64 > piece {
			pieces, p = append(pieces, p), make([]byte, 0, piece)
		}
		p = append(append(p, raw[:len(raw)-1]...), `,"receivedAt":"`...)
		p = append(b.headers[i].AcceptedAt.AppendFormat(p, "2006-01-02T15:04:05.000Z"), "\"}\n"...)
	}
	return append(pieces, p)
}

// compress makes one member.
func compress(z compressor, w io.Writer, pieces [][]byte) error {
	out := bufio.NewWriterSize(w, piece)
	z.Reset(out)
	for _, p := range pieces {
		if _, err := z.Write(p); err != nil {
			return err
		}
	}
	return errors.Join(z.Close(), out.Flush())
}

// partFile is a file to which members are appended, with as many syncs as the archive has.
type partFile struct {
	dir     string
	z       compressor
	members int
}

func (f *partFile) name() string { return filepath.Join(f.dir, "by-hand") }

func (f *partFile) add(pieces [][]byte) error {
	file, err := os.OpenFile(f.name(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(compress(f.z, file, pieces), file.Sync(), file.Close()); err != nil {
		return err
	}
	f.members++
	note, err := os.Create(f.name() + ".tmp")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(note, f.members)
	if err = errors.Join(err, note.Sync(), note.Close(), syncDir(f.dir)); err != nil {
		return err
	}
	return errors.Join(os.Rename(note.Name(), f.name()+".note"), syncDir(f.dir))
}

func (f *partFile) remove() error {
	return errors.Join(os.Remove(f.name()), os.Remove(f.name()+".note"))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// check finds every byte in the archive.
func (a *archiving) check(bucket archive.Bucket) error {
	found, err := archive.Open(bucket, "")
	if err != nil {
		return err
	}
	var count, bytes int64
	for f, err := range found.Files(a.ctx, archive.Query{}) {
		if err != nil {
			return err
		}
		count, bytes = count+f.Count, bytes+f.RawBytes
	}
	if count != int64(a.events()) || bytes != a.all {
		return fmt.Errorf("the archive has %d events and %d bytes, want %d and %d", count, bytes, a.events(), a.all)
	}
	return nil
}

// minArchive is the target for the share of the compressor's speed.
const minArchive = 0.9

func (a *archiving) figures() []page.Figure {
	rate := func(side int) string {
		return fmt.Sprintf("%.0f MB/s", float64(a.bytes)/1e6/median(a.took[side]).Seconds())
	}
	share := func(side int) (all []float64) {
		for i, took := range a.took[ours] {
			all = append(all, float64(a.took[side][i])/float64(took))
		}
		return all
	}
	file := share(inFile)
	mine := page.Figure{
		Name: "the same: ours, from raw JSON",
		Value: fmt.Sprintf("%s, %.0f %% of by hand (rounds: %.0f to %.0f %%), %.0f %% of alone", rate(ours),
			100*median(file), 100*slices.Min(file), 100*slices.Max(file), 100*median(share(alone))),
	}
	if a.compression == archive.Gzip {
		mine.Target, mine.Met = fmt.Sprintf("≥ %.0f %% of by hand", 100*minArchive), median(file) >= minArchive
	}
	name := fmt.Sprintf("archive of %s events, %s", page.Grouped(a.events()), a.compression)
	return []page.Figure{{Name: name + ": the compressor alone", Value: rate(alone)}, {Name: "the same: by hand into a file", Value: rate(inFile)}, mine}
}
