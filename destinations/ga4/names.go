package ga4

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-dev/analytics/destinations/dest"
)

// maxName is the longest name of an event or a parameter, in characters.
const maxName = 40

// eventName makes a name fit Google's rules. Those that Google keeps for itself get a
// prefix, since it would drop the events in silence.
func eventName(s string) string {
	name := cleanName(s, "e_", maxName)
	if isReserved(name) || reservedEvents(name) {
		name = dest.Truncate("e_"+name, maxName)
	}
	return name
}

// cleanName puts one underscore in place of every run of characters that are no letter,
// digit or underscore, strips those at the ends, puts the prefix before what does not
// begin with a letter, and cuts.
func cleanName(s, prefix string, most int) string {
	var b strings.Builder
	inRun := false
	for _, r := range strings.TrimSpace(s) {
		switch {
		case r == '_' || r != unicode.ReplacementChar && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
			inRun = false
		case !inRun:
			b.WriteByte('_')
			inRun = true
		}
	}
	name := strings.Trim(b.String(), "_")
	if name == "" {
		return ""
	}
	if first, _ := utf8.DecodeRuneInString(name); !unicode.IsLetter(first) {
		name = prefix + name
	}
	return dest.Truncate(name, most)
}

// isReserved tells whether a name begins as Google's own do.
func isReserved(name string) bool {
	for _, prefix := range []string{"_", "firebase_", "ga_", "google_", "gtag."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// reservedEvents are the names of events that Google collects by itself, by its list of
// reserved names for the Measurement Protocol.
var reservedEvents = dest.Keys("ad_activeview", "ad_click", "ad_exposure", "ad_query", "ad_reward", "adunit_exposure",
	"app_background", "app_clear_data", "app_exception", "app_remove", "app_store_refund", "app_store_subscription_cancel",
	"app_store_subscription_convert", "app_store_subscription_renew", "app_update", "app_upgrade", "dynamic_link_app_open",
	"dynamic_link_app_update", "dynamic_link_first_open", "error", "first_open", "first_visit", "in_app_purchase",
	"notification_dismiss", "notification_foreground", "notification_open", "notification_receive", "os_update",
	"session_start", "user_engagement")
