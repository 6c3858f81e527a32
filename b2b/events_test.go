package b2b_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/b2b"
)

type event interface {
	json.Marshaler
	AppendJSON(b []byte) ([]byte, error)
	EventName() string
}

var (
	start = time.Date(2026, 5, 2, 18, 10, 0, 0, time.UTC)
	end   = time.Date(2026, 6, 1, 0, 0, 0, 5e6, time.FixedZone("", 2*3600))
)

const trialMembers = `{"trial_start_date":"2026-05-02T18:10:00Z","trial_end_date":"2026-06-01T00:00:00.005+02:00","trial_plan_name":"Team"}`

// rows are all events with all of their fields, as the specification lists them.
var rows = []struct {
	name  string
	event event
	want  string
}{
	{"Account Created", b2b.AccountCreated{AccountName: "Acme"}, `{"account_name":"Acme"}`},
	{"Account Deleted", b2b.AccountDeleted{AccountName: "Acme"}, `{"account_name":"Acme"}`},
	{"Account Added User", b2b.AccountAddedUser{Role: "owner"}, `{"role":"owner"}`},
	{"Account Removed User", b2b.AccountRemovedUser{}, `{}`},
	{"Signed Up",
		b2b.SignedUp{Type: "invited", FirstName: "Ada", LastName: "Byron", Email: "ada@example.com", Phone: "+441", Username: "ada", Title: "CTO"},
		`{"type":"invited","first_name":"Ada","last_name":"Byron","email":"ada@example.com","phone":"+441","username":"ada","title":"CTO"}`},
	{"Signed In", b2b.SignedIn{Username: "ada"}, `{"username":"ada"}`},
	{"Signed Out", b2b.SignedOut{Username: "ada"}, `{"username":"ada"}`},
	{"Invite Sent",
		b2b.InviteSent{InviteeEmail: "bo@example.com", InviteeFirstName: "Bo", InviteeLastName: "Li", InviteeRole: "admin"},
		`{"invitee_email":"bo@example.com","invitee_first_name":"Bo","invitee_last_name":"Li","invitee_role":"admin"}`},
	{"Trial Started", b2b.TrialStarted{TrialStartDate: start, TrialEndDate: end, TrialPlanName: "Team"}, trialMembers},
	{"Trial Ended", b2b.TrialEnded{TrialStartDate: start, TrialEndDate: end, TrialPlanName: "Team"}, trialMembers},
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
	require.Equal(t, `{"email":"ada@example.com","phone":null,"seats":12}`, encode(t, b2b.SignedUp{
		Email: "ada@example.com", Phone: "+441", Extra: map[string]any{b2b.PropertyPhone: nil, "seats": 12},
	}))
	require.Equal(t, `{"trial_end_date":"never"}`, encode(t, b2b.TrialStarted{
		TrialEndDate: end, Extra: map[string]any{b2b.PropertyTrialEndDate: "never"},
	}))
}

func TestErrorsNameTheKey(t *testing.T) {
	b, err := b2b.TrialEnded{TrialStartDate: start, TrialEndDate: start.AddDate(8000, 0, 0)}.AppendJSON([]byte("before"))
	require.ErrorContains(t, err, "trial_end_date: ")
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
