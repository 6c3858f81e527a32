package integration_test

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	amplitudedest "github.com/tributary-dev/analytics/destinations/amplitude"
	"github.com/tributary-dev/analytics/destinations/dest"
	slackdest "github.com/tributary-dev/analytics/destinations/slack"
	webhookdest "github.com/tributary-dev/analytics/destinations/webhook"
)

// sampled tells whether a user is in the sample, by the hash of the id.
func sampled(user string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user))
	return h.Sum32()%2 == 0
}

// sample lets half of the users through.
var sample = analytics.PluginFunc(func(_ context.Context, e *analytics.Event) error {
	if !sampled(e.UserID) {
		return analytics.Drop("not in the sample")
	}
	return nil
})

// deny takes a property out and lets no page through.
var deny = analytics.PluginFunc(func(_ context.Context, e *analytics.Event) error {
	if e.Type == analytics.CallPage {
		return analytics.Drop("pages are denied")
	}
	delete(e.Properties, "song")
	return nil
})

// Two projects of one tool are two destinations under one key. Plugins of the one change
// nothing for the other.
func TestDeviceModeTwoProjects(t *testing.T) {
	logs(t, func(t *testing.T, spool analytics.Spool) {
		n, w := newTools(), &watch{}
		second := analytics.Named("amplitude-2", analytics.With(&amplitudedest.Destination{APIKey: "two"}, sample, deny))
		client := open(t, n, w, analytics.Config{Spool: spool, Destinations: []analytics.Destination{
			&amplitudedest.Destination{APIKey: "one"}, second,
		}})
		events := mix(time.Now(), 300, 20)
		send(t, client, events)
		unwanted := newEvent(300, track, "u", time.Now(), 0).message.(analytics.Track)
		unwanted.Integrations = analytics.Integrations{}.Disable("Amplitude")
		require.NoError(t, client.Enqueue(t.Context(), unwanted))
		require.NoError(t, client.Close(in(t, time.Hour)))

		projects := map[string][]piece{}
		for _, p := range n.of("Amplitude").kept() {
			projects[p.group] = append(projects[p.group], p)
		}
		chosen := slices.DeleteFunc(slices.Clone(events), func(e event) bool { return !sampled(e.user) || e.kind == page })
		require.NotEmpty(t, chosen)
		complete(t, "Amplitude", projects["one"], events)
		complete(t, "Amplitude", projects["two"], chosen)
		for project, kept := range projects {
			for _, p := range kept {
				whole := strings.Contains(p.body, `"event_type":"Song Played"`)
				require.Equal(t, whole && project == "one", whole && strings.Contains(p.body, `"song":`), p.body)
			}
		}
		stats := balanced(t, client)
		for _, name := range []string{"Amplitude", "amplitude-2"} {
			require.EqualValues(t, 1, stats[name].Filtered[analytics.ReasonIntegrations], name)
		}
		denied := 0
		for _, e := range events {
			if wants["Amplitude"][e.kind] > 0 && (!sampled(e.user) || e.kind == page) {
				denied++
			}
		}
		require.EqualValues(t, denied, stats["amplitude-2"].Filtered[analytics.ReasonPlugin])
		require.Zero(t, stats["Amplitude"].Filtered[analytics.ReasonPlugin])
	})
}

// An adapter that takes events as they are in the log makes the same of them behind With,
// which decodes them.
func TestDeviceModeRawBehindWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTools()
		nothing := analytics.PluginFunc(func(context.Context, *analytics.Event) error { return nil })
		client := open(t, n, &watch{}, analytics.Config{Destinations: []analytics.Destination{
			analytics.Named("raw", &webhookdest.Destination{URL: "https://hook.shop.example/raw", Batch: true}),
			analytics.Named("decoded", analytics.With(&webhookdest.Destination{URL: "https://hook.shop.example/decoded", Batch: true}, nothing)),
		}})
		events := mix(time.Now(), 60, 20)
		send(t, client, events)
		require.NoError(t, client.Close(in(t, time.Hour)))
		bodies := map[string]map[string]string{"/raw": {}, "/decoded": {}}
		for _, p := range n.of("Webhook").kept() {
			bodies[p.path][p.mark] = p.body
		}
		require.Len(t, bodies["/raw"], len(events))
		require.Len(t, bodies["/decoded"], len(events))
		for mark, body := range bodies["/raw"] {
			require.JSONEq(t, body, bodies["/decoded"][mark])
		}
	})
}

// The hooks rename, edit, ignore and refuse what each adapter sends.
func TestDeviceModeHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, w, folder := newTools(), &watch{}, t.TempDir()
		all := adapters(folder)
		posts := all["Slack"].(*slackdest.Destination)
		posts.IdentifyTemplate, posts.Events["Song Played"] = "{{.Traits.mark}}", slackdest.Rule{Template: "{{.Event}} {{.Properties.mark}}"}
		hooks := dest.Hooks{
			EventNames: map[string]string{"Song Played": "Tune Heard", "pe1_song_played": "Tune Heard"},
			Fields:     map[string]string{"added": "context.page.url"},
			Edit: func(e *analytics.Event, item map[string]any) error {
				switch e.Type {
				case analytics.CallPage:
					return analytics.ErrIgnored
				case analytics.CallScreen:
					return errors.New("no screens")
				}
				item["edited"] = true
				return nil
			},
		}
		for _, d := range all {
			reflect.ValueOf(d).Elem().FieldByName("Hooks").Set(reflect.ValueOf(hooks))
		}
		client := open(t, n, w, analytics.Config{Destinations: pick(all)})
		var events []event
		for i, k := range []kind{identify, track, track, page, screen} {
			events = append(events, newEvent(i, k, "u", time.Now(), 0))
		}
		send(t, client, events)
		require.NoError(t, client.Close(in(t, time.Hour)))

		file, err := os.ReadFile(filepath.Join(folder, "events.ndjson"))
		require.NoError(t, err)
		stats := balanced(t, client)
		for _, name := range slices.Sorted(maps.Keys(wants)) {
			kept := lines(file)
			if to := n.of(name); to != nil {
				kept = to.kept()
			}
			tracks := 0
			for _, p := range kept {
				require.Contains(t, p.body, `"edited":true`, name)
				if p.mark != events[1].mark && p.mark != events[2].mark {
					require.Equal(t, events[0].mark, p.mark, name)
					continue
				}
				tracks++
				require.Regexp(t, "Tune[ _]Heard", p.body, name)
				require.Contains(t, p.body, `"added":"https://shop.example/`+p.mark, name)
			}
			require.Equal(t, 2, tracks, name)
			require.EqualValues(t, min(wants[name][screen], 1), stats[name].Dropped[analytics.ReasonInvalid], name)
			require.EqualValues(t, min(wants[name][page], 1), stats[name].Filtered[analytics.ReasonIgnored], name)
		}
	})
}
