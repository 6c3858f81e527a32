package b2b_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tributary-dev/analytics/b2b"
)

// An event goes as it is into the Properties of an analytics.Track, and its name into
// Event. This is what is sent.
func Example() {
	started := b2b.TrialStarted{
		TrialStartDate: time.Date(2026, 5, 2, 18, 10, 0, 0, time.UTC),
		TrialPlanName:  "Team",
	}
	text, err := json.Marshal(started)
	fmt.Println(started.EventName())
	fmt.Println(string(text), err)
	// Output:
	// Trial Started
	// {"trial_start_date":"2026-05-02T18:10:00Z","trial_plan_name":"Team"} <nil>
}
