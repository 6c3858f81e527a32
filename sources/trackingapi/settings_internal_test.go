package trackingapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

func TestSettingsDocument(t *testing.T) {
	for name, tc := range map[string]struct {
		settings Settings
		want     string
	}{
		"nothing but the handler": {Settings{}, `{"integrations":{"Segment.io":{"apiHost":"e.example/v1","apiKey":"k"}},"metrics":{"sampleRate":0}}`},
		"an address of one's own, no key of another": {
			Settings{Integrations: map[string]any{"Segment.io": map[string]any{"apiHost": "cdn.example/v1", "apiKey": "other", "protocol": "http", "n": json.Number("1.50")}}},
			`{"integrations":{"Segment.io":{"apiHost":"cdn.example/v1","apiKey":"k","n":1.50,"protocol":"http"}},"metrics":{"sampleRate":0}}`},
		"destinations": {Settings{Integrations: map[string]any{
			"Amplitude": IntegrationSettings{Type: "browser", Version: "2.1", Override: "2.0", ComponentTypes: []string{"browser"}, BundlingStatus: "bundled",
				ConsentCategories: []string{"Ads"}, Options: map[string]any{"apiKey": "amp", "type": "lost"}},
			"Braze": &IntegrationSettings{},
			"Own":   struct{ A int }{1},
		}}, `{"integrations":{"Amplitude":{"apiKey":"amp","bundlingStatus":"bundled","consentSettings":{"categories":["Ads"]},"type":"browser",` +
			`"versionSettings":{"componentTypes":["browser"],"override":"2.0","version":"2.1"}},"Braze":{},"Own":{"A":1},` +
			`"Segment.io":{"apiHost":"e.example/v1","apiKey":"k"}},"metrics":{"sampleRate":0}}`},
		"everything else": {Settings{
			Plan: &Plan{
				Track: map[string]PlanRule{PlanDefault: {Enabled: analytics.Ptr(false)}, "Order Completed": {Enabled: analytics.Ptr(true), Integrations: map[string]bool{"Braze": false}}},
				Group: map[string]PlanRule{"plan": {}},
			},
			ConsentSettings:    &ConsentSettings{HasUnmappedDestinations: true},
			MiddlewareSettings: &MiddlewareSettings{RoutingRules: []any{map[string]any{"scope": "destinations"}}},
			EnabledMiddleware:  map[string]bool{"m": true},
			RemotePlugins:      []RemotePlugin{{Name: "N", CreationName: "C", URL: "https://x.example/a.js", LibraryName: "L"}},
			Extra:              map[string]any{"metrics": map[string]any{"sampleRate": 0.1}, "plan": "lost", "integrations": "lost"},
		}, `{"consentSettings":{"allCategories":[],"hasUnmappedDestinations":true},"enabledMiddleware":{"m":true},` +
			`"integrations":{"Segment.io":{"apiHost":"e.example/v1","apiKey":"k"}},"metrics":{"sampleRate":0.1},` +
			`"middlewareSettings":{"routingRules":[{"scope":"destinations"}]},` +
			`"plan":{"track":{"Order Completed":{"enabled":true,"integrations":{"Braze":false}},"__default":{"enabled":false}},"group":{"plan":{}}},` +
			`"remotePlugins":[{"name":"N","creationName":"C","url":"https://x.example/a.js","libraryName":"L","settings":null}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := tc.settings.document("k", "e.example/v1")
			require.NoError(t, err)
			require.Equal(t, tc.want, string(doc))
			again, err := tc.settings.document("k", "e.example/v1")
			require.NoError(t, err)
			require.Equal(t, doc, again, "what was given is as it was")
		})
	}
	for name, value := range map[string]any{"a switch": true, "a list": []int{1}, "nothing": nil, "no JSON": func() {}, "a nil pointer": (*IntegrationSettings)(nil)} {
		_, err := (&Settings{Integrations: map[string]any{"X": value}}).document("k", "h")
		require.EqualError(t, err, "Integrations.X: is no object in JSON", name)
	}
	_, err := (&Settings{Extra: map[string]any{"f": func() {}}}).document("k", "h")
	require.Error(t, err)
}

func TestFixedSettings(t *testing.T) {
	s := &Settings{}
	got, err := FixedSettings(s)(t.Context(), httptest.NewRequest(http.MethodGet, "/", nil))
	require.NoError(t, err)
	require.Same(t, s, got)
}

func TestServeDocument(t *testing.T) {
	doc := []byte(`{"integrations":{}}`)
	serve := func(method, ifNoneMatch string) (*httptest.ResponseRecorder, int) {
		r := httptest.NewRequest(method, "/", nil)
		if ifNoneMatch != "" {
			r.Header.Set("If-None-Match", ifNoneMatch)
		}
		w := httptest.NewRecorder()
		return w, serveDocument(w, r, doc)
	}
	w, status := serve(http.MethodGet, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, string(doc), w.Body.String())
	tag := w.Header().Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{32}"$`, tag, "a strong one")
	require.Equal(t, http.Header{
		"Etag": {tag}, "Cache-Control": {"public, max-age=300"}, "Content-Type": {"application/json; charset=utf-8"},
		"X-Content-Type-Options": {"nosniff"}, "Content-Length": {"19"},
	}, w.Header())

	head, status := serve(http.MethodHead, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, w.Header(), head.Header())
	require.Empty(t, head.Body.String())

	for _, have := range []string{tag, "W/" + tag, `"other", ` + tag, "*", ` W/"x" ,W/` + tag} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w, status := serve(method, have)
			require.Equal(t, http.StatusNotModified, status, have)
			require.Equal(t, http.StatusNotModified, w.Code)
			require.Empty(t, w.Body.String())
			require.Equal(t, http.Header{"Etag": {tag}, "Cache-Control": {"public, max-age=300"}}, w.Header())
		}
	}
	for _, have := range []string{`"other"`, strings.Trim(tag, `"`), "W/", `""`} {
		w, _ := serve(http.MethodGet, have)
		require.Equal(t, http.StatusOK, w.Code, have)
	}
	other := httptest.NewRecorder()
	serveDocument(other, httptest.NewRequest(http.MethodGet, "/", nil), []byte(`{}`))
	require.NotEqual(t, tag, other.Header().Get("ETag"))
}
