package file_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/file"
)

const (
	delivered = analytics.WordDelivered
	again     = analytics.WordAgain
)

// open opens d; it is closed when the test is over.
func open(t testing.TB, d *file.Destination) *file.Destination {
	t.Helper()
	desttest.Open(t, d, desttest.Serve(nil))
	return d
}

// pathIn is the file of a test, in a directory of its own.
func pathIn(t testing.TB) string { return filepath.Join(t.TempDir(), "events.ndjson") }

// event is a track call; fill makes its line longer by so many bytes.
func event(t testing.TB, id string, fill int) *analytics.Event {
	t.Helper()
	return desttest.Event(t, fmt.Sprintf(
		`{"type":"track","messageId":%q,"timestamp":"2026-05-02T18:04:05.250Z","userId":"u-1","event":"Song Played","properties":{"fill":%q}}`,
		id, strings.Repeat("x", fill)))
}

// write delivers one batch that has to arrive.
func write(t testing.TB, d *file.Destination, events ...*analytics.Event) {
	t.Helper()
	results := desttest.Deliver(t, d, events...)
	require.True(t, results.All(delivered), "%+v", results)
}

// linesOf are the whole lines of a file, which must end with a line break.
func linesOf(t testing.TB, path string) []string {
	t.Helper()
	lines, err := readLines(path)
	require.NoError(t, err)
	return lines
}

func readLines(path string) ([]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(path, ".gz") {
		zr, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		if raw, err = io.ReadAll(zr); err != nil {
			return nil, err
		}
	}
	text, ok := strings.CutSuffix(string(raw), "\n")
	switch {
	case len(raw) == 0:
		return nil, nil
	case !ok:
		return nil, fmt.Errorf("%s does not end with a line break", filepath.Base(path))
	}
	return strings.Split(text, "\n"), nil
}

// idsIn returns the messageIds of the lines, each of which must be an event.
func idsIn(lines []string) ([]string, error) {
	ids := []string{}
	for _, line := range lines {
		var m struct{ MessageID string }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return nil, fmt.Errorf("a line is no event: %.60q", line)
		}
		ids = append(ids, m.MessageID)
	}
	return ids, nil
}

// stored returns the ids in all files of the directory: the rotated ones by name, then
// the current one, which is named without a time.
func stored(dir, current string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Name() != current {
			names = append(names, e.Name())
		}
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == current }) {
		names = append(names, current)
	}
	all := []string{}
	for _, name := range names {
		lines, err := readLines(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		ids, err := idsIn(lines)
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	return all, nil
}

func requireStored(t testing.TB, path string, want ...string) {
	t.Helper()
	got, err := stored(filepath.Dir(path), filepath.Base(path))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestLinesAreTheEventsOfTheLog(t *testing.T) {
	path := pathIn(t)
	d := open(t, &file.Destination{Path: path})
	raw := []string{
		`{"type":"track","messageId":"m-1","userId":"u","event":"<b>&","properties":{"n":9007199254740993,"p":1.10,"line":"a\nb"}}`,
		`{"type":"object","messageId":"m-2","collection":"products","id":"p-1","properties":{"name":"LP"}}`,
		`{"messageId":"m-3","type":"alias","previousId":"a","userId":"u","unknown":[null]}`,
	}
	var b analytics.Batch
	for i, line := range raw {
		kind := []analytics.Call{analytics.CallTrack, analytics.CallObject, analytics.CallAlias}[i]
		it, err := d.TranslateRaw(&analytics.Header{Type: kind, MessageID: fmt.Sprintf("m-%d", i+1)}, []byte(line))
		require.NoError(t, err)
		b.Items = append(b.Items, it)
	}
	require.NoError(t, d.Deliver(t.Context(), &b))
	require.Equal(t, raw, linesOf(t, path))
}

func TestEveryCallIsKept(t *testing.T) {
	path := pathIn(t)
	d := open(t, &file.Destination{Path: path})
	var want []string
	inputs := append(desttest.Inputs(t), desttest.Wide(t)...)
	for _, in := range inputs {
		write(t, d, in.Event)
	}
	object := desttest.Event(t, `{"type":"object","messageId":"m-object","collection":"products","id":"p-1","properties":{"name":"LP"}}`)
	write(t, d, object)
	lines := linesOf(t, path)
	require.Len(t, lines, len(inputs)+1)
	for i, in := range inputs {
		raw, err := in.Event.MarshalJSON()
		require.NoError(t, err)
		require.Empty(t, desttest.DiffJSON(raw, []byte(lines[i])), in.ID)
		want = append(want, in.Event.MessageID)
	}
	requireStored(t, path, append(want, "m-object")...)
}

func TestSeveralBatchesAreInOrder(t *testing.T) {
	path := pathIn(t)
	d := open(t, &file.Destination{Path: path})
	write(t, d, event(t, "m-1", 0), event(t, "m-2", 0), event(t, "m-3", 0))
	write(t, d, event(t, "m-4", 0))
	write(t, d, event(t, "m-5", 30_000), event(t, "m-6", 0))
	requireStored(t, path, "m-1", "m-2", "m-3", "m-4", "m-5", "m-6")
}

func TestPermissions(t *testing.T) {
	path := pathIn(t)
	for _, compress := range []bool{false, true} {
		d := open(t, &file.Destination{Path: path, MaxBytes: 400, Gzip: compress})
		for i := range 6 {
			write(t, d, event(t, fmt.Sprintf("m-%d", i), 300))
		}
		require.NoError(t, d.Close(t.Context()))
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Greater(t, len(entries), 2)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode(), e.Name())
	}
}

func TestReopening(t *testing.T) {
	whole := `{"type":"track","messageId":"m-0"}` + "\n"
	for name, c := range map[string]struct{ before, between string }{
		"a file that ends well is continued":   {whole, whole},
		"an empty file is used":                {"", ""},
		"a torn last line is ended":            {whole + `{"type":"tra`, whole + `{"type":"tra` + "\n"},
		"a whole last line without end is too": {strings.TrimSuffix(whole, "\n"), whole},
		"a file with one torn line is too":     {`{`, "{\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := pathIn(t)
			require.NoError(t, os.WriteFile(path, []byte(c.before), 0o600))
			d := open(t, &file.Destination{Path: path})
			write(t, d, event(t, "m-1", 0))
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			rest, ok := strings.CutPrefix(string(raw), c.between)
			require.True(t, ok, "%q", raw)
			ids, err := idsIn(strings.Split(strings.TrimSuffix(rest, "\n"), "\n"))
			require.NoError(t, err)
			require.Equal(t, []string{"m-1"}, ids)
			require.True(t, strings.HasSuffix(rest, "\n"))
		})
	}
	t.Run("what was written before stays", func(t *testing.T) {
		path := pathIn(t)
		for i := range 3 {
			d := open(t, &file.Destination{Path: path})
			write(t, d, event(t, fmt.Sprintf("m-%d", i), 0))
			require.NoError(t, d.Close(t.Context()))
		}
		requireStored(t, path, "m-0", "m-1", "m-2")
	})
}
