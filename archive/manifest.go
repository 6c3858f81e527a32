package archive

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// A Manifest says what is in a file. It is JSON at archive/_manifest/<name>.json, written
// when the file is in its place.
type Manifest struct {
	Version     int         `json:"version"`
	Key         string      `json:"key"` // of the file, with the prefix
	Source      string      `json:"source"`
	Compression Compression `json:"compression"`

	// Log, From and To are the log that the events come from and the range of their
	// sequence numbers, To not included. Files of other sources and periods have events
	// in between.
	Log  string `json:"log"`
	From uint64 `json:"from"`
	To   uint64 `json:"to"`

	// Count is how many events there are, Bytes how long the file is and RawBytes how
	// long its lines are without compression.
	Count    int64 `json:"count"`
	Bytes    int64 `json:"bytes"`
	RawBytes int64 `json:"rawBytes"`

	// Lost is how many further events there were, which the disk had damaged before the
	// file was finished.
	Lost int64 `json:"lost,omitempty"`

	// SHA256 is that of the file, hexadecimal.
	SHA256 string `json:"sha256"`

	// The earliest and the latest receivedAt and timestamp; zero if no event has one.
	FirstReceived  time.Time `json:"firstReceived"`
	LastReceived   time.Time `json:"lastReceived"`
	FirstTimestamp time.Time `json:"firstTimestamp"`
	LastTimestamp  time.Time `json:"lastTimestamp"`

	// Events counts track calls by name. At most 1,000 names are listed, none longer than
	// 200 bytes; MoreEvents says that there are others.
	Events     map[string]int64 `json:"events,omitempty"`
	MoreEvents bool             `json:"moreEvents,omitempty"`

	// IDs has the user ids and the anonymous ids.
	IDs Filter `json:"ids"`

	// Rewriting, unless it is nil, says that Forget is at work, or has died: the file is the
	// one of SHA256, or what Forget leaves of it.
	Rewriting *Remainder `json:"rewriting,omitempty"`

	// Erased is when Forget last took events out.
	Erased *time.Time `json:"erased,omitempty"`
}

// A Remainder is what Forget leaves of a file; no file where Count is zero.
type Remainder struct {
	Count    int64  `json:"count"`
	RawBytes int64  `json:"rawBytes"` // as in [Manifest]
	SHA256   string `json:"sha256"`   // of the lines without compression, hexadecimal
}

const (
	manifestVersion = 1
	mostManifest    = 8 << 20 // bytes; a filter has at most 4 MiB, and names 200 KB
)

// take copies what is known of the events.
func (m *Manifest) take(s *stats) {
	m.Count, m.Events, m.MoreEvents, m.IDs = s.count, s.names(), s.more, s.ids.filter()
	m.FirstReceived, m.LastReceived = s.firstReceived, s.lastReceived
	m.FirstTimestamp, m.LastTimestamp = s.firstTime, s.lastTime
}

func putManifest(ctx context.Context, b Bucket, key string, m *Manifest, absent bool) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("archive: manifest of %s: %w", m.Key, err)
	}
	err = b.Put(ctx, key, bytes.NewReader(raw), PutOptions{IfAbsent: absent, ContentType: "application/json"})
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("archive: manifest of %s: %w", m.Key, err)
	}
	return err
}

// manifest reads one by its key. What is wrong with it is a fault.
func (a *Archive) manifest(ctx context.Context, key string) (*Manifest, error) {
	r, err := a.bucket.Get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("archive: %s: %w", key, err)
	}
	if err != nil {
		return nil, a.unreadable(ctx, key, err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(&ctxReader{ctx, r}, mostManifest+1))
	if err != nil {
		return nil, a.unreadable(ctx, key, err)
	}
	m, err := parseManifest(raw, a.prefix, key)
	if err != nil {
		return nil, &fault{key, fmt.Errorf("the manifest is damaged: %w", err)}
	}
	return m, nil
}

// parseManifest reads a manifest, and refuses what cannot be one. Its key has to be that of
// its file.
func parseManifest(raw []byte, prefix, key string) (*Manifest, error) {
	if len(raw) > mostManifest {
		return nil, fmt.Errorf("it is longer than %d bytes", mostManifest)
	}
	m := &Manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, errors.New("it is not the JSON of a manifest")
	}
	sum, err := hex.DecodeString(m.SHA256)
	ext := extensionOf(m.Key)
	switch {
	case m.Version != manifestVersion:
		return nil, fmt.Errorf("its version is %d, this library knows %d", m.Version, manifestVersion)
	case !validKey(m.Key), !strings.HasPrefix(m.Key, prefix), manifestKey(prefix, m.Key) != key:
		return nil, errors.New("it is that of another file")
	case path.Base(m.Key) != fileName(m.Log, m.From, m.To)+ext, m.From >= m.To:
		return nil, errors.New("its log or range is not that of its file")
	case !m.folderFits(strings.TrimPrefix(m.Key, prefix)), ext == "", m.Compression != compressionOf(ext):
		return nil, errors.New("its source or compression is not that of its file")
	case m.Count < 0, m.Lost < 0, m.Bytes < 0, m.RawBytes < 0, err != nil, len(sum) != 32, !m.Rewriting.fits(m):
		return nil, errors.New("its numbers cannot be")
	}
	return m, nil
}

// fits tells whether it can be left of a file; nil can.
func (r *Remainder) fits(m *Manifest) bool {
	return r == nil || r.Count >= 0 && r.Count <= m.Count && r.RawBytes >= 0 && r.RawBytes <= m.RawBytes
}

// folderFits tells whether the file is in a folder of its source.
func (m *Manifest) folderFits(key string) bool {
	source := pathPart(m.Source) + "/"
	return strings.HasPrefix(key, segmentFolder+source) || strings.HasPrefix(key, hiveFolder) && strings.Contains(key, "/source="+source)
}

func compressionOf(ext string) Compression {
	if strings.HasSuffix(ext, zstdSuffix) {
		return Zstd
	}
	return Gzip
}

// fileOptions are those of a file of events.
func fileOptions(key string, absent bool) PutOptions {
	return PutOptions{IfAbsent: absent, ContentType: "text/plain", ContentEncoding: string(compressionOf(key))}
}
