package analytics_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
)

type letter struct {
	Time, Destination, Reason, Error string
	Attempts                         int
	Event                            json.RawMessage
	EventBytes                       []byte
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

// collected is everything that a reader has to say.
func collected(r io.Reader) (letters []analytics.DeadLetter, errs []error) {
	for l, err := range analytics.ReadDeadLetters(r) {
		if err != nil {
			errs = append(errs, err)
		} else {
			letters = append(letters, l)
		}
	}
	return letters, errs
}

// written is the file that letters make.
func written(t testing.TB, letters ...analytics.DeadLetter) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	f := &analytics.DeadLetterFile{Path: path}
	for _, l := range letters {
		require.NoError(t, f.Write(l))
	}
	require.NoError(t, f.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// asWritten is a letter as it comes back.
func asWritten(l analytics.DeadLetter) analytics.DeadLetter {
	l.Time = l.Time.UTC().Truncate(time.Millisecond)
	if len(l.Event) == 0 {
		l.Event = nil
	}
	return l
}

func TestReadDeadLettersAreThoseWritten(t *testing.T) {
	letters := []analytics.DeadLetter{{}}
	for why := analytics.ReasonNone; why.String() != "unknown"; why++ {
		l := deadLetter(int(why))
		l.Reason, l.MessageID = why, fmt.Sprintf("m%d", why)
		letters = append(letters, l)
	}
	for _, event := range []string{
		`{"messageId":"m","x":"<&>` + "\u2028" + `ü\u0000\ud800","n":12345678901234567890.10,"n":1e400}`, `{"messageId":"m","dam`, "{\n", `"text"`, `null`, `{} {}`,
		"\x00\xff", "{\"messageId\":\"m\",\"x\":\"\xff\"}", strings.Repeat("\x01\xff", 16<<10),
	} {
		l := deadLetter(0)
		l.Event, l.MessageID = []byte(event), ""
		if strings.Contains(event, "messageId") {
			l.MessageID = "m"
		}
		letters = append(letters, l)
	}
	have, errs := collected(bytes.NewReader(written(t, letters...)))
	require.Empty(t, errs)
	require.Len(t, have, len(letters))
	for i, l := range letters {
		require.Equal(t, asWritten(l), have[i])
	}
}

const goodLine = `{"time":"2026-01-02T02:04:05.678Z","destination":"A","reason":"rejected","attempts":1,"event":{"messageId":"m"}}`

func TestReadDeadLettersGoesOnBehindADamagedLine(t *testing.T) {
	field := func(key, value string) string {
		var m map[string]json.RawMessage
		_ = json.Unmarshal([]byte(goodLine), &m)
		if m[key] = json.RawMessage(value); value == "" {
			delete(m, key)
		}
		b, _ := json.Marshal(m)
		return string(b)
	}
	for _, row := range []struct{ name, line, want string }{
		{"half a line", goodLine[:70], "letter: is not one whole JSON object"},
		{"the end of a line", goodLine[70:], "letter: is not one whole JSON object"},
		{"two letters in a line", goodLine + goodLine, "letter: is not one whole JSON object"},
		{"half a letter and a whole one", goodLine[:70] + goodLine, "letter: is not one whole JSON object"},
		{"zeros, as power loss leaves them", strings.Repeat("\x00", 5000), "letter: is not one whole JSON object"},
		{"garbage", "\xff\xfe{secret}", "letter: is not one whole JSON object"},
		{"a list", `[1]`, "letter: is not one whole JSON object"},
		{"a number", `17`, "letter: is not one whole JSON object"},
		{"a line of a log", `{"time":"2026-01-02T02:04:05.678Z","level":"INFO","msg":"secret"}`,
			"attempts: is not a whole number\nevent: is not a string\ndestination: is not a string\nreason: is not a string"},
		{"keys of another case", strings.ReplaceAll(goodLine, `"event"`, `"Event"`), "event: is not a string"},
		{"nested without end", field("event", strings.Repeat(`{"a":`, 200)+"1"+strings.Repeat("}", 200)), "letter: is nested deeper than 100 levels"},
		{"longer than the limit", `{"event":"` + strings.Repeat("x", 1<<20), "letter: is longer than 1048576 bytes"},
		{"much longer than the limit", strings.Repeat("secret", 1<<20), "letter: is longer than 1048576 bytes"},
		{"no time", field("time", ""), "time: is not a string"},
		{"an empty time", field("time", `""`), "time: is not an RFC 3339 date of the years 1 to 9999"},
		{"another time", field("time", `"secret"`), "time: is not an RFC 3339 date of the years 1 to 9999"},
		{"the year 0", field("time", `"0000-01-01T00:00:00Z"`), "time: is not an RFC 3339 date of the years 1 to 9999"},
		{"a number for a destination", field("destination", "17"), "destination: is not a string"},
		{"no reason", field("reason", ""), "reason: is not a string"},
		{"half an attempt", field("attempts", "1.5"), "attempts: is not a whole number"},
		{"too many attempts", field("attempts", "99999999999999999999"), "attempts: is not a whole number"},
		{"null for an event", field("event", "null"), "event: is not a string"},
		{"an error that is none", field("error", "{}"), "error: is not a string"},
		{"bytes that are none", field("eventBytes", `"secret!"`), "eventBytes: is not base64"},
		{"a number for bytes", field("eventBytes", `1`), "eventBytes: is not a string"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once": strings.NewReader(goodLine + "\n" + row.line + "\n\n \r\n" + goodLine + "\r\n"),
				"in bits": iotest.OneByteReader(strings.NewReader(goodLine + "\n" + row.line + "\n\n \r\n" + goodLine)),
			} {
				letters, errs := collected(r)
				require.Len(t, letters, 2, name)
				require.Equal(t, letters[0], letters[1])
				require.Len(t, errs, 1, name)
				require.EqualError(t, errs[0], "dead letters: line 2: "+row.want)
				faultsOf(t, errs[0])
				require.NotContains(t, errs[0].Error(), "secret")
			}
		})
	}
}

func TestReadDeadLettersKeepsTheNameOfAnUnknownReason(t *testing.T) {
	line := strings.ReplaceAll(goodLine, `"rejected"`, `"eaten","error":"status 418","later":[{}]`)
	letters, errs := collected(strings.NewReader(line))
	require.Empty(t, errs, "a letter of a newer version is one all the same")
	require.Equal(t, analytics.ReasonNone, letters[0].Reason)
	require.Equal(t, `reason "eaten": status 418`, letters[0].Error)
	again, errs := collected(bytes.NewReader(written(t, letters...)))
	require.Empty(t, errs)
	require.Equal(t, letters, again)
}

func TestReadDeadLettersTellsOfItsReader(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader(goodLine+"\n"+goodLine+"\n"+goodLine), iotest.ErrReader(broken))
	seq := analytics.ReadDeadLetters(r)
	for range 2 {
		for l, err := range seq {
			require.NoError(t, err)
			require.Equal(t, "m", l.MessageID)
			break // the next loop reads on from here
		}
	}
	letters, errs := 0, []error{}
	for _, err := range seq {
		if err == nil {
			letters++
			continue
		}
		errs = append(errs, err)
	}
	require.Zero(t, letters, "the two whole ones were taken above")
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], broken)
	require.EqualError(t, errs[0], "dead letters: line 3: broken")
	var inv *analytics.InvalidError
	require.False(t, errors.As(errs[0], &inv))

	_, errs = collected(strings.NewReader(""))
	require.Empty(t, errs)
}

func TestReadDeadLettersHoldsOneLine(t *testing.T) {
	const size = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, errs := collected(io.LimitReader(lineWithoutEnd{}, size))
	runtime.ReadMemStats(&after)
	require.Len(t, errs, 1)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}

// lineWithoutEnd is a line without end.
type lineWithoutEnd struct{}

func (lineWithoutEnd) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '{'
	}
	return len(b), nil
}

func TestReason(t *testing.T) {
	for why := analytics.ReasonNone; why.String() != "unknown"; why++ {
		name, err := why.MarshalText()
		require.NoError(t, err)
		var have analytics.Reason
		require.NoError(t, have.UnmarshalText(name))
		require.Equal(t, why, have)
	}
	for _, name := range []string{"unknown", "Rejected", " rejected", "secret"} {
		why := analytics.ReasonPanic
		err := why.UnmarshalText([]byte(name))
		require.Equal(t, []string{"reason"}, faultsOf(t, err))
		require.NotContains(t, err.Error(), "secret")
		require.Equal(t, analytics.ReasonPanic, why)
	}
}

func TestDeadLetterFileEndsALineThatWasCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(goodLine+"\n"+goodLine[:40]), 0o600))
	for range 2 {
		f := &analytics.DeadLetterFile{Path: path}
		require.NoError(t, f.Write(deadLetter(1)), "by a process that ended")
		require.NoError(t, f.Close())
	}
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 4, bytes.Count(b, []byte("\n")))
	letters, errs := collected(bytes.NewReader(b))
	require.Len(t, letters, 3)
	require.Len(t, errs, 1)
	require.ErrorContains(t, errs[0], "line 2")
}

func TestDeadLetterFileBoundsALine(t *testing.T) {
	l := deadLetter(0)
	l.Error = "x" + strings.Repeat("ü", 1<<20)
	letters, errs := collected(bytes.NewReader(written(t, l)))
	require.Empty(t, errs)
	require.Equal(t, "x"+strings.Repeat("ü", 4<<10-1), letters[0].Error, "no half characters")

	l.Event = []byte(`{"secret":"` + strings.Repeat("x", 1<<20) + `"}`)
	f := &analytics.DeadLetterFile{Path: filepath.Join(t.TempDir(), "dead.ndjson")}
	err := f.Write(l)
	require.ErrorContains(t, err, "the limit is 1048576")
	require.NotContains(t, err.Error(), "secret")
	require.NoFileExists(t, f.Path)
}

func FuzzReadDeadLetters(f *testing.F) {
	f.Add([]byte(goodLine))
	f.Add([]byte(goodLine[:50] + "\n" + goodLine + "\n\n" + goodLine[:50] + goodLine + "\r\n" + goodLine[:60]))
	f.Add(written(f, analytics.DeadLetter{}, deadLetter(1)))
	l := deadLetter(2)
	l.Event = []byte("\x00\xff")
	f.Add(written(f, l))
	f.Add([]byte(strings.ReplaceAll(goodLine, `{"messageId":"m"}`, `"{\"messageId\":\"m\ud800","eventBytes":"AP8="`)))
	f.Add([]byte(strings.ReplaceAll(goodLine, `rejected"`, `eaten","error":"e","time":"2026-01-02t02:04:05+23:59","x":null`)))
	path := filepath.Join(f.TempDir(), "dead.ndjson")
	f.Fuzz(func(t *testing.T, data []byte) {
		letters, errs := collected(bytes.NewReader(data))
		lines := bytes.Count(data, []byte("\n")) + 1
		require.LessOrEqual(t, len(letters)+len(errs), lines)
		for _, err := range errs {
			faultsOf(t, err)
		}
		out := &analytics.DeadLetterFile{Path: path}
		kept := letters[:0]
		for _, l := range letters {
			if len(l.Error) <= 8<<10 && out.Write(l) == nil {
				kept = append(kept, l)
			}
		}
		require.NoError(t, out.Close())
		again := readBack(t, path)
		require.Len(t, again, len(kept))
		for i, l := range kept {
			l.Event = compacted(l.Event)
			require.Equal(t, asWritten(l), again[i])
		}
	})
}

// FuzzDeadLetterFile proves that what is written is what is read.
func FuzzDeadLetterFile(f *testing.F) {
	f.Add([]byte(`{"messageId":"m"}`), "Amplitude", "status 400", uint8(2), 3, int64(1767323045678))
	f.Add([]byte("{\"a\":\"\xff<>&\u2028\"}\n"), "\x00\n", "\xff", uint8(200), -1, int64(-62135596800000))
	f.Add([]byte(nil), "", "", uint8(0), 0, int64(253402300799999))
	path := filepath.Join(f.TempDir(), "dead.ndjson")
	f.Fuzz(func(t *testing.T, event []byte, destination, text string, why uint8, attempts int, ms int64) {
		l := analytics.DeadLetter{
			Time: time.UnixMilli(ms).UTC(), Destination: strings.ToValidUTF8(destination, "\ufffd"), Error: strings.ToValidUTF8(text, "\ufffd"),
			Reason: analytics.Reason(why), Attempts: attempts, Event: event,
		}
		if l.Reason.String() == "unknown" || l.Time.Year() < 1 || l.Time.Year() > 9999 || len(l.Error) > 8<<10 {
			return
		}
		out := &analytics.DeadLetterFile{Path: path}
		if out.Write(l) != nil {
			return
		}
		require.NoError(t, out.Close())
		again := readBack(t, path)
		require.Len(t, again, 1)
		l.MessageID, l.Event = again[0].MessageID, compacted(l.Event)
		require.Equal(t, asWritten(l), again[0])
	})
}

// readBack reads a file of whole lines and takes it away. There may be none.
func readBack(t *testing.T, path string) []analytics.DeadLetter {
	t.Helper()
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	defer os.Remove(path)
	defer file.Close()
	letters, errs := collected(file)
	require.Empty(t, errs)
	return letters
}

// compacted is an event without the white space that a line cannot hold. The client
// writes none.
func compacted(event []byte) []byte {
	var b bytes.Buffer
	if !utf8.Valid(event) || !bytes.HasPrefix(bytes.TrimLeft(event, " \t\r\n"), []byte("{")) || json.Compact(&b, event) != nil {
		return event
	}
	return b.Bytes()
}
