package archive_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// sendDay sends events of all calls from three sources, over an hour and over midnight.
// It needs a bubble.
func sendDay(t *testing.T, client *analytics.Client) {
	t.Helper()
	ctx := t.Context()
	midnight := time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	n := 0
	some := func() {
		for _, user := range []string{"shop:1", "blog:2", "lonely"} {
			n++
			require.NoError(t, client.Track(ctx, analytics.Track{UserID: user, Event: fmt.Sprintf("Step %d", n%3),
				Properties: analytics.Properties{"n": n, "big": uint64(1)<<63 + 1, "text": "a\nb\u2028\"\\"}}))
			require.NoError(t, client.Identify(ctx, analytics.Identify{UserID: user, AnonymousID: fmt.Sprint("a-", n), Traits: analytics.Traits{"plan": "pro"}}))
			require.NoError(t, client.Page(ctx, analytics.Page{AnonymousID: user, Name: "Home"}))
			require.NoError(t, client.Screen(ctx, analytics.Screen{UserID: user, Name: "Cart", Integrations: analytics.Integrations{}.DisableAll()}))
			require.NoError(t, client.Group(ctx, analytics.Group{UserID: user, GroupID: "g"}))
			require.NoError(t, client.Alias(ctx, analytics.Alias{UserID: user, PreviousID: "p"}))
			require.NoError(t, client.Enqueue(ctx, analytics.Object{Collection: "products", ID: fmt.Sprint(n), Properties: map[string]any{"price": 1}}))
		}
		require.NoError(t, client.EnqueueJSON(ctx, fmt.Appendf(nil, `{"type":"track","userId":"shop:9","event":"Far Away","messageId":"far-%d","strange":[1, 2 ,{"a" : null}]}`, n), nil))
	}
	time.Sleep(time.Until(midnight.Add(-time.Hour - time.Millisecond)))
	some()
	time.Sleep(2 * time.Millisecond) // 23:00:00.001
	some()
	time.Sleep(time.Until(midnight.Add(-time.Millisecond)))
	some() // 23:59:59.999
	time.Sleep(time.Millisecond)
	some() // 00:00:00.000
	time.Sleep(30 * time.Hour)
	some()
}

func TestJudgeFilesHaveEveryEventOnce(t *testing.T) {
	for _, layout := range []archive.Layout{"", archive.Segment, archive.Hive} {
		for _, compression := range []archive.Compression{"", archive.Zstd} {
			for _, log := range []string{"memory", "spool"} {
				t.Run(strings.Join([]string{string(layout), string(compression), log}, "/"), func(t *testing.T) {
					t.Parallel()
					dir := quickDir(t)
					synctest.Test(t, func(t *testing.T) {
						cfg := analytics.Config{}
						if log == "spool" {
							cfg.Spool = analytics.Spool{Dir: dir, Sync: analytics.Never}
						}
						s := newShelf()
						d := &archive.Destination{Bucket: s, Layout: layout, Compression: compression, SourceOf: byUserPrefix}
						form := shape{layout: layout, env: "production", compression: archive.Gzip}
						if compression != "" {
							form.compression = compression
						}
						tap := archived(t, cfg, d, func(c *analytics.Client) { sendDay(t, c) })
						require.Len(t, tap.events, 5*(3*7+1))
						for _, key := range s.data() {
							if o := s.options[key]; form.compression == archive.Gzip {
								require.Equal(t, "text/plain", o.ContentType)
								require.Equal(t, "gzip", o.ContentEncoding)
							}
						}
						requireArchived(t, s, form, tap.events)
						requireVerified(t, s, "", len(tap.events))
						found := read(t, s, "", archive.Query{})
						for _, e := range tap.events {
							require.Equal(t, e.line(), found[e.id])
							require.Equal(t, map[string]string{e.id: e.line()}, read(t, s, "", archive.Query{MessageIDs: []string{e.id}}))
						}
						require.Len(t, found, len(tap.events))
						require.Empty(t, s.changed)
					})
				})
			}
		}
	}
}

func TestJudgeKeysFollowSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		d := &archive.Destination{Bucket: s, Prefix: "logs/raw", Source: "web", Layout: archive.Hive, Env: "staging", Compression: archive.Zstd}
		tap := archived(t, analytics.Config{}, d, func(c *analytics.Client) { sendDay(t, c) })
		requireArchived(t, s, shape{prefix: "logs/raw/", layout: archive.Hive, env: "staging", compression: archive.Zstd}, tap.events)
		requireVerified(t, s, "logs/raw", len(tap.events))

		s = newShelf()
		d = &archive.Destination{Bucket: s, Prefix: "logs/", Source: "web", SecondDays: true}
		tap = archived(t, analytics.Config{}, d, func(c *analytics.Client) { sendDay(t, c) })
		requireArchived(t, s, shape{prefix: "logs/", seconds: true, compression: archive.Gzip}, tap.events)
		requireVerified(t, s, "logs/", len(tap.events))
	})
}

// Several clients, each with a log of its own, write into one bucket.
func TestJudgeLogsShareABucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		var all []*accepted
		for range 3 {
			tap := archived(t, analytics.Config{}, &archive.Destination{Bucket: s}, func(c *analytics.Client) { sendDay(t, c) })
			for _, e := range tap.events {
				if !strings.HasPrefix(e.id, "far-") { // given by the test
					all = append(all, e)
				}
			}
		}
		for _, e := range all {
			require.Equal(t, e.line(), read(t, s, "", archive.Query{MessageIDs: []string{e.id}})[e.id])
		}
		requireVerifiedCount(t, s, len(all)+3*5)
	})
}

func requireVerifiedCount(t *testing.T, s *shelf, events int) {
	t.Helper()
	requireVerified(t, s, "", events)
	require.Empty(t, s.changed)
	require.Empty(t, s.halves)
}
