package lifecycle_test

import (
	"encoding/json"
	"fmt"

	"github.com/tributary-dev/analytics/lifecycle"
)

// An event goes as it is into the Properties of an analytics.Track, and its name into
// Event. This is what is sent.
func Example() {
	installed := lifecycle.InstallAttributed{
		Provider: "Acme Ads",
		Campaign: lifecycle.Campaign{Source: "network", Name: "Spring"},
	}
	text, err := json.Marshal(installed)
	fmt.Println(installed.EventName())
	fmt.Println(string(text), err)
	// Output:
	// Install Attributed
	// {"provider":"Acme Ads","campaign":{"source":"network","name":"Spring"}} <nil>
}
