package destinationtest_test

import (
	"fmt"
	"testing"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
)

func ExampleRun() {
	_ = func(t *testing.T) { // TestConforms of an adapter
		destinationtest.Run(t, destinationtest.Setup{
			New:     func(*destinationtest.Service) analytics.Destination { return newAcme() },
			Seen:    seenAcme,
			Secrets: []string{acmeKey},
		})
	}
	// Output:
}

func ExampleCheck() {
	_ = func(t *testing.T) { // findings instead of a failed test
		for _, v := range destinationtest.Check(t, acmeSetup(func() analytics.Destination { return newAcme() })) {
			t.Log(v)
		}
	}
	// Output:
}

func ExampleRules() {
	for _, r := range destinationtest.Rules()[:2] {
		fmt.Println(r.Name)
	}
	// Output:
	// setup
	// describe-stable
}
