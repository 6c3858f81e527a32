package lifecycle_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/lifecycle"
)

type event interface {
	json.Marshaler
	AppendJSON(b []byte) ([]byte, error)
	EventName() string
}

// rows are all events with all of their fields, as the specification lists them.
var rows = []struct {
	name  string
	event event
	want  string
}{
	{"Application Installed", lifecycle.ApplicationInstalled{Version: "2.1", Build: "21"}, `{"version":"2.1","build":"21"}`},
	{"Application Opened",
		lifecycle.ApplicationOpened{FromBackground: true, URL: "app://x", ReferringApplication: "Mail", Version: "2.1", Build: "21"},
		`{"from_background":true,"url":"app://x","referring_application":"Mail","version":"2.1","build":"21"}`},
	{"Application Updated",
		lifecycle.ApplicationUpdated{PreviousVersion: "2.0", PreviousBuild: "20", Version: "2.1", Build: "21"},
		`{"previous_version":"2.0","previous_build":"20","version":"2.1","build":"21"}`},
	{"Application Backgrounded", lifecycle.ApplicationBackgrounded{}, `{}`},
	{"Application Foregrounded", lifecycle.ApplicationForegrounded{}, `{}`},
	{"Application Uninstalled", lifecycle.ApplicationUninstalled{}, `{}`},
	{"Application Crashed", lifecycle.ApplicationCrashed{}, `{}`},
	{"Install Attributed",
		lifecycle.InstallAttributed{Provider: "Acme Ads", Campaign: lifecycle.Campaign{
			Source: "network", Name: "Spring", Medium: "video", Content: "a", AdCreative: "red", AdGroup: "north",
		}},
		`{"provider":"Acme Ads","campaign":{"source":"network","name":"Spring","medium":"video","content":"a","ad_creative":"red","ad_group":"north"}}`},
	{"Push Notification Received",
		lifecycle.PushNotificationReceived{Campaign: lifecycle.Campaign{Source: "Acme Push", Name: "Spring", Medium: "push", Content: "a"}},
		`{"campaign":{"source":"Acme Push","name":"Spring","medium":"push","content":"a"}}`},
	{"Push Notification Tapped",
		lifecycle.PushNotificationTapped{Action: "Accept", Campaign: lifecycle.Campaign{Name: "Spring"}},
		`{"action":"Accept","campaign":{"name":"Spring"}}`},
	{"Push Notification Bounced",
		lifecycle.PushNotificationBounced{Action: "Accept", Campaign: lifecycle.Campaign{Name: "Spring"}},
		`{"action":"Accept","campaign":{"name":"Spring"}}`},
	{"Deep Link Opened", lifecycle.DeepLinkOpened{Provider: "Acme Links", URL: "app://x"}, `{"provider":"Acme Links","url":"app://x"}`},
	{"Deep Link Clicked", lifecycle.DeepLinkClicked{Provider: "Acme Links", URL: "app://x"}, `{"provider":"Acme Links","url":"app://x"}`},
}

func TestEventsAreThoseOfTheSpecification(t *testing.T) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			requireFull(t, row.event)
			require.Equal(t, row.name, row.event.EventName())
			require.Equal(t, row.want, encode(t, row.event))

			empty := reflect.Zero(reflect.TypeOf(row.event)).Interface().(event)
			require.Equal(t, `{}`, encode(t, empty))
		})
	}
}

// An event that has no row would have no test.
func TestEachEventHasARow(t *testing.T) {
	source, err := os.ReadFile("events.go")
	require.NoError(t, err)
	require.Len(t, rows, bytes.Count(source, []byte(") EventName() string {")))
}

func TestExtraWins(t *testing.T) {
	extra := map[string]any{lifecycle.PropertyFromBackground: false, lifecycle.PropertyBuild: 21, "tablet": true}
	require.Equal(t, `{"version":"2.1","build":21,"from_background":false,"tablet":true}`,
		encode(t, lifecycle.ApplicationOpened{FromBackground: true, Version: "2.1", Build: "20", Extra: extra}))
	require.Equal(t, `{"a":1}`, encode(t, lifecycle.ApplicationCrashed{Extra: map[string]any{"a": 1}}))
	require.Equal(t, `{"campaign":null}`, encode(t, lifecycle.PushNotificationReceived{
		Campaign: lifecycle.Campaign{Name: "Spring"}, Extra: map[string]any{lifecycle.PropertyCampaign: nil},
	}))
	require.Equal(t, `{"campaign":{"name":""}}`, encode(t, lifecycle.PushNotificationReceived{
		Campaign: lifecycle.Campaign{Extra: map[string]any{lifecycle.PropertyName: ""}},
	}))
}

func TestErrorsNameTheKey(t *testing.T) {
	e := lifecycle.InstallAttributed{Campaign: lifecycle.Campaign{Extra: map[string]any{"cost": func() {}}}}
	b, err := e.AppendJSON([]byte("before"))
	require.EqualError(t, err, "campaign.cost: json: unsupported type: func()")
	require.Equal(t, "before", string(b))
}

func TestEncodingAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 4<<10)
	for _, row := range rows {
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := row.event.AppendJSON(buf); err != nil {
				t.Error(err)
			}
		})
		require.Zero(t, allocs, row.name)
	}
}

// requireFull demands that no field is missing, so that each is seen in the JSON.
func requireFull(t *testing.T, e event) {
	t.Helper()
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		if field := v.Type().Field(i).Name; field != "Extra" {
			require.False(t, v.Field(i).IsZero(), field)
		}
	}
}

// encode returns the JSON of e, which is the same by all ways to it.
func encode(t *testing.T, e event) string {
	t.Helper()
	own, err := e.AppendJSON([]byte("before"))
	require.NoError(t, err)
	text, ok := bytes.CutPrefix(own, []byte("before"))
	require.True(t, ok, "what stood before is still there")

	marshaled, err := json.Marshal(e)
	require.NoError(t, err)
	require.Equal(t, string(text), string(marshaled))
	return string(text)
}
