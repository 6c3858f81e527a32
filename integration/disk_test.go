package integration

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// wanted tells whether the tests of this package are to run.
func wanted(t *testing.T) {
	if os.Getenv("ANALYTICS_INTEGRATION") != "1" {
		t.Skip("set ANALYTICS_INTEGRATION=1 to run it")
	}
}

// tool is a destination that can be switched off, and remembers what it got.
type tool struct {
	up  atomic.Bool
	mu  sync.Mutex
	got map[string]int
}

var errDown = errors.New("the tool is down")

func (d *tool) Describe() analytics.Description { return analytics.Description{Name: "tool"} }

func (d *tool) Translate(e *analytics.Event) ([]analytics.Item, error) {
	return []analytics.Item{{Body: []byte(e.MessageID)}}, nil
}

func (d *tool) Deliver(_ context.Context, b *analytics.Batch) error {
	if !d.up.Load() {
		return errDown
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, it := range b.Items {
		d.got[it.ID]++
	}
	return nil
}

// smallDisk mounts a file system of 24 MB in memory.
func smallDisk(t *testing.T) string {
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Cleanup(func() {
		out, err := exec.Command("umount", dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	return dir
}

// fill accepts events until the client refuses, which it must do with ErrQueueFull and
// nothing else, and returns their ids.
func fill(t *testing.T, client *analytics.Client, prefix string) (ids []string) {
	padding := make([]byte, 4000)
	for i := range padding {
		padding[i] = 'x'
	}
	for refused := 0; refused < 20; {
		id := prefix + strconv.Itoa(len(ids))
		err := client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", MessageID: id, Properties: map[string]string{"padding": string(padding)}})
		if err == nil {
			ids = append(ids, id)
			continue
		}
		require.ErrorIs(t, err, analytics.ErrQueueFull)
		refused++
		time.Sleep(10 * time.Millisecond)
	}
	return ids
}

// R4: a disk that is full loses nothing that was accepted, a client starts on it, and
// goes on soon after there is room again.
func TestFullDisk(t *testing.T) {
	wanted(t)
	dir := smallDisk(t)
	d := &tool{got: map[string]int{}}
	open := func() *analytics.Client {
		client, err := analytics.New(analytics.Config{
			Destinations: []analytics.Destination{d}, FlushInterval: -1,
			Spool: analytics.Spool{Dir: filepath.Join(dir, "spool"), MinFree: -1},
		})
		require.NoError(t, err)
		return client
	}
	closeNow := func(client *analytics.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		require.Error(t, client.Close(ctx))
	}
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 4<<20), 0o600))
	client := open()
	ids := fill(t, client, "a")
	require.Greater(t, len(ids), 1000)
	closeNow(client)
	client = open()
	ids = append(ids, fill(t, client, "b")...)
	require.NoError(t, os.Remove(ballast))
	require.Eventually(t, func() bool {
		err := client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", MessageID: "after"})
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
	ids = append(ids, "after")
	closeNow(client)

	d.up.Store(true)
	client = open()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, client.Close(ctx))
	require.Len(t, d.got, len(ids))
	for _, id := range ids {
		require.Positive(t, d.got[id], id)
	}
}
