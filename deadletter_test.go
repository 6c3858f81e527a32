package analytics_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
)

type letter struct {
	Time, Destination, Reason, Error string
	Attempts                         int
	Event                            json.RawMessage
}

func readLetters(t *testing.T, path string) (letters []letter) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, len(b) == 0 || b[len(b)-1] == '\n', "a line is whole")
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var l letter
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&l), s.Text())
		letters = append(letters, l)
	}
	require.NoError(t, s.Err())
	return letters
}

func deadLetter(n int) analytics.DeadLetter {
	return analytics.DeadLetter{
		Time:        time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600)),
		Destination: "Amplitude", Reason: analytics.ReasonRejected, Attempts: 3, Error: "status 400 Bad Request", MessageID: "m",
		Event: fmt.Appendf(nil, `{"messageId":"m%d","event":"<a> & \u2028 ü"}`, n),
	}
}

func TestDeadLetterFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	f := &analytics.DeadLetterFile{Path: path}
	require.NoError(t, f.Close(), "a file that was never opened")
	_, err := os.Stat(path)
	require.ErrorIs(t, err, fs.ErrNotExist, "the first letter makes the file")
	require.NoError(t, f.Write(deadLetter(0)))
	require.NoError(t, f.Write(analytics.DeadLetter{}))
	letters := readLetters(t, path)
	require.Len(t, letters, 2)
	require.JSONEq(t, string(deadLetter(0).Event), string(letters[0].Event))
	letters[0].Event = nil
	require.Equal(t, letter{Time: "2026-01-02T02:04:05.678Z", Destination: "Amplitude", Reason: "rejected", Error: "status 400 Bad Request", Attempts: 3}, letters[0])

	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	require.NoError(t, f.Write(deadLetter(1)), "it opens again")
	require.Len(t, readLetters(t, path), 3, "and appends")
	require.NoError(t, f.Close())
}

func TestDeadLetterFileIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	mode := func(path string) fs.FileMode {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	t.Run("a new file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dead.ndjson")
		f := &analytics.DeadLetterFile{Path: path, MaxBytes: 300}
		for i := range 5 {
			require.NoError(t, f.Write(deadLetter(i)))
		}
		require.NoError(t, f.Close())
		require.Equal(t, fs.FileMode(0o600), mode(path))
		require.Equal(t, fs.FileMode(0o600), mode(path+".1"))
	})
	t.Run("a file that was there with wider rights", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dead.ndjson")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chmod(path, 0o644))
		f := &analytics.DeadLetterFile{Path: path}
		require.NoError(t, f.Write(deadLetter(0)))
		require.NoError(t, f.Close())
		require.Equal(t, fs.FileMode(0o600), mode(path), "dead letters hold events: they are for their owner only")
	})
}

func TestDeadLetterFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	const limit = 1000
	f := &analytics.DeadLetterFile{Path: path, MaxBytes: limit}
	for i := range 100 {
		require.NoError(t, f.Write(deadLetter(i)))
		for _, name := range []string{path, path + ".1"} {
			if info, err := os.Stat(name); err == nil {
				require.LessOrEqual(t, info.Size(), int64(limit))
			}
		}
		letters := readLetters(t, path)
		require.Contains(t, string(letters[len(letters)-1].Event), fmt.Sprintf(`"m%d"`, i), "the last letter is there")
	}
	before := readLetters(t, path+".1")
	require.NotEmpty(t, before)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 2, "one old file, no more")

	big := deadLetter(0)
	big.Event = []byte(`"` + strings.Repeat("x", 2*limit) + `"`)
	require.NoError(t, f.Write(big), "a letter that is larger than the file may be is written all the same")
	require.NoError(t, f.Write(deadLetter(1)))
	require.Len(t, readLetters(t, path), 1)
	require.Len(t, readLetters(t, path+".1"), 1)
	require.NoError(t, f.Close())

	again := &analytics.DeadLetterFile{Path: path, MaxBytes: limit}
	for i := range 4 {
		require.NoError(t, again.Write(deadLetter(i)), "what the process before wrote counts")
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(limit))
	require.NoError(t, again.Close())
}

func TestDeadLetterFileFromManyGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	f := &analytics.DeadLetterFile{Path: path}
	const callers, each = 16, 50
	var wg sync.WaitGroup
	for i := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range each {
				if err := f.Write(deadLetter(i*each + j)); err != nil {
					t.Error(err)
				}
				if j%20 == 0 {
					if err := f.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		}()
	}
	wg.Wait()
	require.NoError(t, f.Close())
	seen := map[string]bool{}
	for _, l := range readLetters(t, path) {
		require.False(t, seen[string(l.Event)])
		seen[string(l.Event)] = true
	}
	require.Len(t, seen, callers*each)
}

func TestDeadLetterFileErrors(t *testing.T) {
	t.Run("no path", func(t *testing.T) {
		require.Error(t, (&analytics.DeadLetterFile{}).Write(deadLetter(0)))
	})
	t.Run("no directory, until there is one", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "later")
		f := &analytics.DeadLetterFile{Path: filepath.Join(dir, "dead.ndjson")}
		err := f.Write(deadLetter(0))
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.NotContains(t, err.Error(), "Amplitude")
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, f.Write(deadLetter(1)))
		require.NoError(t, f.Close())
		require.Len(t, readLetters(t, f.Path), 1)
	})
	t.Run("the old file cannot be replaced, until it can", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dead.ndjson")
		require.NoError(t, os.MkdirAll(filepath.Join(path+".1", "full"), 0o700))
		f := &analytics.DeadLetterFile{Path: path, MaxBytes: 1}
		require.NoError(t, f.Write(deadLetter(0)))
		for range 3 {
			require.Error(t, f.Write(deadLetter(1)))
		}
		require.Len(t, readLetters(t, path), 1, "the bound holds")
		require.NoError(t, os.RemoveAll(path+".1"))
		require.NoError(t, f.Write(deadLetter(2)))
		require.NoError(t, f.Close())
		require.Len(t, readLetters(t, path), 1)
		require.Len(t, readLetters(t, path+".1"), 1)
	})
}

// Reason corrupt stands for events that are not JSON any more. They are what one
// wants to look at, and a line of NDJSON has to hold them all the same.
func TestDeadLetterFileTakesDamagedEvents(t *testing.T) {
	for _, event := range []string{`{"messageId":"m`, "\x00\xff", `{} {}`, "{\n}"} {
		path := filepath.Join(t.TempDir(), "dead.ndjson")
		f := &analytics.DeadLetterFile{Path: path}
		l := deadLetter(0)
		l.Reason, l.Event = analytics.ReasonCorrupt, []byte(event)
		require.NoError(t, f.Write(l), "%q", event)
		require.NoError(t, f.Close())
		letters := readLetters(t, path)
		require.Len(t, letters, 1)
		require.NotEmpty(t, letters[0].Event)
	}
}
