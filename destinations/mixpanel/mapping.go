package mixpanel

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/ecommerce"
)

// surroundings are the properties that Mixpanel reserves for facts about the call.
var surroundings = dest.Table{
	dest.From("ip", "context.ip"),
	dest.From("mp_country_code", "context.location.country"),
	dest.From("$app_build_number", "context.app.build"),
	dest.From("$app_version_string", "context.app.version"),
	dest.From("$app_namespace", "context.app.namespace"),
	dest.From("$app_name", "context.app.name"),
	dest.From("app_platform", "context.app.platform"),
	dest.From("$os", "context.os.name"),
	dest.From("$os_version", "context.os.version"),
	dest.From("$manufacturer", "context.device.manufacturer"),
	dest.From("$model", "context.device.model"),
	dest.From("$device", "context.device.name"),
	dest.From("$device_name", "context.device.name"),
	dest.From("$device_type", "context.device.type"),
	dest.From("$ios_ifa", "context.device.advertisingId", "context.device.idfa"),
	dest.From("advertising_id", "context.device.advertisingId"),
	dest.From("ad_tracking_enabled", "context.device.adTrackingEnabled").With(dest.AsText),
	dest.From("$bluetooth_enabled", "context.network.bluetooth"),
	dest.From("$carrier", "context.network.carrier"),
	dest.From("$cellular_enabled", "context.network.cellular"),
	dest.From("$wifi_enabled", "context.network.wifi"),
	dest.From("$screen_width", "context.screen.width"),
	dest.From("$screen_height", "context.screen.height"),
	dest.From("$screen_density", "context.screen.density"),
	dest.From("$current_url", "context.page.url"),
	dest.From("$referrer", "context.page.referrer"),
	dest.From("$locale", "context.locale"),
	dest.From("timezone", "context.timezone"),
	dest.From("mp_lib", "context.library.name"),
	dest.From("$lib_version", "context.library.version"),
	dest.From("utm_source", "context.campaign.source"),
	dest.From("utm_medium", "context.campaign.medium"),
	dest.From("utm_campaign", "context.campaign.name"),
	dest.From("utm_term", "context.campaign.term"),
	dest.From("utm_content", "context.campaign.content"),
	dest.From("event_original_name", "event", "name"),
	dest.From("$mobile", "context.userAgentData.mobile"),
	dest.From("$platform", "context.userAgentData.platform"),
	dest.From("$bitness", "context.userAgentData.bitness"),
	dest.From("$platformVersion", "context.userAgentData.platformVersion"),
	dest.From("$uaFullVersion", "context.userAgentData.uaFullVersion"),
	dest.From("$wow64", "context.userAgentData.wow64"),
}

var (
	groupID   = dest.At("context.groupId")
	userAgent = dest.At("context.userAgent")
	ip        = dest.At("context.ip")

	// ours are properties that the message cannot replace.
	ours = dest.Keys("time", "id", "$anon_id", "distinct_id", "$group_id", "$insert_id", "$user_id")

	// ofOrder are properties of an order that its products do not have.
	ofOrder = dest.Keys("affiliation", "subtotal", "total", "revenue", "shipping", "tax", "discount", "coupon", "currency",
		"order_number", "products")

	productKeys = []string{
		ecommerce.PropertyProductID, ecommerce.PropertySKU, ecommerce.PropertyCategory, ecommerce.PropertyName,
		ecommerce.PropertyBrand, ecommerce.PropertyVariant, ecommerce.PropertyPrice, ecommerce.PropertyQuantity,
		ecommerce.PropertyCoupon, ecommerce.PropertyPosition, ecommerce.PropertyURL, ecommerce.PropertyImageURL,
	}
)

// Translate is a pure function from an event to what each of the endpoints gets.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	t := translation{d: d, e: e, user: known(e.UserID), anonymous: known(e.AnonymousID)}
	switch e.Type {
	case analytics.CallTrack:
		return t.track()
	case analytics.CallPage:
		return t.view("Page")
	case analytics.CallScreen:
		return t.view("Screen")
	case analytics.CallIdentify:
		return t.identify()
	case analytics.CallGroup:
		return t.group()
	case analytics.CallAlias:
		return t.alias()
	}
	return nil, analytics.ErrIgnored
}

// placeholders are ids that Mixpanel refuses, since whole crowds have them.
var placeholders = dest.Keys("anon", "anonymous", "nil", "none", "null", "n/a", "na", "undefined", "unknown", "true", "false",
	"[]", "{}", "lmy47d", "0", "-1", "00000000-0000-0000-0000-000000000000")

func known(id string) string {
	if placeholders(strings.ToLower(strings.TrimSpace(id))) {
		return ""
	}
	return id
}

// translation is the work on one event.
type translation struct {
	d               *Destination
	e               *analytics.Event
	user, anonymous string
	items           []analytics.Item
}

// add makes an item with the object that write fills.
func (t *translation) add(lane, id string, write func(*dest.JSON)) error {
	j := dest.NewJSON()
	j.Open()
	write(j)
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = t.d.Apply(t.e, body)
	}
	if err != nil {
		return err
	}
	t.items = append(t.items, analytics.Item{Lane: lane, ID: id, Body: body})
	return nil
}

func (t *translation) done(err error) ([]analytics.Item, error) {
	if err != nil {
		return nil, err
	}
	return t.items, nil // none where there was nothing to say
}

func (t *translation) view(kind string) ([]analytics.Item, error) {
	of := kind
	if name := strings.TrimSpace(t.e.Name); name != "" {
		of = name
	}
	return t.done(t.event("Viewed "+of, insertID(t.e.MessageID), t.e.Timestamp, ours, nil))
}

func (t *translation) track() ([]analytics.Item, error) {
	err := t.event(t.e.Event, insertID(t.e.MessageID), t.e.Timestamp, ours, nil)
	if err != nil || t.e.Event != ecommerce.EventOrderCompleted {
		return t.done(err)
	}
	skip := func(key string) bool { return ours(key) || ofOrder(key) }
	for i, product := range dest.Products(t.e.Properties) {
		id := shortHash(t.e.MessageID + ":" + strconv.Itoa(i))
		at := t.e.Timestamp.Add(-time.Duration(i+1) * time.Millisecond)
		if err := t.event("Product Purchased", id, at, skip, product); err != nil {
			return nil, err
		}
	}
	return t.items, nil
}

// event adds an event, with the properties of the message that skip lets pass and the
// known ones of a product laid over them.
func (t *translation) event(name, id string, at time.Time, skip func(string) bool, product map[string]any) error {
	name, err := t.d.Name(name)
	if err != nil {
		return nil // the others of the message go out all the same
	}
	if at.UTC().Year() < 1971 {
		return &analytics.InvalidError{Field: "timestamp", Reason: "is before 1971, which Mixpanel refuses"}
	}
	return t.add(laneEvents, id, func(j *dest.JSON) {
		j.Text("event", name)
		j.OpenAt("properties")
		t.properties(j, id, at, skip, product)
		j.Close()
	})
}

func (t *translation) properties(j *dest.JSON, id string, at time.Time, skip func(string) bool, product map[string]any) {
	over := overlay(t.e.Properties, skip, product, t.room())
	j.Int("time", at.UnixMilli())
	j.Text("distinct_id", cmp.Or(t.user, t.anonymous))
	j.Text("$insert_id", id)
	j.TextUnlessEmpty("$user_id", t.user)
	j.TextUnlessEmpty("$anon_id", t.anonymous)
	free := func(key string) bool { return !over.has(key) }
	if free("$identified_id") {
		j.TextUnlessEmpty("$identified_id", t.user)
	}
	if free("$device_id") {
		j.TextUnlessEmpty("$device_id", t.anonymous)
	}
	if key := t.groupKey(); free(key) {
		j.Field(key, groupID.In(t.e))
	}
	if name, version := browser(userAgent.In(t.e).String()); name != "" {
		if free("$browser") {
			j.Text("$browser", name)
		}
		if free("$browser_version") {
			j.TextUnlessEmpty("$browser_version", version)
		}
	}
	surroundings.Write(j, t.e, over.has)
	over.write(j)
}

// room is how many properties the adapter's own leave to the message.
func (t *translation) room() int {
	const ids = 10 // with the time, the group and the browser
	if n := maxElements - ids - len(surroundings); len(t.e.Properties) <= n {
		return n
	}
	n := maxElements - ids
	for i := range surroundings {
		if !surroundings[i].In(t.e).Empty() {
			n--
		}
	}
	return n
}

func (t *translation) groupKey() string { return cmp.Or(t.d.GroupKey, "$group_id") }

// identify joins the two ids and sets the profile.
func (t *translation) identify() ([]analytics.Item, error) {
	id := cmp.Or(t.user, t.anonymous)
	if id == "" {
		return nil, &analytics.InvalidError{Field: "userId", Reason: "is missing, and anonymousId as well"}
	}
	if t.user != "" && t.anonymous != "" {
		err := t.identity("$identify", func(j *dest.JSON) {
			j.Text("$identified_id", t.user)
			j.Text("$anon_id", t.anonymous)
		})
		if err != nil {
			return nil, err
		}
	}
	if !anyFits(t.e.Traits) {
		return t.items, nil
	}
	return t.done(t.add(laneProfiles, "", func(j *dest.JSON) {
		j.Text("$token", t.d.ProjectToken)
		j.Text("$distinct_id", id)
		j.Field("$ip", ip.In(t.e))
		j.OpenAt("$set")
		profile(j, t.e.Traits)
		j.Close()
	}))
}

func (t *translation) identity(event string, write func(*dest.JSON)) error {
	return t.add(laneIdentity, "", func(j *dest.JSON) {
		j.Text("event", event)
		j.OpenAt("properties")
		write(j)
		j.Text("token", t.d.ProjectToken)
		j.Close()
	})
}

func (t *translation) group() ([]analytics.Item, error) {
	if !anyFits(t.e.Traits) {
		return nil, analytics.ErrIgnored
	}
	key := t.groupKey()
	id := dest.AsText(dest.Of(t.e.Traits[key])).String()
	return t.done(t.add(laneGroups, "", func(j *dest.JSON) {
		j.Text("$token", t.d.ProjectToken)
		j.Text("$group_key", key)
		j.Text("$group_id", cmp.Or(id, t.e.GroupID))
		j.OpenAt("$set")
		described(j, t.e.Traits, map[string]string{analytics.TraitName: "$name"})
		j.Close()
	}))
}

func (t *translation) alias() ([]analytics.Item, error) {
	if !t.d.OriginalIDMerge {
		return nil, analytics.ErrIgnored
	}
	return t.done(t.identity("$create_alias", func(j *dest.JSON) {
		j.Text("distinct_id", t.e.PreviousID)
		j.Text("alias", t.e.UserID)
	}))
}

// insertID is what Mixpanel takes for an $insert_id: at most 36 letters, digits and
// hyphens.
func insertID(messageID string) string {
	const most = 36
	fits := messageID != "" && len(messageID) <= most
	for i := range len(messageID) {
		c := messageID[i]
		fits = fits && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-')
	}
	if fits {
		return messageID
	}
	return shortHash(messageID)
}

// shortHash is the first half of a SHA-256 in hex.
func shortHash(s string) string { return dest.Hash(s)[:32] }
