package intercom_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// sheet: Responses, 404 on a cached contact id.
func TestACachedContactThatIsGone(t *testing.T) {
	for name, next := range map[string]func(testing.TB) *analytics.Event{
		"by an identify call": func(t testing.TB) *analytics.Event { return identify(t, "u-1", "Ann Lee") },
		"by a group call":     func(t testing.TB) *analytics.Event { return group(t, "u-1", "g-1") },
	} {
		t.Run("is searched again "+name, func(t *testing.T) {
			f := &fake{}
			d := opened(t, f)
			id := f.add(map[string]any{"external_id": "u-1"})
			require.Equal(t, []analytics.Word{delivered}, settle(t, d, identify(t, "u-1", "Ann")))
			f.forget(id)
			f.add(map[string]any{"external_id": "u-1"}) // by another program
			f.requests()
			require.Equal(t, []analytics.Word{delivered}, settle(t, d, next(t)))
			require.Contains(t, f.requests(), "POST /contacts/search")
			require.Len(t, f.contacts, 1)
			if len(f.companies) > 0 {
				require.Equal(t, []string{"ic_contact_2 ic_company_1"}, f.links)
			} else {
				require.Equal(t, "Ann Lee", f.contacts[0].fields["name"])
			}
			require.Empty(t, f.violations)
		})
		t.Run("and not to be found is no end "+name, func(t *testing.T) {
			f := &fake{}
			d := opened(t, f)
			id := f.add(map[string]any{"external_id": "u-1"})
			require.Equal(t, []analytics.Word{delivered}, settle(t, d, identify(t, "u-1", "Ann")))
			f.forget(id)
			require.Equal(t, []analytics.Word{delivered}, settle(t, d, next(t)))
			require.Empty(t, f.links)
			require.Empty(t, f.violations)
		})
	}
	t.Run("is searched again by an event under an e-mail address", func(t *testing.T) {
		f := &fake{}
		d := opened(t, f)
		e := desttest.Event(t, `{"type":"track","messageId":"m","anonymousId":"a","event":"A",`+at+`,"properties":{"email":"ann@example.com"}}`)
		id := f.add(map[string]any{"email": "ann@example.com"})
		require.Equal(t, []analytics.Word{delivered}, settle(t, d, e))
		f.forget(id)
		id = f.add(map[string]any{"email": "ann@example.com"})
		require.Equal(t, []analytics.Word{delivered}, settle(t, d, e))
		require.Equal(t, id, f.events[1]["id"])
	})
}

// sheet: Requests and call flow, the search is eventually consistent: keep a cache, for
// an hour.
func TestCache(t *testing.T) {
	for name, there := range map[string]bool{"found": true, "made": false} {
		t.Run("a contact that was "+name+" is remembered for an hour", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				d := opened(t, f)
				if there {
					f.add(map[string]any{"external_id": "u-1"})
				}
				require.Equal(t, []analytics.Word{delivered}, settle(t, d, identify(t, "u-1", "Ann")))
				f.requests()
				require.Equal(t, []analytics.Word{delivered}, settle(t, d, identify(t, "u-1", "Ann Lee")))
				require.Equal(t, []string{"PUT /contacts/ic_contact_1"}, f.requests())
				time.Sleep(61 * time.Minute)
				require.Equal(t, []analytics.Word{delivered}, settle(t, d, identify(t, "u-1", "Ann L.")))
				require.Equal(t, []string{"POST /contacts/search", "PUT /contacts/ic_contact_1"}, f.requests())
			})
		})
	}
	t.Run("a contact that was just made is put into its company, whatever the search finds", func(t *testing.T) {
		f := &fake{}
		d := opened(t, f)
		require.Equal(t, []analytics.Word{delivered}, settle(t, d, identify(t, "u-1", "Ann")))
		f.lag = 1
		require.Equal(t, []analytics.Word{delivered}, settle(t, d, group(t, "u-1", "g-1")))
		require.Equal(t, []string{"ic_contact_1 ic_company_1"}, f.links)
	})
	t.Run("so is one whose id came with a 409", func(t *testing.T) {
		f := &fake{lag: 2}
		d := opened(t, f)
		id := f.add(map[string]any{"external_id": "u-1"})
		require.Equal(t, []analytics.Word{delivered, delivered}, settle(t, d, identify(t, "u-1", "Ann"), group(t, "u-1", "g-1")))
		require.Equal(t, []string{id + " ic_company_1"}, f.links)
	})
}

// sheet: Responses, 409 on POST /contacts.
func TestAContactThatTheSearchDoesNotFindYet(t *testing.T) {
	t.Run("409 with an id updates that contact", func(t *testing.T) {
		f := &fake{lag: 1}
		d := opened(t, f)
		id := f.add(map[string]any{"external_id": "u-1"})
		require.True(t, desttest.Deliver(t, d, identify(t, "u-1", "Ann"), identify(t, "u-2", "Bo"), identify(t, "u-3", "Cy")).All(delivered))
		require.Equal(t, []string{"POST /contacts/search", "POST /contacts", "PUT /contacts/" + id}, f.requests()[:3])
		require.Len(t, f.contacts, 3)
		require.Equal(t, "Ann", f.contacts[0].fields["name"])
	})
	t.Run("409 without an id waits for the index", func(t *testing.T) {
		f := &fake{lag: 1}
		d := opened(t, f)
		f.add(map[string]any{"external_id": "u-1"})
		f.next("POST /contacts", 409, nil, `{"type":"error.list","errors":[{"code":"conflict","message":"A contact matching those details already exists"}]}`)
		results := desttest.Deliver(t, d, identify(t, "u-1", "Ann"), identify(t, "u-2", "Bo"), identify(t, "u-3", "Cy"))
		require.Equal(t, []analytics.Word{again, delivered, delivered}, results.Words())
		require.Equal(t, []analytics.Word{delivered}, settle(t, d, identify(t, "u-1", "Ann")))
		require.Len(t, f.contacts, 3)
	})
	t.Run("an odd id in a 409 goes nowhere", func(t *testing.T) {
		for _, id := range []string{"", "../admins/1", "é", "%2e%2e"} {
			f := &fake{}
			d := opened(t, f)
			f.next("POST /contacts", 409, nil, `{"type":"error.list","errors":[{"code":"conflict","message":"already exists with id=`+id+`"}]}`)
			require.Equal(t, []analytics.Word{delivered}, settle(t, d, identify(t, "u-1", "Ann")))
			for _, r := range f.requests() {
				require.NotContains(t, r, "admins")
			}
			require.Empty(t, f.violations, id)
		}
	})
	t.Run("several that match are no match", func(t *testing.T) {
		f := &fake{}
		d := opened(t, f)
		f.next("POST /contacts/search", 200, nil, `{"type":"list","data":[{"id":"a"},{"id":"b"}],"total_count":2}`)
		require.True(t, desttest.Deliver(t, d, identify(t, "u-1", "Ann")).All(delivered))
		require.Equal(t, []string{"POST /contacts/search", "POST /contacts"}, f.requests())
	})
}

// sheet: Requests and call flow, track without userId.
func TestEventsByEmail(t *testing.T) {
	byEmail := func(email string) *analytics.Event {
		return desttest.Event(t, fmt.Sprintf(`{"type":"track","messageId":"m-%s","anonymousId":"a-1","event":"A",%s,"properties":{"email":%q}}`, email, at, email))
	}
	f := &fake{}
	d := opened(t, f)
	id := f.add(map[string]any{"email": "ann@example.com"})
	results := desttest.Deliver(t, d, byEmail("ann@example.com"), byEmail("bo@example.com"), byEmail("ann@example.com"))
	require.Equal(t, []analytics.Word{delivered, permanent, delivered}, results.Words())
	require.NotContains(t, results[1].Err.Error(), "bo@")
	require.Len(t, f.events, 2)
	for _, e := range f.events {
		require.Equal(t, id, e["id"])
		require.NotContains(t, e, "user_id")
	}
	require.Empty(t, f.violations)
}
