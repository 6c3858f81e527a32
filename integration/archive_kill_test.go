package integration

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

const archiverEnv = "ANALYTICS_ARCHIVER"

// archiverTask is what a process that archives is started for.
type archiverTask struct {
	Dir   string // of spool, archive and journal
	First int    // its events begin with this number
	Hold  int    // it stands still at this step; negative: nowhere
	Drain bool   // it makes none, and archives the rest

	Every       time.Duration
	MaxBytes    int64
	MaxAge      time.Duration
	Compression archive.Compression
}

func (t *archiverTask) in(name string) string { return filepath.Join(t.Dir, name) }

// TestArchiveKillChild is the process that is killed. It does nothing among the other tests.
func TestArchiveKillChild(t *testing.T) {
	order := os.Getenv(archiverEnv)
	if order == "" {
		t.Skip("it is started by TestArchiveKill")
	}
	var task archiverTask
	require.NoError(t, json.Unmarshal([]byte(order), &task))
	time.AfterFunc(2*time.Minute, func() { panic("this process hangs") })
	require.NoError(t, task.run())
}

func (t *archiverTask) run() error {
	d := &archive.Destination{
		Bucket: &steps{Bucket: &archive.Folder{Path: t.in("archive")}, hold: t.Hold}, Dir: t.in("parts"), SourceOf: sourceOfArchiver,
		Every: t.Every, MaxBytes: t.MaxBytes, MaxAge: t.MaxAge, Compression: t.Compression,
	}
	client, err := analytics.New(analytics.Config{Spool: analytics.Spool{Dir: t.in("spool"), ID: "killed"}, Destinations: []analytics.Destination{d}})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if t.Drain {
		return client.Close(ctx)
	}
	journal, err := os.OpenFile(t.in("journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for n := t.First; ; n++ {
		fmt.Fprintln(journal, "try", n)
		if err := client.Track(ctx, archivedTrack(n)); err != nil {
			return err
		}
		fmt.Fprintln(journal, "took", n)
		if n%20 == 0 {
			<-time.After(time.Millisecond)
		}
		if n%500 == 0 {
			if err := d.Rotate(ctx); err != nil {
				return err
			}
		}
	}
}

func archivedTrack(n int) analytics.Track {
	return analytics.Track{MessageID: fmt.Sprint("m-", n), UserID: fmt.Sprint("u-", n%50), Event: fmt.Sprint("Event ", n%3), Properties: analytics.Properties{"n": n}}
}

// sourceOfArchiver tells two sources apart.
func sourceOfArchiver(event []byte) string {
	if strings.Contains(string(event), `"event":"Event 1"`) {
		return "one"
	}
	return ""
}

// steps is a bucket that can stand still before or behind each Put.
type steps struct {
	archive.Bucket
	mu   sync.Mutex
	at   int
	hold int
}

func (s *steps) Put(ctx context.Context, key string, r io.Reader, o archive.PutOptions) error {
	s.step()
	defer s.step()
	return s.Bucket.Put(ctx, key, r, o)
}

func (s *steps) step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at++; s.at-1 == s.hold {
		fmt.Println("holding")
		select {}
	}
}

// archiver is such a process.
type archiver struct {
	t     *testing.T
	cmd   *exec.Cmd
	words chan string // closed at its end
	log   strings.Builder
}

func startArchiver(t *testing.T, task archiverTask) *archiver {
	t.Helper()
	order, err := json.Marshal(task)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	p := &archiver{t: t, cmd: exec.Command(self, "-test.run=^TestArchiveKillChild$"), words: make(chan string, 100)}
	p.cmd.Env = append(os.Environ(), archiverEnv+"="+string(order))
	p.cmd.Stderr = &p.log
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go func() {
		defer close(p.words)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.words <- in.Text()
		}
	}()
	return p
}

// await waits for a word, so long at the most.
func (p *archiver) await(word string, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		select {
		case got, ok := <-p.words:
			if !ok || got == word {
				return ok
			}
			p.log.WriteString(got + "\n")
		case <-timer.C:
			return false
		}
	}
}

func (p *archiver) kill() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Kill())
	for word := range p.words {
		p.log.WriteString(word + "\n")
	}
	require.Error(p.t, p.cmd.Wait())
	require.Equal(p.t, -1, p.cmd.ProcessState.ExitCode(), "it ended before it was killed: %s", &p.log)
}

// archiveJudge knows what was sent, and what was seen of the archive after earlier kills.
type archiveJudge struct {
	t    *testing.T
	task archiverTask
	seen map[string][sha256.Size]byte
}

// finished looks at all files that have their final name: they are whole, and stay as they
// are.
func (j *archiveJudge) finished() {
	j.t.Helper()
	bucket := &archive.Folder{Path: j.task.in("archive")}
	found := map[string]bool{}
	for o, err := range bucket.List(j.t.Context(), "segment-logs/") {
		require.NoError(j.t, err)
		found[o.Key] = true
		data, err := os.ReadFile(filepath.Join(bucket.Path, filepath.FromSlash(o.Key)))
		require.NoError(j.t, err)
		sum := sha256.Sum256(data)
		if old, ok := j.seen[o.Key]; ok {
			require.Equal(j.t, old, sum, "%s has changed", o.Key)
			continue
		}
		j.seen[o.Key] = sum
		if j.task.Compression == archive.Zstd {
			continue // Verify reads them in the end
		}
		r, err := gzip.NewReader(strings.NewReader(string(data)))
		require.NoError(j.t, err, o.Key)
		_, err = io.Copy(io.Discard, r)
		require.NoError(j.t, err, o.Key)
	}
	for key := range j.seen {
		require.True(j.t, found[key], "%s is gone", key)
	}
}

// journal reads which events were tried, and which of them accepted.
func (j *archiveJudge) journal() (accepted map[int]bool, next int) {
	j.t.Helper()
	accepted = map[int]bool{}
	text, err := os.ReadFile(j.task.in("journal"))
	if errors.Is(err, os.ErrNotExist) {
		return accepted, 1
	}
	require.NoError(j.t, err)
	next = 1
	for line := range strings.Lines(string(text)) {
		word, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.Atoi(number)
		require.NoError(j.t, err, "%q", line)
		accepted[n] = word == "took"
		next = max(next, n+1)
	}
	return accepted, next
}

// verdict compares the archive with the journal.
func (j *archiveJudge) verdict() (events, doubtful, files int) {
	j.t.Helper()
	a, err := archive.Open(&archive.Folder{Path: j.task.in("archive")}, "")
	require.NoError(j.t, err)
	report, err := a.Verify(j.t.Context(), nil)
	require.NoError(j.t, err)
	require.Empty(j.t, report.Faults)
	accepted, _ := j.journal()
	found := map[string]string{}
	for e, err := range a.Events(j.t.Context(), archive.Query{}) {
		require.NoError(j.t, err)
		other, twice := found[e.MessageID]
		require.False(j.t, twice, "%s is in %s and in %s", e.MessageID, other, e.Key)
		found[e.MessageID] = e.Key
	}
	for n, sure := range accepted {
		if _, ok := found[fmt.Sprint("m-", n)]; !ok {
			require.False(j.t, sure, "m-%d was accepted, and is in no file", n)
			doubtful++
		}
		delete(found, fmt.Sprint("m-", n))
	}
	require.Empty(j.t, found, "events that nobody has sent")
	require.EqualValues(j.t, len(accepted)-doubtful, report.Events)
	return len(accepted), doubtful, int(report.Files)
}

// Processes that archive from a spool are killed dozens of times: while they start, at any
// moment, and before and behind each Put. In the end each event that was accepted is in one
// file, once.
func TestArchiveKill(t *testing.T) {
	wanted(t)
	for _, task := range []archiverTask{
		{Every: 15 * time.Millisecond, MaxBytes: 3000, Compression: archive.Gzip},
		{Every: 10 * time.Millisecond, MaxAge: 40 * time.Millisecond, Compression: archive.Zstd},
	} {
		t.Run(string(task.Compression), func(t *testing.T) {
			task.Dir, task.Hold = t.TempDir(), -1
			j := &archiveJudge{t: t, task: task, seen: map[string][sha256.Size]byte{}}
			random := rand.New(rand.NewPCG(8, uint64(task.Every)))
			const kills = 40
			held := 0
			for i := range kills {
				task := j.task
				_, task.First = j.journal()
				if i%2 == 1 {
					task.Hold = random.IntN(8)
				}
				p := startArchiver(t, task)
				switch {
				case i%8 == 0:
					<-time.After(time.Duration(random.Int64N(int64(40 * time.Millisecond))))
				case task.Hold < 0:
					require.True(t, p.await("ready", time.Minute), "%s", &p.log)
					<-time.After(time.Duration(random.Int64N(int64(150 * time.Millisecond))))
				default:
					require.True(t, p.await("holding", time.Minute), "%s", &p.log)
					held++
				}
				p.kill()
				j.finished()
			}
			task := j.task
			task.Drain = true
			p := startArchiver(t, task)
			for word := range p.words {
				p.log.WriteString(word + "\n")
			}
			require.NoError(t, p.cmd.Wait(), "%s", &p.log)
			j.finished()
			events, doubtful, files := j.verdict()
			t.Logf("%d kills, %d of them at a Put; %d events, %d of them in doubt, in %d files", kills, held, events, doubtful, files)
			require.Greater(t, files, kills/2)
		})
	}
}
