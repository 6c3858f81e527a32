// Package lifecycle has the events in the life of an installed app as types: what a
// Track call gets as its properties, with the names and keys that tools know.
//
//	err := client.Track(ctx, analytics.Track{
//		UserID: "u-42",
//		Event:  lifecycle.EventInstallAttributed,
//		Properties: lifecycle.InstallAttributed{
//			Provider: "Acme Ads",
//			Campaign: lifecycle.Campaign{Source: "network", Name: "Spring"},
//		},
//	})
//
// SDKs for phones send some of the events by themselves when lifecycle tracking is on;
// sent from elsewhere too, those would count twice.
//
// No property is required, and nothing is checked but that it can be written as JSON.
//
// # Zeros and Extra
//
// A field at its zero value is absent: an empty string, false, a Campaign without
// members. Extra holds what has no field, and zeros that matter. Its keys win over the
// fields, also with null, and its values may be all that encoding/json takes:
//
//	lifecycle.ApplicationOpened{
//		Version: "2.1",
//		Extra:   map[string]any{lifecycle.PropertyFromBackground: false, "tablet": true},
//	}
package lifecycle
