package sourcetest_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/sourcetest"
)

func ExampleRun() {
	_ = func(t *testing.T) { // TestConforms of a source
		requests, err := sourcetest.Load(os.DirFS("testdata/recorded"), "*.json")
		if err != nil {
			t.Fatal(err)
		}
		sourcetest.Run(t, sourcetest.Setup{
			New:      func(t testing.TB, client *analytics.Client) http.Handler { return newAcme(t, client) },
			Requests: requests,
			Sign:     sign,
			Secrets:  []string{acmeSecret},
		})
	}
	// Output:
}

func ExampleCheck() {
	_ = func(t *testing.T) { // findings instead of a failed test
		for _, v := range sourcetest.Check(t, acmeSetup(nil)) {
			t.Log(v)
		}
	}
	// Output:
}

func ExampleRules() {
	for _, r := range sourcetest.Rules()[:2] {
		fmt.Println(r.Name)
	}
	// Output:
	// setup
	// messages
}
