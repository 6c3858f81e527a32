package analytics

import (
	"cmp"
	"context"
	"sync"
)

// Context holds facts about the surroundings of a call. Empty fields are absent;
// Extra holds every other key.
//
// Three contexts are merged, field by field: what the message gives wins over what
// its ctx carries ([NewContext], [Middleware]), and that over Config.Context. Only
// context.library is added where nobody gave it.
type Context struct {
	Active        *bool // false: update traits without touching "last seen"
	IP            string
	Locale        string // "en-US"
	Timezone      string // name of the tz database: "Europe/Berlin"
	UserAgent     string
	Channel       string // "server", "browser", "mobile"
	GroupID       string // account of a call that is not a group call
	Direct        *bool  // true asks the receiver to fill IP from the connection
	App           App
	Campaign      Campaign
	Device        Device
	Library       Library
	Location      Location
	Network       Network
	OS            OS
	Page          PageInfo
	Referrer      Referrer
	Screen        ScreenInfo
	UserAgentData UserAgentData
	Consent       ConsentPreferences
	Traits        Traits // of the current user; does not update profiles
	ExternalIDs   []ExternalID
	Extra         map[string]any
}

// App is the application that made the call.
type App struct {
	Name, Version, Build, Namespace string
	Extra                           map[string]any
}

// Campaign is the campaign that led to the call: utm_campaign is Name, utm_source
// is Source, and so on; any other utm_x is x in Extra.
type Campaign struct {
	Name, Source, Medium, Term, Content string
	Extra                               map[string]any
}

// Device is the device of the user.
type Device struct {
	ID, AdvertisingID, Manufacturer, Model, Name, Type, Version, Token string
	AdTrackingEnabled                                                  *bool
	Extra                                                              map[string]any
}

// Library is the library that made the message.
type Library struct {
	Name, Version string
	Extra         map[string]any
}

// Location is where the user is. Degrees, metres a second.
type Location struct {
	City, Country, Region      string
	Latitude, Longitude, Speed *float64
	Extra                      map[string]any
}

// Network is how the device is connected.
type Network struct {
	Bluetooth, Cellular, WiFi *bool
	Carrier                   string
	Extra                     map[string]any
}

// OS is the operating system of the device.
type OS struct {
	Name, Version string
	Extra         map[string]any
}

// PageInfo is the page on which the call was made.
type PageInfo struct {
	Path, Referrer, Search, Title, URL string
	Extra                              map[string]any
}

// Referrer is what led the user here.
type Referrer struct {
	ID, Type, Name, URL, Link string
	Extra                     map[string]any
}

// ScreenInfo is the screen of the device: pixels, and pixels per point.
type ScreenInfo struct {
	Width, Height int
	Density       float64
	Extra         map[string]any
}

// UserAgentData are the client hints of the browser.
type UserAgentData struct {
	Brands, FullVersionList                                                []Brand
	Mobile, WOW64                                                          *bool
	Platform, PlatformVersion, Architecture, Bitness, Model, UAFullVersion string
	Extra                                                                  map[string]any
}

// Brand is an entry of UserAgentData.
type Brand struct {
	Brand, Version string
}

// ConsentPreferences is what the user agreed to. CategoryPreferences maps a category id
// (case-sensitive, no leading digit, under 35 characters) to yes or no; empty but
// not nil means no to everything.
type ConsentPreferences struct {
	CategoryPreferences map[string]bool
	Extra               map[string]any
}

// ExternalID is an identifier beyond userId and anonymousId.
type ExternalID struct {
	ID, Type, Collection, Encoding string
}

// Identity are the ids that a request carries.
type Identity struct {
	UserID, AnonymousID string
}

// Ptr returns a pointer to v, for the fields of Context whose zero is a value.
func Ptr[T any](v T) *T { return &v }

// NewContext returns a ctx that carries facts for the calls made with it. What c
// gives wins over what ctx carries already. c is read now; later changes of it have
// no effect.
func NewContext(ctx context.Context, c *Context) context.Context {
	f := factsFrom(ctx)
	merged := clone(c)
	if f.context != nil {
		if merged == nil {
			merged = &Context{}
		}
		merge(merged, f.context)
	}
	f.context = merged
	return context.WithValue(ctx, factsKey{}, f)
}

// FromContext returns a copy of the facts that ctx carries, nil if there are none.
func FromContext(ctx context.Context) *Context { return clone(factsFrom(ctx).context) }

// NewIdentity returns a ctx that carries ids: a call takes from it the userId and
// the anonymousId that its message leaves empty. Alias takes none.
func NewIdentity(ctx context.Context, id Identity) context.Context {
	f := factsFrom(ctx)
	f.identity = Identity{
		UserID:      cmp.Or(id.UserID, f.identity.UserID),
		AnonymousID: cmp.Or(id.AnonymousID, f.identity.AnonymousID),
	}
	return context.WithValue(ctx, factsKey{}, f)
}

// IdentityFromContext returns the ids that ctx carries.
func IdentityFromContext(ctx context.Context) Identity { return factsFrom(ctx).identity }

type factsKey struct{}

// facts is what ctx carries, under one key so that a call looks it up once.
type facts struct {
	context  *Context
	identity Identity
}

func factsFrom(ctx context.Context) facts {
	f, _ := ctx.Value(factsKey{}).(facts)
	return f
}

// surroundings encode the context of calls.
type surroundings struct {
	base    *Context // Config.Context with the library
	encoded []byte   // base, for the calls that add nothing
	consent bool     // whether base has consent
}

func newSurroundings(c *Context) (*surroundings, error) {
	base := clone(c)
	if base == nil {
		base = &Context{}
	}
	merge(base, &Context{Library: Library{Name: libraryName, Version: Version}})
	enc := &encoder{depth: 1}
	enc.members(base)
	return &surroundings{base: base, encoded: enc.b, consent: base.hasConsent()}, enc.err
}

// empty tells whether there is nothing to write.
func (s *surroundings) empty(given, fromCtx *Context) bool {
	return len(s.encoded) == 0 && given == nil && fromCtx == nil
}

// append merges what the message and its ctx give with base, and encodes it one
// level below the event.
func (s *surroundings) append(b []byte, given, fromCtx *Context) (_ []byte, consent bool, err error) {
	if given == nil && fromCtx == nil {
		return append(b, s.encoded...), s.consent, nil
	}
	w := contextPool.Get().(*contextWork)
	defer w.release()
	if given != nil {
		w.c = *given
	}
	if fromCtx != nil {
		w.c.visit(&w.g, fromCtx)
	}
	w.c.visit(&w.g, s.base)
	w.e.b, w.e.depth = b, 1
	w.e.members(&w.c)
	return w.e.b, w.c.hasConsent(), w.e.err
}

// contextWork is what merging and encoding a context needs.
type contextWork struct {
	c Context
	g merger
	e encoder
}

var contextPool = sync.Pool{New: func() any { return new(contextWork) }}

func (w *contextWork) release() {
	*w = contextWork{e: encoder{keys: w.e.keys[:0]}}
	contextPool.Put(w)
}

func (c *Context) hasConsent() bool {
	_, other := c.Extra["consent"]
	return other || c.Consent.CategoryPreferences != nil || len(c.Consent.Extra) > 0
}
