package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"time"
)

// Layout is where files are.
type Layout string

const (
	// Segment is that of Segment's raw logs: segment-logs/<source>/<day>/<file>.gz, the day
	// as the Unix time of its beginning in milliseconds.
	Segment Layout = "segment"

	// Hive is what query engines know as partitions:
	// archive/env=<env>/source=<source>/day=2026-11-23/hour=12/<file>.ndjson.gz.
	Hive Layout = "hive"
)

// Compression is how files are compressed.
type Compression string

const (
	// Gzip is read by everything.
	Gzip Compression = "gzip"

	// Zstd is smaller and faster; the names end in .zst instead of .gz.
	Zstd Compression = "zstd"
)

// The folders of files and manifests, below the prefix.
const (
	segmentFolder  = "segment-logs/"
	hiveFolder     = "archive/env="
	manifestFolder = "archive/_manifest/"
	manifestSuffix = ".json"
	gzipSuffix     = ".gz"
	zstdSuffix     = ".zst"
)

// suffix ends the name of a file.
func (c Compression) suffix() string {
	if c == Zstd {
		return zstdSuffix
	}
	return gzipSuffix
}

// period is the length of what a file is for, in milliseconds.
func (l Layout) period() int64 {
	if l == Hive {
		return time.Hour.Milliseconds()
	}
	return 24 * time.Hour.Milliseconds()
}

// begin is the beginning of the period of a time.
func (l Layout) begin(received int64) int64 {
	into := received % l.period()
	if into < 0 {
		into += l.period()
	}
	return received - into
}

// folder is that of a source and period, with a slash at the end.
func (d *Destination) folder(source string, begin int64) string {
	if d.Layout == Hive {
		at := time.UnixMilli(begin).UTC()
		return fmt.Sprintf("%s%s%s/source=%s/day=%s/hour=%02d/",
			d.prefix(), hiveFolder, pathPart(d.env()), pathPart(source), at.Format(time.DateOnly), at.Hour())
	}
	if d.SecondDays {
		begin /= 1000
	}
	return fmt.Sprintf("%s%s%s/%d/", d.prefix(), segmentFolder, pathPart(source), begin)
}

// extension ends the names of the files of a layout.
func (d *Destination) extension() string {
	if d.Layout == Hive {
		return ".ndjson" + d.compression().suffix()
	}
	return d.compression().suffix()
}

// manifestKey is where the manifest of a file is. Log and the first sequence number are
// in one file only, so its name alone tells them apart.
func manifestKey(prefix, key string) string {
	name := path.Base(key)
	return prefix + manifestFolder + strings.TrimSuffix(name, extensionOf(name)) + manifestSuffix
}

// extensionOf ends the name of a file of either layout; empty if it is none.
func extensionOf(name string) string {
	for _, layout := range []string{".ndjson", ""} {
		for _, c := range []Compression{Gzip, Zstd} {
			if ext := layout + c.suffix(); strings.HasSuffix(name, ext) {
				return ext
			}
		}
	}
	return ""
}

// fileName is the name of a file without its extension.
func fileName(log string, from, to uint64) string {
	return firstOfName(log, from) + fmt.Sprintf("%020d", to)
}

// firstOfName begins it.
func firstOfName(log string, from uint64) string { return fmt.Sprintf("%s-%020d-", log, from) }

// cleanPrefix is a prefix as keys have it.
func cleanPrefix(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return ""
	}
	return prefix + "/"
}

// prefixFault says what is wrong with a prefix; empty if nothing is.
func prefixFault(prefix string, local bool) string {
	switch {
	case prefix != "" && !validKey(strings.TrimSuffix(prefix, "/")):
		return "is not a path of names"
	case local && reserved(prefix):
		return "is where a Folder has what is not finished"
	}
	return ""
}

// pathPart makes a name one part of a path: what is neither letter, digit, "-", "_" nor
// an inner "." is written as "~" and two hexadecimal digits. The end of one that is too
// long for a name of a file is replaced by a hash.
func pathPart(name string) string {
	const most, kept = 120, 80
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "~%02x", c)
		}
	}
	if b.Len() <= most {
		return b.String()
	}
	return b.String()[:kept] + hashTail(name)
}

// hashTail stands for the end of a name that is too long: 33 bytes, made of all of it.
func hashTail(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "~" + hex.EncodeToString(sum[:16])
}
