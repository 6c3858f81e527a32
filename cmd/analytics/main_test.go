package main

// The tests are internal: a command exports nothing to test it by.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/wal"
)

var update = flag.Bool("update", false, "write the golden files")

// childEnv makes the test binary a process that works in a spool until it is killed.
const childEnv = "ANALYTICS_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := child(what, os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	for _, name := range []string{"SEGMENT_WRITE_KEY", "SEGMENT_ENDPOINT", "ANALYTICS_WAREHOUSE"} {
		_ = os.Unsetenv(name) // of whoever runs the tests
	}
	os.Exit(m.Run())
}

// child works in a spool. Asked for the ring, it has its segments out of reach while it
// accepts events, so that these stay in the ring.
func child(what, dir string) error {
	client, err := analytics.New(configOf(dir))
	if err != nil {
		return err
	}
	seg := filepath.Join(dir, "p-0", "seg")
	if what == "ring" {
		if err := os.Rename(seg, seg+".away"); err != nil {
			return err
		}
	}
	if err := fill(client, 3); err != nil {
		return err
	}
	if err := settle(client); err != nil && what == "segment" {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// fill makes events, each of which is drained before the next.
func fill(client *analytics.Client, events int) error {
	for i := range events {
		if err := client.Track(context.Background(), numbered(i)); err != nil {
			return err
		}
		_ = client.Sync(context.Background())
	}
	return nil
}

// settle waits until the destination that works has everything, and this was written.
func settle(client *analytics.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for client.Stats().Destinations["Acme CRM"].Pending > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		flush, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		_ = client.Flush(flush)
		cancel()
	}
	return client.Sync(ctx)
}

// killed lets another process work in a spool and kills it.
func killed(t *testing.T, what, dir string) { startChild(t, what, dir)() }

func startChild(t *testing.T, what, dir string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	ended := false
	kill = func() {
		if ended {
			return
		}
		ended = true
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		_ = stdin.Close()
		seg := filepath.Join(dir, "p-0", "seg")
		if what == "ring" {
			require.NoError(t, os.Rename(seg+".away", seg))
		}
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Equal(t, "ready\n", line)
	return kill
}

func numbered(i int) analytics.Track {
	return analytics.Track{
		MessageID: fmt.Sprintf("m%d", i), Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		UserID: "u", Event: "Order Completed", Properties: analytics.Properties{"n": i},
	}
}

// sink is a destination that takes everything, or is always down.
type sink struct {
	name string
	down bool
}

func (s *sink) Describe() analytics.Description {
	return analytics.Description{Name: s.name, Lanes: map[string]analytics.Limits{"": {Linger: -1, Timeout: time.Hour}}}
}

func (s *sink) Translate(e *analytics.Event) ([]analytics.Item, error) {
	return []analytics.Item{{Body: []byte(e.MessageID)}}, nil
}

func (s *sink) Deliver(ctx context.Context, _ *analytics.Batch) error {
	if s.down { // and hangs: with each retry the library would note when the next one is
		<-ctx.Done()
		return errors.New("down")
	}
	return nil
}

func configOf(dir string) analytics.Config {
	return analytics.Config{
		Spool:        analytics.Spool{Dir: dir, ID: "shop", Sync: analytics.Never, MinFree: -1},
		Destinations: []analytics.Destination{&sink{name: "Mixpanel", down: true}, &sink{name: "Acme CRM"}},
		Logger:       slog.New(slog.DiscardHandler),
	}
}

// running is a client that works in a spool and has come to rest: one destination has
// everything, the other nothing.
func running(t *testing.T, dir string, events int) *analytics.Client {
	t.Helper()
	client, err := analytics.New(configOf(dir))
	require.NoError(t, err)
	t.Cleanup(func() { closeSoon(client) })
	require.NoError(t, fill(client, events))
	require.NoError(t, settle(client))
	return client
}

func closeSoon(client *analytics.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_ = client.Close(ctx)
}

// result is what a run of the command left behind.
type result struct {
	code           int
	stdout, stderr string
}

func analyze(t *testing.T, args ...string) result { return analyzeOver(t, nil, args...) }

func analyzeOver(t *testing.T, transport http.RoundTripper, args ...string) result {
	t.Helper()
	return analyzeAs(t, command{transport: transport, catalog: sample}, args...)
}

func analyzeAs(t *testing.T, c command, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.ctx, c.stdout, c.stderr, c.now = t.Context(), &stdout, &stderr, time.Now
	code := c.run(args)
	return result{code, stdout.String(), stderr.String()}
}

// What differs between two runs.
var masks = []mask{
	{regexp.MustCompile(`"oldestAgeSeconds":[0-9.]+`), `"oldestAgeSeconds":AGE`},
	{regexp.MustCompile(`locked by [0-9]+`), "locked by PID"},
	{regexp.MustCompile(`process [0-9]+ works`), "process PID works"},
	{regexp.MustCompile(`"pid":[0-9]+`), `"pid":PID`},
	{regexp.MustCompile(`"[0-9]{19}-[0-9a-f]{8}-[0-9]+"`), `"SYNC"`},
	{regexp.MustCompile(`[0-9a-f]{32}`), "LOG"},
	{regexp.MustCompile(`"(prepare|load)":[0-9]+`), `"$1":TIME`},
	{regexp.MustCompile(`\b[0-9]+ ms\b`), "N ms"},
	{regexp.MustCompile(`20[0-9]{2}-[0-9-]+T[0-9:.]+Z  -?[0-9hms.]+ `), "TIME  AGE "},
	{regexp.MustCompile(`20[0-9]{2}-[0-9-]+T[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`"version":"[0-9.]+"`), `"version":"V"`},
	{regexp.MustCompile(` (mapped|write per call) `), " MODE "},
	{regexp.MustCompile(`"(mapped|write per call)"`), `"MODE"`},
	{regexp.MustCompile(`(\S) {2,}`), "$1  "}, // the widths of columns
}

type mask = struct {
	what *regexp.Regexp
	with string
}

// golden compares what the commands print with a file.
func golden(t *testing.T, dir, name string, runs ...[]string) {
	t.Helper()
	goldenMasked(t, nil, dir, name, runs...)
}

// goldenMasked is golden where more differs between two runs.
func goldenMasked(t *testing.T, more []mask, dir, name string, runs ...[]string) {
	t.Helper()
	var out strings.Builder
	for _, args := range runs {
		r := analyze(t, args...)
		fmt.Fprintf(&out, "$ analytics %s\n%s", strings.Join(args, " "), r.stdout)
		for line := range strings.Lines(r.stderr) {
			out.WriteString("stderr: " + line)
		}
		if r.code != exitFine {
			fmt.Fprintf(&out, "exit code %d\n", r.code)
		}
		out.WriteString("\n")
	}
	got := strings.ReplaceAll(out.String(), dir, "DIR")
	for _, m := range slices.Concat(more, masks) {
		got = m.what.ReplaceAllString(got, m.with)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// looks are the commands that look into a spool.
func looks(dir string) [][]string {
	return [][]string{
		{"spool", "ls", dir},
		{"spool", "cat", dir},
		{"spool", "verify", dir},
		{"spool", "stats", dir},
		{"spool", "drop-cursor", dir, "Mixpanel"},
		{"spool", "ls", "--json", dir},
		{"spool", "verify", "--json", dir},
		{"spool", "stats", "--json", dir},
		{"spool", "drop-cursor", "--json", dir, "Mixpanel"},
	}
}

// tree is a hash of everything in a directory.
func tree(t *testing.T, dir string) string {
	t.Helper()
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, path, info.Mode(), info.Size())
		if d.Type().IsRegular() {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(sum, f)
			return err
		}
		return nil
	}))
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// unchanged runs all that looks, and checks that it left everything as it was and that
// --json is JSON.
func unchanged(t *testing.T, dir string) {
	t.Helper()
	before := tree(t, dir)
	for _, args := range append(looks(dir),
		[]string{"spool", "cat", "--json", dir}, []string{"deadletter", "ls", dir}, []string{"deadletter", "ls", "--json", dir},
		[]string{"deadletter", "replay", dir}, []string{"deadletter", "replay", "--json", dir},
	) {
		r := analyze(t, args...)
		require.NotEqual(t, exitUsage, r.code, "%v: %s", args, r.stderr)
		if args[2] != "--json" {
			continue
		}
		for dec := json.NewDecoder(strings.NewReader(r.stdout)); ; {
			var v map[string]any
			err := dec.Decode(&v)
			if err == io.EOF {
				break
			}
			require.NoError(t, err, "%v: %s", args, r.stdout)
		}
	}
	require.Equal(t, before, tree(t, dir))
}

func TestRunningSpool(t *testing.T) {
	dir := t.TempDir()
	running(t, dir, 5)
	golden(t, dir, "running", looks(dir)...)
	unchanged(t, dir)

	r := analyze(t, "spool", "drop-cursor", dir, "Mixpanel", "--yes")
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stdout, fmt.Sprintf("process %d works in the slot", os.Getpid()))
}

func TestIdleSpool(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.Destinations = cfg.Destinations[1:]
	cfg.Spool.Sync = analytics.Interval
	client, err := analytics.New(cfg)
	require.NoError(t, err)
	require.NoError(t, client.Track(t.Context(), numbered(0)))
	require.NoError(t, client.Close(t.Context()))
	golden(t, dir, "idle", []string{"spool", "ls", dir}, []string{"spool", "verify", dir}, []string{"spool", "cat", dir}, []string{"spool", "stats", dir})
	unchanged(t, dir)
}

func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	killed(t, "segment", dir)
	killed(t, "ring", dir)
	golden(t, dir, "killed", append(looks(dir),
		[]string{"spool", "cat", dir, "--from", "2", "--limit", "2"},
		[]string{"spool", "cat", dir, "--destination", "Acme CRM", "--slot", "p-0"},
		[]string{"spool", "cat", dir, "--destination", "Nobody"},
		[]string{"spool", "cat", dir, "--slot", "p-9"},
	)...)
	unchanged(t, dir)
}

func TestAdoptedSlot(t *testing.T) {
	dir := t.TempDir()
	first := startChild(t, "segment", dir)
	second := startChild(t, "segment", dir)
	second()
	first()
	adopted := make(chan struct{}, 1)
	cfg := configOf(dir)
	cfg.Logger = slog.New(signalOn{slog.DiscardHandler, "spool: what another process has left is delivered", adopted})
	client, err := analytics.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { closeSoon(client) })
	<-adopted
	require.NoError(t, settle(client))
	golden(t, dir, "adopted", []string{"spool", "ls", dir}, []string{"spool", "verify", dir}, []string{"spool", "stats", dir})
	unchanged(t, dir)
}

// signalOn signals when something is logged.
type signalOn struct {
	slog.Handler
	message string
	signal  chan<- struct{}
}

func (h signalOn) Enabled(context.Context, slog.Level) bool { return true }

func (h signalOn) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		h.signal <- struct{}{}
	}
	return nil
}

// edit changes a file.
func edit(t *testing.T, name string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, f(b), 0o600))
}

func TestDamagedSpool(t *testing.T) {
	dir := t.TempDir()
	killed(t, "segment", dir)
	killed(t, "segment", dir)
	slot := filepath.Join(dir, "p-0")
	segments, err := filepath.Glob(filepath.Join(slot, "seg", "*.seg"))
	require.NoError(t, err)
	require.Len(t, segments, 2)
	edit(t, segments[0], func(b []byte) []byte {
		b[len(b)-20] ^= 1
		return b
	})
	edit(t, segments[1], func(b []byte) []byte { return append(b, "a half frame"...) })
	edit(t, filepath.Join(slot, "cur", wal.FileName("Acme CRM")+".cur"), func([]byte) []byte { return []byte("no cursor") })
	golden(t, dir, "damaged", looks(dir)...)
	unchanged(t, dir)

	edit(t, filepath.Join(slot, "id"), func([]byte) []byte { return []byte("{") })
	edit(t, filepath.Join(slot, "ring"), func(b []byte) []byte {
		return append(bytes.Repeat([]byte{1}, 4096), b[4096:]...)
	})
	golden(t, dir, "damaged_identity", looks(dir)...)
	unchanged(t, dir)
}

func TestNewerVersion(t *testing.T) {
	dir := t.TempDir()
	killed(t, "segment", dir)
	edit(t, filepath.Join(dir, "p-0", "id"), func(b []byte) []byte {
		return bytes.Replace(b, []byte(`"version":1`), []byte(`"version":99`), 1)
	})
	golden(t, dir, "newer", looks(dir)...)
	unchanged(t, dir)
	r := analyze(t, "spool", "drop-cursor", dir, "Mixpanel", "--yes")
	require.Equal(t, exitFault, r.code)
}

func TestMovedSpoolKeepsItsRing(t *testing.T) {
	dir := t.TempDir()
	killed(t, "segment", filepath.Join(dir, "before"))
	killed(t, "ring", filepath.Join(dir, "before"))
	require.NoError(t, os.Rename(filepath.Join(dir, "before"), filepath.Join(dir, "behind")))
	r := analyze(t, "spool", "cat", filepath.Join(dir, "behind"))
	require.Equal(t, 6, strings.Count(r.stdout, "\n"))
}

func TestDropCursor(t *testing.T) {
	dir := t.TempDir()
	killed(t, "segment", dir)
	drop := []string{"spool", "drop-cursor", dir, "Mixpanel", "--yes"}
	golden(t, dir, "drop", drop, drop, []string{"spool", "ls", dir})
	require.NoFileExists(t, filepath.Join(dir, "p-0", "cur", wal.FileName("Mixpanel")+".cur"))

	client := running(t, dir, 1) // a process takes the slot again, and its files go
	require.EqualValues(t, 1, client.Stats().Destinations["Mixpanel"].Pending)
	closeSoon(client)
}

// A cursor may be all that knows how far the numbers of a log go.
func TestDropCursorKeepsNumbersApart(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.Destinations = cfg.Destinations[1:]
	client, err := analytics.New(cfg)
	require.NoError(t, err)
	require.NoError(t, client.Track(t.Context(), numbered(0)))
	require.NoError(t, client.Close(t.Context()))
	id := func() (log string) {
		var out struct{ Slots []slotJSON }
		require.NoError(t, json.Unmarshal([]byte(analyze(t, "spool", "ls", "--json", dir).stdout), &out))
		text, err := out.Slots[0].Log.MarshalText()
		require.NoError(t, err)
		return string(text)
	}
	before := id()
	require.Contains(t, analyze(t, "spool", "drop-cursor", dir, "Acme CRM").stdout, "the log gets a new id")
	require.Equal(t, before, id())
	require.Equal(t, exitFine, analyze(t, "spool", "drop-cursor", dir, "Acme CRM", "--yes").code)
	require.NotEqual(t, before, id())
}

func TestWrongCalls(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, exitUsage},
		{[]string{"--help"}, exitFine},
		{[]string{"spool", "ls"}, exitUsage},
		{[]string{"spool", "eat", dir}, exitUsage},
		{[]string{"spool", "ls", filepath.Join(dir, "none")}, exitFault},
		{[]string{"spool", "ls", file}, exitUsage},
		{[]string{"spool", "ls", dir}, exitFine},
		{[]string{"spool", "verify", dir}, exitFine},
		{[]string{"spool", "drop-cursor", dir, "X"}, exitFault},
		{[]string{"deadletter", "ls", filepath.Join(dir, "none")}, exitFault},
		{[]string{"deadletter", "ls", dir}, exitFine},
		{[]string{"deadletter", "ls", dir, "--reason", "bored"}, exitUsage},
		{[]string{"deadletter", "replay", dir, "--yes"}, exitUsage},
	} {
		require.Equal(t, c.want, analyze(t, c.args...).code, c.args)
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"plain, ünïcode 日本": "plain, ünïcode 日本",
		"a\x1b[2Jb":         `a\x1b[2Jb`,
		"line\nfeed\ttab":   `line\nfeed\ttab`,
		"\u009b31m":         `\u009b31m`,
		"bad\xff":           `bad\xff`,
		"\u202eright":       `\u202eright`,
		`"'\`:               `"'\`,
		"\uFFFD":            "\uFFFD",
	} {
		require.Equal(t, want, printable(s))
		b, err := json.Marshal(s)
		require.NoError(t, err)
		out := printableJSON(b)
		require.Equal(t, -1, bytes.IndexFunc(out, unprintable))
		require.JSONEq(t, string(b), string(out))
	}
	require.Equal(t, `"\udb40\udc41"`, string(printableJSON([]byte("\"\U000E0041\""))))
}

// While events come and go, and segments with them, nothing looks damaged.
func TestVerifyBesideABusyProcess(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.Spool.MaxBytes = 1 << 20
	cfg.WhenFull = analytics.Block
	client, err := analytics.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for i := 0; ctx.Err() == nil; i++ {
			_ = client.Track(ctx, numbered(i))
		}
	}()
	for range 3 {
		r := analyze(t, "spool", "verify", dir)
		require.Equal(t, exitFine, r.code, r.stdout+r.stderr)
		r = analyze(t, "spool", "cat", dir)
		require.Equal(t, exitFine, r.code, r.stderr)
	}
	cancel()
	<-gone
	closeSoon(client)
}
