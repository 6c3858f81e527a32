package trackingapi_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/signal"
	"syscall"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// A whole collector: it receives, keeps what it has received on disk, hands it to a
// destination and ends without losing anything.
func Example() {
	client, err := analytics.New(analytics.Config{
		Destinations: []analytics.Destination{
			analytics.DestinationFunc("log", func(_ context.Context, events []*analytics.Event) error {
				for _, e := range events {
					log.Print(e.Type, " ", e.MessageID)
				}
				return nil
			}),
		},
		Spool: analytics.Spool{Dir: "data/spool"},
	})
	if err != nil {
		log.Fatal(err)
	}
	window, err := trackingapi.OpenWindow(trackingapi.WindowConfig{Dir: "data/ids"})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := trackingapi.New(trackingapi.Config{
		Keys:   trackingapi.Keys{"my-write-key": {Name: "web", Client: client}},
		Window: window,
		Facts:  analytics.RequestFacts{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	<-stop.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := errors.Join(handler.Close(ctx), server.Shutdown(ctx), client.Close(ctx), window.Close()); err != nil {
		log.Print(err)
	}
}

// What the handler answers to GET /collect/v1/projects/my-write-key/settings: at first to
// those who set nothing.
func ExampleSettings() {
	show(nil)
	settings := trackingapi.FixedSettings(&trackingapi.Settings{
		Integrations: map[string]any{
			"Google Tag Manager": trackingapi.IntegrationSettings{
				ConsentCategories: []string{"marketing"},
				Options:           map[string]any{"containerId": "GTM-ABC123"},
			},
			analytics.IntegrationSegment: map[string]any{"retryQueue": true},
		},
		Plan: &trackingapi.Plan{Track: map[string]trackingapi.PlanRule{
			trackingapi.PlanDefault: {Enabled: analytics.Ptr(true)},
			"Debug Clicked":         {Enabled: analytics.Ptr(false)},
		}},
		ConsentSettings: &trackingapi.ConsentSettings{AllCategories: []string{"marketing"}},
		Extra:           map[string]any{"metrics": map[string]any{"host": "shop.example/collect/v1"}},
	})
	show(settings)

	// Output:
	// {"integrations":{"Segment.io":{"apiHost":"shop.example/collect/v1","apiKey":"my-write-key"}},"metrics":{"sampleRate":0}}
	// {"consentSettings":{"allCategories":["marketing"],"hasUnmappedDestinations":false},"integrations":{"Google Tag Manager":{"consentSettings":{"categories":["marketing"]},"containerId":"GTM-ABC123"},"Segment.io":{"apiHost":"shop.example/collect/v1","apiKey":"my-write-key","retryQueue":true}},"metrics":{"host":"shop.example/collect/v1"},"plan":{"track":{"Debug Clicked":{"enabled":false},"__default":{"enabled":true}}}}
}

// show asks a handler for the settings of its only source.
func show(settings trackingapi.SettingsFunc) {
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{
		analytics.DestinationFunc("none", func(context.Context, []*analytics.Event) error { return nil }),
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close(context.Background()) }()
	handler, err := trackingapi.New(trackingapi.Config{
		Keys: trackingapi.Keys{"my-write-key": {Name: "web", Client: client, Settings: settings}},
	})
	if err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://shop.example/collect/v1/projects/my-write-key/settings", nil))
	fmt.Println(w.Body)
}

func ExamplePixelURL() {
	rules := trackingapi.PixelRules{Secret: []byte("known to the handler and to whoever writes the mails"), Require: true}
	address, err := trackingapi.PixelURL("https://shop.example/collect", "my-write-key", analytics.Track{
		UserID: "u-42", Event: "Email Opened",
	}, rules)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(address)

	// Output:
	// https://shop.example/collect/v1/pixel/track?data=eyJldmVudCI6IkVtYWlsIE9wZW5lZCIsInR5cGUiOiJ0cmFjayIsInVzZXJJZCI6InUtNDIiLCJ3cml0ZUtleSI6Im15LXdyaXRlLWtleSJ9&sig=QJ2UVJLQDTK0_jNZMglEkvZv9FJN6hZTq19B0jeZiKs
}
