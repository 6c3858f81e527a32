package analytics

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"time"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// Every struct that is an object in the JSON of an event lists its fields once, in
// a visit method. Encoding, decoding, merging and copying are visitors of that
// list.

// object is a pointer to such a struct.
type object interface {
	// visit shows each field to v, with the same field of other, an object of the
	// same type, which is the receiver itself where v needs no second one. Extra
	// comes first.
	visit(v visitor, other object)
}

// objectOf lets a generic function make and address objects.
type objectOf[T any] interface {
	*T
	object
}

type visitor interface {
	extra(p, other *map[string]any)
	str(key string, p, other *string)
	flag(key string, p, other **bool)
	float(key string, p, other **float64)
	integer(key string, p, other *int)
	number(key string, p, other *float64)
	time(key string, p, other *time.Time)
	object(key string, p, other *map[string]any)
	flags(key string, p, other *map[string]bool)
	part(key string, p, other object)
	optional(key string, p, other **Context)
	brands(key string, p, other *[]Brand)
	externalIDs(key string, p, other *[]ExternalID)
}

func (e *Event) visit(v visitor, other object) {
	o := other.(*Event)
	v.extra(&e.Extra, &o.Extra)
	v.str("type", (*string)(&e.Type), (*string)(&o.Type))
	v.str("messageId", &e.MessageID, &o.MessageID)
	v.time("timestamp", &e.Timestamp, &o.Timestamp)
	v.str("userId", &e.UserID, &o.UserID)
	v.str("anonymousId", &e.AnonymousID, &o.AnonymousID)
	v.str("event", &e.Event, &o.Event)
	v.str("name", &e.Name, &o.Name)
	v.str("category", &e.Category, &o.Category)
	v.str("groupId", &e.GroupID, &o.GroupID)
	v.str("previousId", &e.PreviousID, &o.PreviousID)
	v.str("collection", &e.Collection, &o.Collection)
	v.str("id", &e.ObjectID, &o.ObjectID)
	v.object("properties", &e.Properties, &o.Properties)
	v.object("traits", &e.Traits, &o.Traits)
	v.object("integrations", (*map[string]any)(&e.Integrations), (*map[string]any)(&o.Integrations))
	v.optional("context", &e.Context, &o.Context)
	v.str("channel", &e.Channel, &o.Channel)
	v.time("originalTimestamp", &e.OriginalTimestamp, &o.OriginalTimestamp)
	v.time("sentAt", &e.SentAt, &o.SentAt)
	v.time("receivedAt", &e.ReceivedAt, &o.ReceivedAt)
	v.object("_metadata", &e.Metadata, &o.Metadata)
}

func (c *Context) visit(v visitor, other object) {
	o := other.(*Context)
	v.extra(&c.Extra, &o.Extra)
	v.part("library", &c.Library, &o.Library)
	v.flag("active", &c.Active, &o.Active)
	v.str("ip", &c.IP, &o.IP)
	v.str("locale", &c.Locale, &o.Locale)
	v.str("timezone", &c.Timezone, &o.Timezone)
	v.str("userAgent", &c.UserAgent, &o.UserAgent)
	v.str("channel", &c.Channel, &o.Channel)
	v.str("groupId", &c.GroupID, &o.GroupID)
	v.flag("direct", &c.Direct, &o.Direct)
	v.part("app", &c.App, &o.App)
	v.part("campaign", &c.Campaign, &o.Campaign)
	v.part("device", &c.Device, &o.Device)
	v.part("location", &c.Location, &o.Location)
	v.part("network", &c.Network, &o.Network)
	v.part("os", &c.OS, &o.OS)
	v.part("page", &c.Page, &o.Page)
	v.part("referrer", &c.Referrer, &o.Referrer)
	v.part("screen", &c.Screen, &o.Screen)
	v.part("userAgentData", &c.UserAgentData, &o.UserAgentData)
	v.part("consent", &c.Consent, &o.Consent)
	v.object("traits", (*map[string]any)(&c.Traits), (*map[string]any)(&o.Traits))
	v.externalIDs("externalIds", &c.ExternalIDs, &o.ExternalIDs)
}

func (a *App) visit(v visitor, other object) {
	o := other.(*App)
	v.extra(&a.Extra, &o.Extra)
	v.str("name", &a.Name, &o.Name)
	v.str("version", &a.Version, &o.Version)
	v.str("build", &a.Build, &o.Build)
	v.str("namespace", &a.Namespace, &o.Namespace)
}

func (c *Campaign) visit(v visitor, other object) {
	o := other.(*Campaign)
	v.extra(&c.Extra, &o.Extra)
	v.str("name", &c.Name, &o.Name)
	v.str("source", &c.Source, &o.Source)
	v.str("medium", &c.Medium, &o.Medium)
	v.str("term", &c.Term, &o.Term)
	v.str("content", &c.Content, &o.Content)
}

func (d *Device) visit(v visitor, other object) {
	o := other.(*Device)
	v.extra(&d.Extra, &o.Extra)
	v.str("id", &d.ID, &o.ID)
	v.str("advertisingId", &d.AdvertisingID, &o.AdvertisingID)
	v.flag("adTrackingEnabled", &d.AdTrackingEnabled, &o.AdTrackingEnabled)
	v.str("manufacturer", &d.Manufacturer, &o.Manufacturer)
	v.str("model", &d.Model, &o.Model)
	v.str("name", &d.Name, &o.Name)
	v.str("type", &d.Type, &o.Type)
	v.str("version", &d.Version, &o.Version)
	v.str("token", &d.Token, &o.Token)
}

func (l *Library) visit(v visitor, other object) {
	o := other.(*Library)
	v.extra(&l.Extra, &o.Extra)
	v.str("name", &l.Name, &o.Name)
	v.str("version", &l.Version, &o.Version)
}

func (l *Location) visit(v visitor, other object) {
	o := other.(*Location)
	v.extra(&l.Extra, &o.Extra)
	v.str("city", &l.City, &o.City)
	v.str("country", &l.Country, &o.Country)
	v.str("region", &l.Region, &o.Region)
	v.float("latitude", &l.Latitude, &o.Latitude)
	v.float("longitude", &l.Longitude, &o.Longitude)
	v.float("speed", &l.Speed, &o.Speed)
}

func (n *Network) visit(v visitor, other object) {
	o := other.(*Network)
	v.extra(&n.Extra, &o.Extra)
	v.flag("bluetooth", &n.Bluetooth, &o.Bluetooth)
	v.str("carrier", &n.Carrier, &o.Carrier)
	v.flag("cellular", &n.Cellular, &o.Cellular)
	v.flag("wifi", &n.WiFi, &o.WiFi)
}

func (s *OS) visit(v visitor, other object) {
	o := other.(*OS)
	v.extra(&s.Extra, &o.Extra)
	v.str("name", &s.Name, &o.Name)
	v.str("version", &s.Version, &o.Version)
}

func (p *PageInfo) visit(v visitor, other object) {
	o := other.(*PageInfo)
	v.extra(&p.Extra, &o.Extra)
	v.str("path", &p.Path, &o.Path)
	v.str("referrer", &p.Referrer, &o.Referrer)
	v.str("search", &p.Search, &o.Search)
	v.str("title", &p.Title, &o.Title)
	v.str("url", &p.URL, &o.URL)
}

func (r *Referrer) visit(v visitor, other object) {
	o := other.(*Referrer)
	v.extra(&r.Extra, &o.Extra)
	v.str("id", &r.ID, &o.ID)
	v.str("type", &r.Type, &o.Type)
	v.str("name", &r.Name, &o.Name)
	v.str("url", &r.URL, &o.URL)
	v.str("link", &r.Link, &o.Link)
}

func (s *ScreenInfo) visit(v visitor, other object) {
	o := other.(*ScreenInfo)
	v.extra(&s.Extra, &o.Extra)
	v.integer("width", &s.Width, &o.Width)
	v.integer("height", &s.Height, &o.Height)
	v.number("density", &s.Density, &o.Density)
}

func (u *UserAgentData) visit(v visitor, other object) {
	o := other.(*UserAgentData)
	v.extra(&u.Extra, &o.Extra)
	v.brands("brands", &u.Brands, &o.Brands)
	v.flag("mobile", &u.Mobile, &o.Mobile)
	v.str("platform", &u.Platform, &o.Platform)
	v.str("platformVersion", &u.PlatformVersion, &o.PlatformVersion)
	v.str("architecture", &u.Architecture, &o.Architecture)
	v.str("bitness", &u.Bitness, &o.Bitness)
	v.str("model", &u.Model, &o.Model)
	v.str("uaFullVersion", &u.UAFullVersion, &o.UAFullVersion)
	v.brands("fullVersionList", &u.FullVersionList, &o.FullVersionList)
	v.flag("wow64", &u.WOW64, &o.WOW64)
}

func (c *ConsentPreferences) visit(v visitor, other object) {
	o := other.(*ConsentPreferences)
	v.extra(&c.Extra, &o.Extra)
	v.flags("categoryPreferences", &c.CategoryPreferences, &o.CategoryPreferences)
}

func (x *ExternalID) visit(v visitor, other object) {
	o := other.(*ExternalID)
	v.str("id", &x.ID, &o.ID)
	v.str("type", &x.Type, &o.Type)
	v.str("collection", &x.Collection, &o.Collection)
	v.str("encoding", &x.Encoding, &o.Encoding)
}

func (b *Brand) visit(v visitor, other object) {
	o := other.(*Brand)
	v.str("brand", &b.Brand, &o.Brand)
	v.str("version", &b.Version, &o.Version)
}

// encoder writes the fields that are set; Extra follows at the end of its object,
// without the keys that a field has written.
type encoder struct {
	b     []byte
	depth int            // of the object at hand
	rest  map[string]any // Extra of the object at hand
	keys  []string       // of the objects that are open, those of the one at hand last
	first int            // where in keys the object at hand begins
	err   error
}

func (e *encoder) key(key string) {
	e.keys = append(e.keys, key)
	e.b = append(jsontext.AppendString(e.b, key), ':')
}

func (e *encoder) end() { e.b = append(e.b, ',') }

func (e *encoder) extra(p, _ *map[string]any) { e.rest = *p }

func (e *encoder) str(key string, p, _ *string) {
	if *p != "" {
		e.key(key)
		e.b = jsontext.AppendString(e.b, *p)
		e.end()
	}
}

func (e *encoder) value(key string, v any) {
	e.key(key)
	var err error
	if e.b, err = appendValue(e.b, v, e.depth+1); err != nil && e.err == nil {
		e.err = at(key, err)
	}
	e.end()
}

func (e *encoder) flag(key string, p, _ **bool) {
	if *p != nil {
		e.value(key, **p)
	}
}

func (e *encoder) float(key string, p, _ **float64) {
	if *p != nil {
		e.value(key, **p)
	}
}

func (e *encoder) integer(key string, p, _ *int) {
	if *p != 0 {
		e.value(key, *p)
	}
}

func (e *encoder) number(key string, p, _ *float64) {
	if *p != 0 {
		e.value(key, *p)
	}
}

func (e *encoder) time(key string, p, _ *time.Time) {
	switch {
	case p.IsZero():
		return
	case !inRange(*p):
		if e.err == nil {
			e.err = invalid(key, "is outside of the years 1 to 9999")
		}
		return
	}
	e.key(key)
	e.b = appendTime(e.b, *p)
	e.end()
}

func (e *encoder) object(key string, p, _ *map[string]any) {
	if *p != nil {
		e.value(key, *p)
	}
}

func (e *encoder) flags(key string, p, _ *map[string]bool) {
	if *p == nil {
		return
	}
	e.key(key)
	e.b = append(e.b, '{')
	for k, v := range *p {
		e.b = append(jsontext.AppendString(e.b, k), ':')
		e.b, _ = appendValue(e.b, v, 1)
		e.end()
	}
	e.b = closeWith(e.b, '{', '}')
	e.end()
}

// part writes an object, or nothing if nothing in it is set.
func (e *encoder) part(key string, p, _ object) {
	n := len(e.b)
	if !e.inner(key, p) {
		e.b, e.keys = e.b[:n], e.keys[:len(e.keys)-1]
	}
}

// inner writes an object as a member and tells whether anything is in it. The path
// of what is wrong in it begins with the key.
func (e *encoder) inner(key string, p object) bool {
	outer := *e
	e.key(key)
	e.depth, e.err = e.depth+1, nil
	any := e.members(p)
	e.end()
	err := outer.err
	if err == nil && e.err != nil {
		err = at(key, e.err)
	}
	*e = encoder{b: e.b, keys: e.keys[:len(outer.keys)+1], depth: outer.depth, rest: outer.rest, first: outer.first, err: err}
	return any
}

// members writes an object with its braces and tells whether anything is in it.
func (e *encoder) members(p object) bool {
	e.b = append(e.b, '{')
	e.first, e.rest = len(e.keys), nil
	p.visit(e, p)
	e.remaining()
	any := e.b[len(e.b)-1] == ','
	e.b = closeWith(e.b, '{', '}')
	return any
}

// remaining writes Extra.
func (e *encoder) remaining() {
	if len(e.rest) == 0 {
		return
	}
	set := e.keys[e.first:]
next:
	for k, v := range e.rest {
		for _, key := range set {
			if k == key {
				continue next
			}
		}
		e.value(k, v)
		set = e.keys[e.first : len(e.keys)-1]
		e.keys = e.keys[:len(e.keys)-1]
	}
}

func (e *encoder) optional(key string, p, _ **Context) {
	if *p != nil {
		e.inner(key, *p)
	}
}

func (e *encoder) brands(key string, p, _ *[]Brand)           { encodeParts(e, key, *p) }
func (e *encoder) externalIDs(key string, p, _ *[]ExternalID) { encodeParts(e, key, *p) }

func encodeParts[T any, P objectOf[T]](e *encoder, key string, list []T) {
	if list == nil {
		return
	}
	first, rest, keys := e.first, e.rest, len(e.keys)
	e.key(key)
	e.b = append(e.b, '[')
	for i := range list {
		e.members(P(&list[i]))
		e.end()
	}
	e.b = closeWith(e.b, '[', ']')
	e.keys = e.keys[:keys+1]
	e.end()
	e.first, e.rest = first, rest
}

// decoder moves the values of m to the fields that can express them exactly; what
// is left becomes Extra.
type decoder struct {
	m    map[string]any
	rest *map[string]any
}

func decodeFields(p object, m map[string]any) {
	d := &decoder{m: m}
	p.visit(d, p)
	if len(m) > 0 && d.rest != nil {
		*d.rest = m
	}
}

func (d *decoder) extra(p, _ *map[string]any) { d.rest = p }

func take[T comparable](d *decoder, key string, p *T) {
	var zero T
	if v, ok := d.m[key].(T); ok && v != zero {
		*p = v
		delete(d.m, key)
	}
}

func (d *decoder) str(key string, p, _ *string) { take(d, key, p) }

func (d *decoder) flag(key string, p, _ **bool) {
	if v, ok := d.m[key].(bool); ok {
		*p = &v
		delete(d.m, key)
	}
}

// exact parses a number that a float64 prints again as it was written.
func exact(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	if err != nil {
		return 0, false
	}
	b, err := appendFloat(nil, f, 64)
	return f, err == nil && string(b) == string(n)
}

func (d *decoder) float(key string, p, _ **float64) {
	if f, ok := exact(d.m[key]); ok {
		*p = &f
		delete(d.m, key)
	}
}

func (d *decoder) integer(key string, p, _ *int) {
	if f, ok := exact(d.m[key]); ok && f != 0 && math.Abs(f) <= math.MaxInt32 && f == math.Trunc(f) {
		*p = int(f)
		delete(d.m, key)
	}
}

func (d *decoder) number(key string, p, _ *float64) {
	if f, ok := exact(d.m[key]); ok && f != 0 {
		*p = f
		delete(d.m, key)
	}
}

func (d *decoder) time(key string, p, _ *time.Time) {
	s, ok := d.m[key].(string)
	if !ok {
		return
	}
	if t, ok := parseTime(s); ok {
		*p = t
		delete(d.m, key)
	}
}

func (d *decoder) object(key string, p, _ *map[string]any) {
	if v, ok := d.m[key].(map[string]any); ok {
		*p = v
		delete(d.m, key)
	}
}

func (d *decoder) flags(key string, p, _ *map[string]bool) {
	m, ok := d.m[key].(map[string]any)
	if !ok {
		return
	}
	flags := make(map[string]bool, len(m))
	for k, v := range m {
		b, ok := v.(bool)
		if !ok {
			return
		}
		flags[k] = b
	}
	*p = flags
	delete(d.m, key)
}

func (d *decoder) part(key string, p, _ object) {
	if m, ok := d.m[key].(map[string]any); ok && len(m) > 0 {
		decodeFields(p, m)
		delete(d.m, key)
	}
}

func (d *decoder) optional(key string, p, _ **Context) {
	if m, ok := d.m[key].(map[string]any); ok {
		*p = &Context{}
		decodeFields(*p, m)
		delete(d.m, key)
	}
}

func (d *decoder) brands(key string, p, _ *[]Brand)           { decodeParts(d, key, p) }
func (d *decoder) externalIDs(key string, p, _ *[]ExternalID) { decodeParts(d, key, p) }

// decodeParts takes a list only if each element is made of known fields.
func decodeParts[T any, P objectOf[T]](d *decoder, key string, p *[]T) {
	list, ok := d.m[key].([]any)
	if !ok {
		return
	}
	parts := make([]T, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		m = maps.Clone(m)
		decodeFields(P(&parts[i]), m)
		if len(m) > 0 {
			return
		}
	}
	*p = parts
	delete(d.m, key)
}

// merger fills what is not set from the other object. With deep set it shares
// nothing with it, which makes a copy of a merge into an empty object.
type merger struct {
	deep bool
	mine map[string]any // Extra of the object at hand, as it was
}

// clone returns a deep copy, nil of nil.
func clone[T any, P objectOf[T]](p P) P {
	if p == nil {
		return nil
	}
	c := P(new(T))
	c.visit(&merger{deep: true}, p)
	return c
}

// merge fills into dst what it lacks of src. It shares maps and slices with src,
// and changes none that dst had.
func merge[T object](dst, src T) { dst.visit(&merger{}, src) }

func (g *merger) extra(p, other *map[string]any) {
	g.mine = *p
	switch {
	case len(*other) == 0:
	case g.deep:
		*p = copyValue(*other).(map[string]any)
	case len(*p) == 0:
		*p = *other
	default:
		*p = maps.Clone(*other)
		maps.Copy(*p, g.mine)
	}
}

// absent tells whether Extra leaves the key free: a null or "" in it is a value.
func (g *merger) absent(key string) bool {
	_, ok := g.mine[key]
	return !ok
}

func fill[T comparable](g *merger, key string, p, other *T) {
	var zero T
	if *p == zero && *other != zero && g.absent(key) {
		*p = *other
	}
}

func fillPtr[T any](g *merger, key string, p, other **T) {
	if *p == nil && *other != nil && g.absent(key) {
		v := **other
		*p = &v
	}
}

func (g *merger) str(key string, p, other *string)     { fill(g, key, p, other) }
func (g *merger) integer(key string, p, other *int)    { fill(g, key, p, other) }
func (g *merger) number(key string, p, other *float64) { fill(g, key, p, other) }
func (g *merger) time(key string, p, other *time.Time) { fill(g, key, p, other) }
func (g *merger) flag(key string, p, other **bool)     { fillPtr(g, key, p, other) }
func (g *merger) float(key string, p, other **float64) { fillPtr(g, key, p, other) }
func (g *merger) brands(key string, p, other *[]Brand) { fillList(g, key, p, other) }
func (g *merger) part(key string, p, other object) {
	if l, ok := p.(*Library); ok && (l.Name != "" || l.Version != "") {
		return // a name does not go with the version of another
	}
	if g.absent(key) {
		mine := g.mine
		p.visit(g, other)
		g.mine = mine
	}
}

func (g *merger) externalIDs(key string, p, other *[]ExternalID) { fillList(g, key, p, other) }

func fillList[T any](g *merger, key string, p, other *[]T) {
	if *p == nil && *other != nil && g.absent(key) {
		*p = append([]T{}, *other...)
	}
}

func (g *merger) object(key string, p, other *map[string]any) {
	if *p != nil || *other == nil || !g.absent(key) {
		return
	}
	*p = *other
	if g.deep {
		*p = copyValue(*other).(map[string]any)
	}
}

func (g *merger) flags(key string, p, other *map[string]bool) {
	if *p == nil && *other != nil && g.absent(key) {
		*p = maps.Clone(*other)
	}
}

func (g *merger) optional(key string, p, other **Context) {
	if *p == nil && *other != nil && g.absent(key) {
		*p = clone(*other)
	}
}

// copyValue copies maps, lists and pointers of all types, down to structs, which it
// shares.
func copyValue(v any) any { return copyLevel(v, 0) }

func copyLevel(v any, depth int) any {
	if depth > maxDepth { // a cycle, which the encoder will name
		return v
	}
	switch v := v.(type) {
	case nil, string, bool, json.Number, float64, int:
		return v
	case map[string]any:
		if v == nil {
			return v
		}
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = copyLevel(e, depth+1)
		}
		return m
	case []any:
		if v == nil {
			return v
		}
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = copyLevel(e, depth+1)
		}
		return list
	}
	return copyReflected(reflect.ValueOf(v), depth).Interface()
}

func copyReflected(v reflect.Value, depth int) reflect.Value {
	if depth > maxDepth {
		return v
	}
	inner := func(e reflect.Value) reflect.Value {
		if e.Kind() == reflect.Interface && !e.IsNil() {
			return reflect.ValueOf(copyLevel(e.Interface(), depth+1))
		}
		return copyReflected(e, depth+1)
	}
	switch v.Kind() {
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		m := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			m.SetMapIndex(it.Key(), inner(it.Value()))
		}
		return m
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			list.Index(i).Set(inner(v.Index(i)))
		}
		return list
	case reflect.Pointer:
		if v.IsNil() || v.Elem().Kind() == reflect.Struct {
			return v
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(inner(v.Elem()))
		return p
	}
	return v
}
