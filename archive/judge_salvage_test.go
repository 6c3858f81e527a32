package archive_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// hurt is a destination with a part of four batches of six events, on a disk in memory.
type hurt struct {
	compression archive.Compression
	f           *feed
	fs          *faultfs.FS
	s           *shelf
	door        *door
	d           *archive.Destination

	part string // its name on the disk
	good []byte
	ends []int  // of its members
	key  string // that it would have had
}

const hurtEvents, hurtBatch = 24, 6

// sparse is a number that is another one under the race detector.
func sparse(n, underRace int) int {
	if raced {
		return underRace
	}
	return n
}

// homeFeed is a feed whose events are all of the default source.
func homeFeed(name byte, n int) *feed {
	f := newFeed(name, n, night.Add(-time.Hour), time.Millisecond)
	for _, e := range f.all() {
		e.source = "default"
	}
	return f
}

func newHurt(t *testing.T, compression archive.Compression, batch uint64) *hurt {
	t.Helper()
	h := &hurt{compression: compression, f: homeFeed('h', 42), fs: faultfs.New(1), s: newShelf()}
	h.open(t)
	require.NoError(t, h.f.run(t, h.d, batch, 28))
	h.part = h.fs.Files()[slices.IndexFunc(h.fs.Files(), func(name string) bool { return strings.HasSuffix(name, ".part") })]
	h.key = fmt.Sprintf("segment-logs/default/%d/%s-%020d-%020d%s", night.Truncate(24*time.Hour).UnixMilli(), h.f.log, 0, 27, shape{compression: compression}.ending())
	var err error
	h.good, err = h.fs.ReadFile(h.part)
	require.NoError(t, err)
	h.ends = append(cleanCuts(h.key, h.good), len(h.good))
	return h
}

func (h *hurt) open(t *testing.T) {
	t.Helper()
	h.door = h.s.door()
	h.d = &archive.Destination{Bucket: h.door, Dir: "/parts", Compression: h.compression}
	h.d.UseFS(h.fs)
	require.NoError(t, h.d.Open(analytics.Env{}))
}

// kill ends the process, and begins the next one.
func (h *hurt) kill(t *testing.T) {
	t.Helper()
	h.door.gate.Lock()
	h.door.dead = true
	h.door.gate.Unlock()
	old := h.d
	h.fs = h.fs.Kill()
	_ = old.Close(t.Context()) // its goroutine
	h.open(t)
}

func (h *hurt) damage(t *testing.T, bad []byte) {
	t.Helper()
	require.NoError(t, h.fs.Corrupt(h.part, func([]byte) []byte { return bytes.Clone(bad) }))
}

// aside are the contents of what was put aside.
func (h *hurt) aside(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range h.fs.Files() {
		if strings.Contains(name, "damaged") {
			data, err := h.fs.ReadFile(name)
			require.NoError(t, err)
			found[name] = string(data)
		}
	}
	return found
}

// kept is how many events came into the file under the key. Each is byte for byte what was
// delivered, those in front of the damage are there, and the manifest counts the others.
func (h *hurt) kept(t *testing.T, bad []byte) int {
	t.Helper()
	before, at := 0, 0
	for at < len(bad) && at < len(h.good) && bad[at] == h.good[at] {
		at++
	}
	for _, end := range h.ends {
		if end <= at {
			before += hurtBatch
		}
	}
	require.Empty(t, h.s.halves)
	name := strings.TrimSuffix(path.Base(h.key), shape{compression: h.compression}.ending())
	raw, there := h.s.files["archive/_manifest/"+name+".json"]
	if _, ok := h.s.files[h.key]; !ok {
		require.False(t, there, "a manifest of nothing")
		require.Zero(t, before, "nothing was taken of what is sound")
		require.Empty(t, h.s.keys(""), "another key")
		return 0
	}
	require.True(t, there, "no manifest")
	require.Len(t, h.s.keys(""), 2)
	lines := linesOf(t, h.s, h.key)
	all := h.f.all()
	require.LessOrEqual(t, len(lines), hurtEvents)
	for i, line := range lines {
		require.Equal(t, all[i].line(), line)
	}
	require.GreaterOrEqual(t, len(lines), before, "events in front of the damage are lost")
	require.Zero(t, len(lines)%hurtBatch, "half of a batch is not sound")
	var m archive.Manifest
	require.NoError(t, json.Unmarshal(raw, &m))
	sum := sha256.Sum256(h.s.files[h.key])
	require.Equal(t, []any{h.key, h.f.log.String(), uint64(0), uint64(27), int64(len(lines)), int64(hurtEvents - len(lines)), hex.EncodeToString(sum[:])},
		[]any{m.Key, m.Log, m.From, m.To, m.Count, m.Lost, m.SHA256})
	require.Nil(t, m.Rewriting)
	requireLost(t, h.s, len(lines), hurtEvents-len(lines))
	return len(lines)
}

// requireLost expects that Verify finds no fault, and these numbers.
func requireLost(t *testing.T, b archive.Bucket, events, lost int) {
	t.Helper()
	a, err := archive.Open(b, "")
	require.NoError(t, err)
	report, err := a.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, report.Faults)
	require.EqualValues(t, events, report.Events)
	require.EqualValues(t, lost, report.Lost)
}

// requireTold expects an error that says how many events are lost, or none if none are.
func requireTold(t *testing.T, err error, lost int) {
	t.Helper()
	if lost == 0 {
		require.NoError(t, err)
		return
	}
	require.ErrorContains(t, err, "damaged")
	require.Regexp(t, regexp.MustCompile(fmt.Sprintf(`\b%d\b`, lost)), err.Error())
	require.NotContains(t, err.Error(), "Step", "content of events")
}

// requireSalvaged finishes a damaged part and expects what the contract says.
func (h *hurt) requireSalvaged(t *testing.T, bad []byte) {
	t.Helper()
	h.damage(t, bad)
	err := h.d.Rotate(t.Context())
	kept := h.kept(t, bad)
	if text, failed := unpack(h.key, bad); failed == nil {
		if whole, _ := unpack(h.key, h.good); bytes.Equal(text, whole) {
			require.Equal(t, hurtEvents, kept, "it can be read all the same")
		}
	}
	requireTold(t, err, hurtEvents-kept)
	if kept < hurtEvents {
		require.Equal(t, map[string]string{h.part + ".damaged": string(bad)}, h.aside(t))
	} else {
		require.Empty(t, h.aside(t))
	}
	require.NoError(t, h.d.Rotate(t.Context()), "it is said once")
	require.NoError(t, h.f.run(t, h.d, 7, 42), "the next events")
	require.NoError(t, h.d.Close(t.Context()))
	lost := hurtEvents - kept
	if kept == 0 {
		lost = 0 // no manifest says so
	}
	requireLost(t, h.s, kept+12, lost)
	found := read(t, h.s, "", archive.Query{})
	for _, e := range h.f.all()[hurtEvents:] {
		require.Equal(t, e.line(), found[e.id], "behind the damage")
	}
	for _, name := range h.fs.Files() {
		require.False(t, strings.HasSuffix(name, ".part"), name)
	}
}

// wounds are what becomes of a part: each is there for a reason of its own.
func wounds(h *hurt, visit func(name string, bad []byte)) {
	good, step := h.good, sparse(5, 71)
	for at := 0; at < len(good); at += step {
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		visit(fmt.Sprint("flip at ", at), bad)
	}
	for end := 0; end < len(good); end += 4*step + 1 {
		visit(fmt.Sprint("cut at ", end), good[:end])
		visit(fmt.Sprint("zeros from ", end), append(bytes.Clone(good[:end]), make([]byte, len(good)-end)...))
		torn := bytes.Clone(good) // a sector of another file
		copy(torn[end:], bytes.Repeat([]byte{0x1f, 0x8b, 8, 0}, 8))
		visit(fmt.Sprint("overwritten at ", end), torn)
	}
	for i, end := range h.ends {
		visit(fmt.Sprint("flip in front of ", end), append(append(bytes.Clone(good[:end-1]), good[end-1]^0x80), good[end:]...))
		if i < 3 {
			visit(fmt.Sprint("cut between members at ", end), good[:end])
			visit(fmt.Sprint("flip behind ", end), append(append(bytes.Clone(good[:end]), good[end]^1), good[end+1:]...))
			visit(fmt.Sprint("a byte more at ", end), append(append(bytes.Clone(good[:end]), 0), good[end:]...))
		}
	}
	visit("a byte is missing in front", good[1:])
	visit("text", bytes.Repeat([]byte("hello\n"), len(good)/6+1)[:len(good)])
	visit("the lines alone", func() []byte { text, _ := unpack(h.key, good); return text }())
}

func TestJudgeSalvage(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		for _, lives := range []bool{true, false} {
			wounds(newHurt(t, compression, 7), func(name string, bad []byte) {
				t.Run(fmt.Sprintf("%s, lives %v, %s", compression, lives, name), func(t *testing.T) {
					h := newHurt(t, compression, 7)
					if !lives {
						h.kill(t)
					}
					h.requireSalvaged(t, bad)
				})
			})
		}
	}
}

// Of the header of a gzip member, the time, the flags of the compressor and the system say
// nothing about the events.
func TestJudgeSalvageOfGzipHeaders(t *testing.T) {
	for member := range 4 {
		for _, at := range []int{4, 5, 6, 7, 8, 9} {
			h := newHurt(t, archive.Gzip, 7)
			if at%2 == 0 {
				h.kill(t)
			}
			bad := bytes.Clone(h.good)
			bad[append([]int{0}, h.ends...)[member]+at] ^= 0x41
			h.damage(t, bad)
			require.NoError(t, h.d.Close(t.Context()))
			require.Empty(t, h.aside(t))
			require.Equal(t, hurtEvents, h.kept(t, bad))
			require.Empty(t, h.s.changed)
		}
	}
}
