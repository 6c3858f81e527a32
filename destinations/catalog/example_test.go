package catalog_test

import (
	"fmt"

	"github.com/tributary-dev/analytics/destinations/catalog"
)

// A form that asks for what an adapter cannot do without.
func ExampleFind() {
	e, _ := catalog.Find("posthog")
	fmt.Println(e.Title)
	for _, s := range e.Settings {
		if s.Required {
			fmt.Println(s.Key, "secret:", s.Secret)
		}
	}
	// Output:
	// Sends events to PostHog, its cloud or one's own, through the capture API.
	// apiKey secret: true
}
