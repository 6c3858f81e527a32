package trackingapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/tributary-dev/analytics"
)

// SettingsFunc makes the settings of a source for a request. It may be called by several
// goroutines at a time.
type SettingsFunc func(ctx context.Context, r *http.Request) (*Settings, error)

// FixedSettings serves the same settings to everyone. They must not be changed any more.
func FixedSettings(s *Settings) SettingsFunc {
	return func(context.Context, *http.Request) (*Settings, error) { return s, nil }
}

// Settings are what browser and mobile libraries ask for when they start. The zero value
// makes them send everything to the handler and load nothing else.
type Settings struct {
	// Integrations are the destinations that the device delivers to itself, by name, each
	// an [IntegrationSettings] or anything that is an object in JSON. Those here load code
	// from elsewhere in a browser; destinations of the server do not belong here.
	//
	// "Segment.io" is always there and has the write key and the address of the handler.
	// Of an entry of yours its apiHost wins, where the handler cannot know under which
	// name it is reached, and {"protocol": "http"} is for development without TLS.
	Integrations map[string]any

	// Plan switches events off on the device.
	Plan *Plan

	// ConsentSettings are the categories that a consent manager asks about.
	ConsentSettings *ConsentSettings

	// MiddlewareSettings are filters that run on the device.
	MiddlewareSettings *MiddlewareSettings

	// EnabledMiddleware names the middleware that a browser loads.
	EnabledMiddleware map[string]bool

	// RemotePlugins are the action destinations that a browser loads.
	RemotePlugins []RemotePlugin

	// Extra is for everything else, such as "metrics" or "edgeFunction", by its key.
	// Fields above win.
	Extra map[string]any
}

// Plan says which events and traits a device sends to its destinations. The handler gets
// all of them.
type Plan struct {
	Track    map[string]PlanRule `json:"track,omitempty"`    // by the name of the event
	Identify map[string]PlanRule `json:"identify,omitempty"` // by the name of the trait
	Group    map[string]PlanRule `json:"group,omitempty"`    // by the name of the trait
}

// PlanDefault is the rule for what has none.
const PlanDefault = "__default"

// PlanRule is what a plan says about one event or trait.
type PlanRule struct {
	// Enabled false keeps it from all destinations of the device. Nil follows
	// [PlanDefault], and without that it is sent.
	Enabled *bool `json:"enabled,omitempty"`

	// Integrations choose destinations, as those of a message, which they are merged with.
	Integrations map[string]bool `json:"integrations,omitempty"`
}

// ConsentSettings are what a consent manager on the device needs to know.
type ConsentSettings struct {
	AllCategories           []string // of all destinations, also those of the server
	HasUnmappedDestinations bool     // there are destinations without a category
}

// MarshalJSON writes an empty list of categories as one.
func (c ConsentSettings) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		AllCategories           []string `json:"allCategories"`
		HasUnmappedDestinations bool     `json:"hasUnmappedDestinations"`
	}{append([]string{}, c.AllCategories...), c.HasUnmappedDestinations})
}

// MiddlewareSettings are filters that run on the device.
type MiddlewareSettings struct {
	RoutingRules []any `json:"routingRules"` // each an object, as the library has them
}

// RemotePlugin is an action destination that a browser loads.
type RemotePlugin struct {
	Name         string         `json:"name"`
	CreationName string         `json:"creationName"`
	URL          string         `json:"url"`
	LibraryName  string         `json:"libraryName"` // global variable that the script sets
	Settings     map[string]any `json:"settings"`
}

// IntegrationSettings are those of one destination. Empty fields are absent.
type IntegrationSettings struct {
	Type              string   // "browser"; no library of today looks at it
	Version           string   // of the destination's code
	Override          string   // a version in place of that
	ComponentTypes    []string // where it runs: "browser", "android", "ios", "server"
	BundlingStatus    string   // "bundled" means that the device delivers, "unbundled" that the server does
	ConsentCategories []string // all have to be granted

	// Options are the destination's own. Fields above win.
	Options map[string]any
}

// MarshalJSON writes the options beside what all destinations have.
func (s IntegrationSettings) MarshalJSON() ([]byte, error) {
	all := maps.Clone(s.Options)
	if all == nil {
		all = map[string]any{}
	}
	put(all, "type", s.Type, s.Type != "")
	put(all, "bundlingStatus", s.BundlingStatus, s.BundlingStatus != "")
	version := map[string]any{}
	put(version, "version", s.Version, s.Version != "")
	put(version, "override", s.Override, s.Override != "")
	put(version, "componentTypes", s.ComponentTypes, len(s.ComponentTypes) > 0)
	put(all, "versionSettings", version, len(version) > 0)
	put(all, "consentSettings", map[string]any{"categories": s.ConsentCategories}, len(s.ConsentCategories) > 0)
	return json.Marshal(all)
}

func put(to map[string]any, key string, value any, given bool) {
	if given {
		to[key] = value
	}
}

// document is the settings as JSON, keys in order: the same settings are the same bytes.
func (s *Settings) document(writeKey, apiHost string) ([]byte, error) {
	integrations, err := s.integrations(writeKey, apiHost)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(s.Extra)
	if all == nil {
		all = map[string]any{}
	}
	if _, given := all["metrics"]; !given {
		all["metrics"] = map[string]any{"sampleRate": 0} // else analytics.js tells Segment how it is doing
	}
	all["integrations"] = integrations
	put(all, "plan", s.Plan, s.Plan != nil)
	put(all, "consentSettings", s.ConsentSettings, s.ConsentSettings != nil)
	put(all, "middlewareSettings", s.MiddlewareSettings, s.MiddlewareSettings != nil)
	put(all, "enabledMiddleware", s.EnabledMiddleware, s.EnabledMiddleware != nil)
	put(all, "remotePlugins", s.RemotePlugins, s.RemotePlugins != nil)
	return json.Marshal(all)
}

func (s *Settings) integrations(writeKey, apiHost string) (map[string]any, error) {
	all := map[string]any{}
	segment := map[string]any{"apiHost": apiHost}
	for name, settings := range s.Integrations {
		raw, err := json.Marshal(settings)
		if err != nil || raw[0] != '{' {
			return nil, invalid("Integrations."+name, "is no object in JSON")
		}
		if name != analytics.IntegrationSegment {
			all[name] = json.RawMessage(raw)
			continue
		}
		var given map[string]json.RawMessage
		if err := json.Unmarshal(raw, &given); err != nil {
			return nil, err
		}
		for key, value := range given {
			segment[key] = value
		}
	}
	segment["apiKey"] = writeKey
	all[analytics.IntegrationSegment] = segment
	return all, nil
}

// settingsAge is for how long, in seconds, a library may take the settings from a cache.
const settingsAge = 300

// serveDocument answers GET and HEAD with the document, or with 304 where the client has
// it. It returns the status.
func serveDocument(w http.ResponseWriter, r *http.Request, doc []byte) (status int) {
	sum := sha256.Sum256(doc)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	header := w.Header()
	header.Set("ETag", tag)
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(settingsAge))
	if hasTag(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(doc)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(doc) // a client that has gone asks again
	}
	return http.StatusOK
}

// hasTag tells whether a list of entity tags has this one, also as a weak one: proxies
// that compress make it so. Tags of ours hold no comma.
func hasTag(lines []string, tag string) bool {
	for _, line := range lines {
		for given := range strings.SplitSeq(line, ",") {
			given = strings.TrimSpace(given)
			if given == "*" || strings.TrimPrefix(given, "W/") == tag {
				return true
			}
		}
	}
	return false
}
