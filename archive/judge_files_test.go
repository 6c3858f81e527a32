package archive_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
)

// unpack reads a file as anybody would: by the end of its name.
func unpack(key string, data []byte) ([]byte, error) {
	if strings.HasSuffix(key, ".zst") {
		r, err := zstd.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	if !strings.HasSuffix(key, ".gz") {
		return nil, fmt.Errorf("nobody knows what is in a file of this name")
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// beginsMember tells whether a member of a gzip file may begin here, or a frame of a zstd
// file: one with events, or one that is skipped.
func beginsMember(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\x1f\x8b")) || bytes.HasPrefix(data, []byte("\x28\xb5\x2f\xfd")) ||
		len(data) > 3 && string(data[1:4]) == "\x2a\x4d\x18"
}

// cleanCuts are the lengths at which a file can be cut so that what is left is a whole one.
func cleanCuts(key string, data []byte) (ends []int) {
	for end := 1; end < len(data); end++ {
		if !beginsMember(data[end:]) {
			continue
		}
		if text, err := unpack(key, data[:end]); err == nil && len(text) > 0 {
			ends = append(ends, end)
		}
	}
	return ends
}

// accepted is an event of a log, as it was accepted.
type accepted struct {
	id       string
	log      string
	seq      uint64
	raw      []byte
	at       time.Time
	source   string
	received time.Time
}

// line is how the event has to stand in a file.
func (e *accepted) line() string {
	line := string(e.raw)
	if strings.ContainsAny(line, "\n\r") {
		var b bytes.Buffer
		if err := json.Compact(&b, e.raw); err != nil {
			panic(err)
		}
		line = b.String()
	}
	if e.own("receivedAt") == nil {
		line = line[:len(line)-1] + `,"receivedAt":"` + e.at.UTC().Format("2006-01-02T15:04:05.000Z") + `"}`
	}
	return line
}

// own is a member of the event.
func (e *accepted) own(key string) json.RawMessage {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(e.raw, &members); err != nil {
		panic(err)
	}
	return members[key]
}

// receivedAt is when the event was received: as it says itself, else when it was accepted.
func (e *accepted) receivedAt() time.Time {
	if e.received.IsZero() {
		e.received = e.at.UTC().Truncate(time.Millisecond)
		var at time.Time
		if own := e.own("receivedAt"); own != nil && json.Unmarshal(own, &at) == nil {
			e.received = at.UTC()
		}
	}
	return e.received
}

// shape says where files have to be.
type shape struct {
	prefix      string // with its slash
	layout      archive.Layout
	env         string
	seconds     bool
	compression archive.Compression
}

// folder is where the files of an event are.
func (s shape) folder(e *accepted) string {
	at := e.receivedAt()
	day := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	switch {
	case s.layout == archive.Hive:
		return fmt.Sprintf("%sarchive/env=%s/source=%s/day=%s/hour=%02d/", s.prefix, s.env, e.source, at.Format("2006-01-02"), at.Hour())
	case s.seconds:
		return fmt.Sprintf("%ssegment-logs/%s/%d/", s.prefix, e.source, day.Unix())
	}
	return fmt.Sprintf("%ssegment-logs/%s/%d/", s.prefix, e.source, day.UnixMilli())
}

func (s shape) ending() string {
	ending := ".gz"
	if s.compression == archive.Zstd {
		ending = ".zst"
	}
	if s.layout == archive.Hive {
		ending = ".ndjson" + ending
	}
	return ending
}

var fileName = regexp.MustCompile(`^([0-9a-f]{32})-(\d+)-(\d+)$`)

// splitName takes a name apart: log, and the range.
func splitName(t *testing.T, name string) (log string, from, to uint64) {
	t.Helper()
	parts := fileName.FindStringSubmatch(name)
	require.NotNil(t, parts, "%s is not <log>-<from>-<to>", name)
	from, err := strconv.ParseUint(parts[2], 10, 64)
	require.NoError(t, err)
	to, err = strconv.ParseUint(parts[3], 10, 64)
	require.NoError(t, err)
	return parts[1], from, to
}

// linesOf reads a file.
func linesOf(t *testing.T, s *shelf, key string) []string {
	t.Helper()
	text, err := unpack(key, s.files[key])
	require.NoError(t, err, key)
	require.True(t, bytes.HasSuffix(text, []byte("\n")), "%s does not end with a line", key)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func idOf(t *testing.T, line string) string {
	t.Helper()
	var head struct{ MessageID string }
	require.NoError(t, json.Unmarshal([]byte(line), &head), line)
	require.NotEmpty(t, head.MessageID, line)
	return head.MessageID
}

// requireArchived looks at the files themselves: each event is in one of them, once, byte
// for byte, under the key of its source, day and range, in the order of its log; and
// nothing else is there. Each manifest says what is so.
func requireArchived(t *testing.T, s *shelf, form shape, want []*accepted) {
	t.Helper()
	byID := map[string]*accepted{}
	for _, e := range want {
		require.Nil(t, byID[e.id], "the test has used an id twice")
		byID[e.id] = e
	}
	found := map[string]string{}
	manifests := 0
	for _, key := range s.keys("") {
		if isManifest(key) {
			manifests++
			continue
		}
		name, events := key[strings.LastIndexByte(key, '/')+1:], []*accepted{}
		require.True(t, strings.HasSuffix(name, form.ending()), key)
		log, from, to := splitName(t, strings.TrimSuffix(name, form.ending()))
		last := from
		for _, line := range linesOf(t, s, key) {
			id := idOf(t, line)
			e := byID[id]
			require.NotNil(t, e, "%s has an event that nobody has sent: %s", key, line)
			require.Empty(t, found[id], "%s is twice: in %s and in %s", id, found[id], key)
			found[id] = key
			require.Equal(t, e.line(), line, "%s in %s", id, key)
			require.Equal(t, form.folder(e), strings.TrimSuffix(key, name), "the folder of %s", id)
			require.Equal(t, e.log, log, "the log of %s", id)
			require.GreaterOrEqual(t, e.seq, last, "%s is not in the range or the order of %s", id, key)
			require.Less(t, e.seq, to, "%s is not in the range of %s", id, key)
			last, events = e.seq+1, append(events, e)
		}
		manifest := form.prefix + "archive/_manifest/" + strings.TrimSuffix(name, form.ending()) + ".json"
		require.Contains(t, s.files, manifest, "the manifest of %s", key)
		requireTrue(t, s, manifest, key, form, events)
	}
	for _, e := range want {
		require.NotEmpty(t, found[e.id], "seq %d of %s is in no file", e.seq, e.log)
	}
	require.Equal(t, len(s.data()), manifests, "manifests and files")
	require.Empty(t, s.halves, "files that were not whole when they were written")
}

// requireTrue computes everything that a manifest says.
func requireTrue(t *testing.T, s *shelf, manifest, key string, form shape, events []*accepted) {
	t.Helper()
	var m archive.Manifest
	require.NoError(t, json.Unmarshal(s.files[manifest], &m), manifest)
	text, err := unpack(key, s.files[key])
	require.NoError(t, err)
	sum := sha256.Sum256(s.files[key])
	log, from, to := splitName(t, strings.TrimSuffix(key[strings.LastIndexByte(key, '/')+1:], form.ending()))
	want := archive.Manifest{
		Version: m.Version, Key: m.Key, Source: events[0].source, Compression: form.compression, Log: log, From: from, To: to,
		Count: int64(len(events)), Bytes: int64(len(s.files[key])), RawBytes: int64(len(text)), SHA256: hex.EncodeToString(sum[:]),
		FirstReceived: events[0].receivedAt(), LastReceived: events[0].receivedAt(),
		Erased: m.Erased, IDs: m.IDs,
	}
	require.Positive(t, m.Version)
	require.Equal(t, key, m.Key)
	for _, e := range events {
		for _, id := range []string{"userId", "previousId"} {
			var user string
			if json.Unmarshal(e.own(id), &user) == nil && user != "" {
				require.True(t, m.IDs.HasUser(user), "the filter does not know %s", user)
			}
		}
		want.FirstReceived, want.LastReceived = earlier(want.FirstReceived, e.receivedAt()), later(want.LastReceived, e.receivedAt())
		var top struct {
			Type, Event string
			Timestamp   time.Time
		}
		require.NoError(t, json.Unmarshal(e.raw, &top))
		if want.FirstTimestamp.IsZero() {
			want.FirstTimestamp, want.LastTimestamp = top.Timestamp, top.Timestamp
		}
		want.FirstTimestamp, want.LastTimestamp = earlier(want.FirstTimestamp, top.Timestamp), later(want.LastTimestamp, top.Timestamp)
		if top.Type == "track" {
			if want.Events == nil {
				want.Events = map[string]int64{}
			}
			want.Events[top.Event]++
		}
	}
	require.Equal(t, asJSON(t, want), asJSON(t, m), manifest)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	return string(text)
}

// requireVerified expects that Verify finds nothing wrong.
func requireVerified(t *testing.T, b archive.Bucket, prefix string, events int) {
	t.Helper()
	a, err := archive.Open(b, prefix)
	require.NoError(t, err)
	report, err := a.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, report.Faults)
	require.Zero(t, report.MoreFaults)
	require.EqualValues(t, events, report.Events)
}

// read collects the events of a query: lines by id.
func read(t *testing.T, b archive.Bucket, prefix string, q archive.Query) map[string]string {
	t.Helper()
	a, err := archive.Open(b, prefix)
	require.NoError(t, err)
	found := map[string]string{}
	for e, err := range a.Events(t.Context(), q) {
		require.NoError(t, err)
		require.Empty(t, found[e.MessageID], "%s is twice", e.MessageID)
		found[e.MessageID] = string(e.Raw)
	}
	return found
}
