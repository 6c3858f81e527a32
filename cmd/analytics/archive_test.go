package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// visits are events of two days, which came in when they say.
func visits() []analytics.Message {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	event := func(e analytics.Event, received time.Time) analytics.Message {
		e.Timestamp, e.ReceivedAt = received.Add(-time.Second), received
		return e
	}
	return []analytics.Message{
		event(analytics.Event{Type: analytics.CallTrack, MessageID: "v1", UserID: "u1", AnonymousID: "a1", Event: "Order Paid", Properties: map[string]any{"amount": 5}}, at),
		event(analytics.Event{Type: analytics.CallTrack, MessageID: "v2", UserID: "u2", Event: "Cart \x1b[2J Viewed"}, at.Add(time.Minute)),
		event(analytics.Event{Type: analytics.CallIdentify, MessageID: "v3", UserID: "u1", Traits: map[string]any{"plan": "pro"}}, at.Add(2*time.Minute)),
		event(analytics.Event{Type: analytics.CallPage, MessageID: "v4", AnonymousID: "a1", Name: "Home"}, at.Add(24*time.Hour)),
		event(analytics.Event{Type: analytics.CallTrack, MessageID: "v5", UserID: "u2", Event: "Order Paid", Properties: map[string]any{"amount": 6}}, at.Add(25*time.Hour)),
	}
}

// stored is an archive in a folder.
func stored(t *testing.T, messages ...analytics.Message) (dir string) {
	t.Helper()
	dir = t.TempDir()
	store(t, dir, "shop", messages...)
	return dir
}

func store(t *testing.T, dir, source string, messages ...analytics.Message) {
	t.Helper()
	client, err := analytics.New(analytics.Config{
		Destinations: []analytics.Destination{&archive.Destination{Bucket: &archive.Folder{Path: dir}, Source: source}},
		Logger:       slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { closeSoon(client) })
	for _, m := range messages {
		require.NoError(t, client.Enqueue(t.Context(), m))
	}
	require.NoError(t, client.Close(t.Context()))
}

// What differs between two archives of the same events.
var archiveMasks = []mask{
	{regexp.MustCompile(`20[0-9]{2}-[0-9-]+T[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`"(bytes|rawBytes)":[0-9]+`), `"$1":BYTES`},
	{regexp.MustCompile(`\b[0-9.]+ (B|KiB|MiB)\b`), "BYTES"},
	{regexp.MustCompile(`"version":"[^"]*"`), `"version":"V"`},
}

func TestArchive(t *testing.T) {
	t.Setenv("SEGMENT_WRITE_KEY", secret)
	dir := stored(t, visits()...)
	before := tree(t, dir)
	db := "sqlite:" + filepath.Join(dir, "fresh.db")
	goldenMasked(t, archiveMasks, dir, "archive",
		[]string{"archive", "ls", dir},
		[]string{"archive", "ls", dir, "--limit", "1"},
		[]string{"archive", "ls", dir, "--json"},
		[]string{"archive", "ls", dir, "--from", "2026-11-24"},
		[]string{"archive", "ls", dir, "--source", "nobody"},
		[]string{"archive", "cat", dir},
		[]string{"archive", "cat", dir, "--user", "u2", "--event", "Order Paid"},
		[]string{"archive", "cat", dir, "--anonymous", "a1", "--type", "page", "--type", "track", "--limit", "1"},
		[]string{"archive", "cat", dir, "--from", "2026-11-23T12:01:00Z", "--until", "2026-11-24"},
		[]string{"archive", "cat", dir, "--id", "v3", "--id", "v4"},
		[]string{"archive", "verify", dir},
		[]string{"archive", "verify", dir, "--json"},
		[]string{"archive", "replay", dir, "--to", "cloud"},
		[]string{"archive", "replay", dir, "--to", "cloud", "--user", "u1", "--json"},
		[]string{"archive", "replay", dir, "--to", db, "--source", "nobody"},
		[]string{"archive", "replay", dir, "--to", "postgres://loader:" + secret + "@db.test/shop?sslmode=disable"},
		[]string{"archive", "forget", dir, "--user", "u1", "--anonymous", "a1"},
		[]string{"archive", "forget", dir, "--user", "u1", "--json"},
		[]string{"archive", "forget", dir},
		[]string{"warehouse", "sync", "--archive", dir, "--store", db},
		[]string{"warehouse", "sync", "--archive", dir, "--store", db, "--source", "shop", "--until", "2026-11-24", "--json"},
	)
	require.Equal(t, before, tree(t, dir), "nothing is changed without --yes")
}

// What is secret stays so, also where a command fails.
func TestSecretsOfArchives(t *testing.T) {
	t.Setenv("SEGMENT_WRITE_KEY", secret)
	dir := stored(t, visits()...)
	t.Setenv("ANALYTICS_WAREHOUSE", "postgres://loader:"+secret+"@127.0.0.1:1/shop?sslmode=disable")
	for _, args := range [][]string{
		{"archive", "replay", "--help"}, {"archive", "forget", "--help"}, {"warehouse", "sync", "--help"},
		{"archive", "replay", dir, "--to", "warehouse"}, {"archive", "replay", dir, "--to", "warehouse", "--json"},
		{"archive", "replay", dir, "--to", "warehouse", "--yes", "--timeout", "50ms"},
		{"archive", "replay", dir, "--to", "cloud", "--wrong"}, {"archive", "replay", dir, "--to", "mysql://loader:" + secret + "@db.test/"},
		{"archive", "forget", dir, "--user", "u1", "--yes", "--timeout", "50ms"}, {"warehouse", "sync", "--archive", dir},
	} {
		r := analyze(t, args...)
		require.NotContains(t, r.stdout+r.stderr, secret, "%v", args)
	}
}

func TestUnprintableEvents(t *testing.T) {
	dir := stored(t, visits()...)
	r := analyze(t, "archive", "cat", dir)
	require.Equal(t, -1, strings.IndexFunc(strings.ReplaceAll(r.stdout, "\n", ""), unprintable))
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	require.Len(t, lines, 5)
	var e analytics.Event
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &e))
	require.Equal(t, "Cart \x1b[2J Viewed", e.Event)

	line, err := eventLine([]byte(`{ "plain" : "ünïcode" }`))
	require.NoError(t, err)
	require.Equal(t, `{ "plain" : "ünïcode" }`, string(line), "byte for byte")
	line, err = eventLine([]byte("{\t\"a\" : \"\u202e\" }"))
	require.NoError(t, err)
	require.Equal(t, `{"a":"\u202e"}`, string(line))
	_, err = eventLine([]byte("{\x1b"))
	require.Error(t, err)
}

// filesOf are the files of events in an archive.
func filesOf(t *testing.T, dir string) (files []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "segment-logs", "*", "*", "*.gz"))
	require.NoError(t, err)
	return files
}

func TestDamagedArchive(t *testing.T) {
	dir := stored(t, visits()...)
	files := filesOf(t, dir)
	require.Len(t, files, 2)
	edit(t, files[0], func(b []byte) []byte {
		b[len(b)/2] ^= 0x40
		return b
	})
	require.NoError(t, os.Remove(files[1]))
	stray := filepath.Join(filepath.Dir(files[1]), "stray.gz")
	require.NoError(t, os.WriteFile(stray, []byte("?"), 0o600))

	r := analyze(t, "archive", "verify", dir)
	require.Equal(t, exitFault, r.code)
	require.NotContains(t, r.stdout, "no damage")
	out := jsonOf[struct {
		Report  archive.Report
		Damaged bool
	}](t, analyze(t, "archive", "verify", dir, "--json").stdout)
	require.True(t, out.Damaged)
	for _, file := range append(files, stray) {
		key, err := filepath.Rel(dir, file)
		require.NoError(t, err)
		require.Contains(t, r.stdout, "damaged  "+filepath.ToSlash(key)+": ")
		require.True(t, containsKey(out.Report.Faults, filepath.ToSlash(key)))
	}
	require.Equal(t, exitFault, analyze(t, "archive", "cat", dir).code)
	require.Equal(t, exitFault, analyze(t, "archive", "forget", dir, "--user", "u2").code)
}

func containsKey(faults []archive.Fault, key string) bool {
	for _, f := range faults {
		if f.Key == key {
			return true
		}
	}
	return false
}

func TestForget(t *testing.T) {
	dir := stored(t, visits()...)
	db := "sqlite:" + filepath.Join(t.TempDir(), "shop.db")
	require.Equal(t, exitFine, analyze(t, "warehouse", "sync", "--archive", dir, "--store", db, "--source", "shop", "--yes").code)
	forget := []string{"archive", "forget", dir, "--store", db, "--warehouse-source", "shop", "--anonymous", "a1", "--user", "u1"}

	r := analyze(t, append(forget, "--json", "--yes")...)
	require.Equal(t, exitFine, r.code, r.stderr)
	out := jsonOf[forgottenJSON](t, r.stdout)
	require.True(t, out.Done)
	require.EqualValues(t, 3, out.Archive.Events)
	require.Len(t, out.Archive.Files, 2)
	require.Equal(t, map[string]int64{"tracks": 1, "order_paid": 1, "identifies": 1, "users": 1, "pages": 1}, out.Warehouse.Tables)

	require.Empty(t, analyze(t, "archive", "cat", dir, "--user", "u1").stdout)
	require.Empty(t, analyze(t, "archive", "cat", dir, "--anonymous", "a1").stdout)
	require.Equal(t, 2, strings.Count(analyze(t, "archive", "cat", dir).stdout, "\n"))
	require.Equal(t, exitFine, analyze(t, "archive", "verify", dir).code)
	require.Contains(t, analyze(t, "archive", "ls", dir).stdout, "erased")

	again := analyze(t, append(forget, "--yes")...)
	require.Equal(t, exitFine, again.code)
	require.Equal(t, "archive: erased 0 events in 0 files\n"+db+", source shop: erased 0 rows\n", again.stdout)
	require.Equal(t, exitFine, analyze(t, "archive", "forget", dir, "--user", "u3", "--yes").code)
	rest := analyze(t, "archive", "forget", dir, "--user", "u2", "--yes")
	require.Equal(t, exitFine, rest.code)
	require.Equal(t, 2, strings.Count(rest.stdout, "  the file is gone\n"))
	require.Equal(t, "no files\n", analyze(t, "archive", "ls", dir).stdout)
}

// A damaged file is told, and keeps nobody in the other files and in the warehouse.
func TestForgetBehindDamage(t *testing.T) {
	dir := stored(t, visits()...)
	db := "sqlite:" + filepath.Join(t.TempDir(), "shop.db")
	require.Equal(t, exitFine, analyze(t, "warehouse", "sync", "--archive", dir, "--store", db, "--source", "shop", "--yes").code)
	manifests, err := filepath.Glob(filepath.Join(dir, "archive", "_manifest", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, manifests)
	require.NoError(t, os.WriteFile(manifests[0], []byte("x"), 0o600))

	r := analyze(t, "archive", "forget", dir, "--store", db, "--warehouse-source", "shop", "--user", "u1", "--yes", "--json")
	require.Equal(t, exitFault, r.code)
	out := jsonOf[forgottenJSON](t, r.stdout)
	require.False(t, out.Done)
	require.Len(t, out.Archive.Unread, 1)
	require.True(t, out.Warehouse.Done)
	require.EqualValues(t, 1, out.Warehouse.Tables["users"])
	plain := analyze(t, "archive", "forget", dir, "--user", "u1", "--yes")
	require.Equal(t, exitFault, plain.code)
	require.Contains(t, plain.stdout, out.Archive.Unread[0]+" cannot be read")
}

// Damage ends what is sent, unless it is to be skipped.
func TestSkipDamaged(t *testing.T) {
	dir := stored(t, visits()...)
	store(t, dir, "blog", visits()...)
	require.NoError(t, os.Truncate(filesOf(t, dir)[0], 60))
	manifests, err := filepath.Glob(filepath.Join(dir, "archive", "_manifest", "*.json"))
	require.NoError(t, err)
	require.Len(t, manifests, 4)
	for _, name := range manifests { // that of a sound file
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		if strings.Contains(string(raw), `"count":2`) && strings.Contains(string(raw), `"source":"shop"`) {
			require.NoError(t, os.WriteFile(name, []byte("x"), 0o600))
		}
	}
	db := "sqlite:" + filepath.Join(t.TempDir(), "shop.db")
	sync := []string{"warehouse", "sync", "--archive", dir, "--store", db, "--json"}

	r := analyze(t, sync...)
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stderr, "--skip-damaged")
	r = analyze(t, append(sync, "--skip-damaged")...)
	require.Equal(t, exitFault, r.code)
	out := jsonOf[shipmentJSON](t, r.stdout)
	require.False(t, out.Sent)
	require.EqualValues(t, 1, out.Damaged, "a manifest; files are not read without --yes")

	r = analyze(t, append(sync, "--skip-damaged", "--yes")...)
	require.Equal(t, exitFault, r.code)
	out = jsonOf[shipmentJSON](t, r.stdout)
	require.EqualValues(t, 2, out.Damaged)
	require.Empty(t, out.Error)
	require.GreaterOrEqual(t, out.Accepted, int64(2), r.stderr)
	require.Equal(t, 2, strings.Count(r.stderr, "\n"), r.stderr)
}

// Without --yes forget says what it would do, damage and unfinished files included.
func TestForgetWithoutYes(t *testing.T) {
	alias := analytics.Event{Type: analytics.CallAlias, MessageID: "x1", UserID: "u3", PreviousID: "u1", Timestamp: time.Now()}
	dir := stored(t, append(visits(), alias)...)
	forget := []string{"archive", "forget", dir, "--user", "u1", "--json"}
	would := jsonOf[forgottenJSON](t, analyze(t, forget...).stdout)
	require.EqualValues(t, 3, would.Archive.Events, "the alias among them")
	require.NoError(t, os.WriteFile(filesOf(t, dir)[0], []byte("x"), 0o600))
	part := filepath.Join(dir, "_parts", "p-9.part.damaged")
	require.NoError(t, os.WriteFile(part, nil, 0o600))
	before := tree(t, dir)
	r := analyze(t, forget...)
	require.Equal(t, exitFault, r.code)
	would = jsonOf[forgottenJSON](t, r.stdout)
	require.EqualValues(t, 1, would.Archive.Events)
	require.Len(t, would.Archive.Unread, 1)
	require.Equal(t, 1, would.Archive.Parts)
	require.Equal(t, before, tree(t, dir))
}

// Events without a time of reception have none in the list.
func TestFilesWithoutTimes(t *testing.T) {
	require.Empty(t, archiveFileOf(archive.File{}).FirstReceived)
}

// Files that a process still writes are not looked into, and that is no success.
func TestForgetBesideAWriter(t *testing.T) {
	dir := stored(t, visits()...)
	d := &archive.Destination{Bucket: &archive.Folder{Path: dir}, Source: "shop"}
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{d}})
	require.NoError(t, err)
	t.Cleanup(func() { closeSoon(client) })
	require.NoError(t, client.Enqueue(t.Context(), visits()[0]))
	require.NoError(t, client.Flush(t.Context()))

	r := analyze(t, "archive", "forget", dir, "--user", "u1", "--yes")
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stdout, "1 unfinished file not looked into")
	require.Contains(t, analyze(t, "archive", "verify", dir).stdout, "1 unfinished file not looked into")
	require.NoError(t, client.Close(t.Context()))
}

func TestWrongCallsOfTheArchive(t *testing.T) {
	dir := stored(t, visits()...)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	db := "sqlite:" + filepath.Join(t.TempDir(), "shop.db")
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"archive", "ls"}, exitUsage},
		{[]string{"archive", "ls", filepath.Join(dir, "none")}, exitFault},
		{[]string{"archive", "ls", file}, exitUsage},
		{[]string{"archive", "ls", t.TempDir()}, exitFine},
		{[]string{"archive", "verify", t.TempDir()}, exitFault},
		{[]string{"archive", "verify", dir, "--prefix", "other"}, exitFault},
		{[]string{"archive", "forget", t.TempDir(), "--user", "u", "--yes"}, exitFault},
		{[]string{"archive", "cat", dir, "--from", "yesterday"}, exitUsage},
		{[]string{"archive", "cat", dir, "--type", "tracks"}, exitUsage},
		{[]string{"archive", "replay", dir}, exitUsage},
		{[]string{"archive", "replay", dir, "--to", "mars"}, exitUsage},
		{[]string{"archive", "replay", dir, "--to", "warehouse"}, exitUsage},
		{[]string{"archive", "replay", dir, "--to", "cloud", "--yes"}, exitUsage},
		{[]string{"archive", "replay", dir, "--to", db, "--rate", "-1"}, exitUsage},
		{[]string{"archive", "forget", dir, "--user", "u", "--store", "shop.db"}, exitUsage},
		{[]string{"archive", "forget", dir, "--user", "u", "--store", db}, exitFault},
		{[]string{"warehouse", "sync", "--archive", dir}, exitUsage},
		{[]string{"warehouse", "sync", "--store", db}, exitUsage},
		{[]string{"warehouse", "sync", "--store", db, "--archive", dir, "--source", "!", "--yes"}, exitUsage},
		{[]string{"warehouse", "sync", "--store", db, "--archive", t.TempDir(), "--yes"}, exitFine},
	} {
		r := analyze(t, c.args...)
		require.Equal(t, c.want, r.code, "%v: %s", c.args, r.stderr)
	}
}
