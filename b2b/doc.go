// Package b2b has the events of software for companies as types: accounts, their users
// and trials. They are what a Track call gets as its properties, with the names and keys
// that tools know.
//
//	err := client.Track(ctx, analytics.Track{
//		UserID:     "u-42",
//		Event:      b2b.EventTrialStarted,
//		Properties: b2b.TrialStarted{TrialStartDate: start, TrialPlanName: "Team"},
//		Context:    &analytics.Context{GroupID: "acme"},
//	})
//
// Each event should carry the account as groupId of its context, as here.
//
// No property is required, and nothing is checked but that it can be written as JSON.
//
// # Zeros and Extra
//
// A field at its zero value is absent: an empty string, a zero time. Extra holds what
// has no field, and zeros that matter. Its keys win over the fields, also with null, and
// its values may be all that encoding/json takes:
//
//	b2b.SignedUp{
//		Email: "ada@example.com",
//		Extra: map[string]any{b2b.PropertyPhone: nil, "seats": 12},
//	}
//
// Times are written as RFC 3339 in their own zone.
package b2b
