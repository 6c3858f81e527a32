package dest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

func TestRequired(t *testing.T) {
	for _, c := range []struct {
		e    analytics.Event
		want string // the field that is missing
	}{
		{analytics.Event{Type: analytics.CallTrack}, "event"},
		{analytics.Event{Type: analytics.CallGroup}, "groupId"},
		{analytics.Event{Type: analytics.CallAlias, PreviousID: "p"}, "userId"},
		{analytics.Event{Type: analytics.CallAlias, UserID: "u"}, "previousId"},
		{analytics.Event{Type: analytics.CallTrack, Event: "E"}, ""},
		{analytics.Event{Type: analytics.CallGroup, GroupID: "g"}, ""},
		{analytics.Event{Type: analytics.CallAlias, UserID: "u", PreviousID: "p"}, ""},
		{analytics.Event{Type: analytics.CallIdentify}, ""}, {analytics.Event{Type: analytics.CallPage}, ""}, {analytics.Event{}, ""},
	} {
		err := dest.Required(&c.e)
		if c.want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, c.want+": is missing")
		requireInvalid(t, err)
	}
}
