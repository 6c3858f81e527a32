package desttest

import (
	"embed"
	"encoding/json"
	"testing"

	"github.com/tributary-dev/analytics"
)

//go:embed testdata
var testdata embed.FS

// An Input is an event of the shared sets.
type Input struct {
	ID    string
	Event *analytics.Event
	Raw   json.RawMessage // the event's JSON as it was written
}

// Inputs returns the seven events for which every adapter has recorded requests.
func Inputs(t testing.TB) []Input { return load(t, "testdata/inputs.json") }

// Wide returns further events: odd ones that are allowed.
func Wide(t testing.TB) []Input { return load(t, "testdata/wide.json") }

func load(t testing.TB, name string) []Input {
	t.Helper()
	raw, err := testdata.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		ID      string          `json:"id"`
		Message json.RawMessage `json:"message"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	inputs := make([]Input, len(list))
	for i, in := range list {
		inputs[i] = Input{ID: in.ID, Event: Event(t, string(in.Message)), Raw: in.Message}
	}
	return inputs
}
