package amplitude

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/ecommerce"
)

// surroundings are the fields of every event but those of group.
var surroundings = dest.Table{
	dest.From("app_version", "context.app.version").With(dest.AsText),
	dest.From("os_name", "context.os.name").With(dest.AsText),
	dest.From("os_version", "context.os.version").With(dest.AsText),
	dest.From("device_brand", "context.device.brand").With(dest.AsText),
	dest.From("device_manufacturer", "context.device.manufacturer").With(dest.AsText),
	dest.From("device_model", "context.device.model").With(dest.AsText),
	dest.From("carrier", "context.network.carrier").With(dest.AsText),
	dest.From("language", "context.locale").With(dest.AsText),
	dest.From("ip", "context.ip").With(dest.AsText),
	dest.From("country", "context.location.country").With(dest.AsText),
	dest.From("region", "context.location.region").With(dest.AsText),
	dest.From("city", "context.location.city").With(dest.AsText),
	dest.From("location_lat", "context.location.latitude").With(dest.AsNumber),
	dest.From("location_lng", "context.location.longitude").With(dest.AsNumber),
}

// agent are the fields that those of group have too.
var agent = dest.Table{
	dest.From("library", "context.library.name").With(dest.AsText),
	dest.From("user_agent", "context.userAgent").With(dest.AsText),
}

// origin are the user properties that say where the user came from.
var origin = dest.Table{
	dest.From("referrer", "context.page.referrer"),
	dest.From("utm_source", "context.campaign.source"),
	dest.From("utm_medium", "context.campaign.medium"),
	dest.From("utm_campaign", "context.campaign.name"),
	dest.From("utm_term", "context.campaign.term"),
	dest.From("utm_content", "context.campaign.content"),
}

// initial are the same for the first time.
var initial = func() dest.Table {
	table := make(dest.Table, len(origin))
	for i, row := range origin {
		row.To = "initial_" + row.To
		table[i] = row
	}
	return table
}()

var (
	deviceID      = dest.At("context.device.id")
	deviceType    = dest.At("context.device.type")
	advertisingID = dest.At("context.device.advertisingId")
	idfa          = dest.At("context.device.idfa")
	libraryName   = dest.At("context.library.name")
	groupID       = dest.At("context.groupId")
)

// Translate is a pure function from an event to the events that Amplitude gets.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	t := translation{d: d, e: e, ids: ids{user: e.UserID, device: cmp.Or(dest.AsText(deviceID.In(e)).String(), e.AnonymousID)}}
	if e.Type == analytics.CallAlias {
		return d.mapping(e)
	}
	if t.ids == (ids{}) {
		return nil, &analytics.InvalidError{Field: "userId", Reason: "is missing, and anonymousId and context.device.id as well"}
	}
	var err error
	switch e.Type {
	case analytics.CallTrack:
		err = t.track()
	case analytics.CallPage:
		err = t.view("Page")
	case analytics.CallScreen:
		err = t.view("Screen")
	case analytics.CallIdentify:
		err = t.add(func(j *dest.JSON) { t.common(j, "$identify", e.Traits) })
	case analytics.CallGroup:
		err = t.group()
	default:
		err = analytics.ErrIgnored
	}
	if err != nil {
		return nil, err
	}
	return t.items, nil // none where the hooks ignore all of them
}

func (d *Destination) mapping(e *analytics.Event) ([]analytics.Item, error) {
	if !d.MapUsers {
		return nil, analytics.ErrIgnored
	}
	j := dest.NewJSON()
	j.Open()
	j.Text("user_id", e.PreviousID)
	j.Text("global_user_id", e.UserID)
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = d.Apply(e, body)
	}
	if err != nil {
		return nil, err
	}
	return []analytics.Item{{Lane: laneAliases, Body: body, Size: len(url.QueryEscape(string(body)))}}, nil
}

// translation is the work on one event.
type translation struct {
	d     *Destination
	e     *analytics.Event
	ids   ids
	items []analytics.Item
}

// add makes the next event of those that the message becomes, with what write puts
// into it.
func (t *translation) add(write func(*dest.JSON)) error {
	id := t.e.MessageID
	if n := len(t.items); n > 0 {
		id += "-" + strconv.Itoa(n+1)
	}
	j := dest.NewJSON()
	j.Open()
	j.TextUnlessEmpty("user_id", t.ids.user)
	j.Int("time", t.e.Timestamp.UnixMilli())
	j.Text("insert_id", id)
	agent.Write(j, t.e, nil)
	write(j)
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = t.d.Apply(t.e, body)
	}
	if err != nil {
		return err
	}
	t.items = append(t.items, analytics.Item{ID: id, Body: body, Data: t.ids})
	return nil
}

// common writes the fields of every event but those of group. traits are those of an
// identify.
func (t *translation) common(j *dest.JSON, eventType string, traits map[string]any) {
	j.TextUnlessEmpty("device_id", t.ids.device)
	j.Text("event_type", eventType)
	surroundings.Write(j, t.e, nil)
	t.platform(j)
	t.session(j)
	t.userProperties(j, traits)
	if id, ok := groupID.In(t.e).Text(); ok && !t.d.NoGroups {
		t.groups(j, id)
	}
}

func (t *translation) platform(j *dest.JSON) {
	kind := dest.AsText(deviceType.In(t.e)).String()
	switch strings.ToLower(kind) {
	case "":
		if libraryName.In(t.e).String() == "analytics.js" {
			kind = "Web"
		}
	case "ios":
		kind = "iOS"
		j.Field("idfa", dest.AsText(dest.First(t.e, advertisingID, idfa)))
		j.Field("idfv", dest.AsText(deviceID.In(t.e)))
	case "android":
		kind = "Android"
		j.Field("adid", dest.AsText(advertisingID.In(t.e)))
	}
	j.TextUnlessEmpty("platform", kind)
}

// session is the option session_id: milliseconds, or a point in time as text.
func (t *translation) session(j *dest.JSON) {
	v := dest.Of(dest.Options(t.e, name, alias)["session_id"])
	if n, ok := dest.WholeNumber(v); ok {
		j.Number("session_id", n)
	} else if s, ok := v.Text(); ok {
		if at, ok := dest.ParseDate(s); ok {
			j.Int("session_id", at.UnixMilli())
		}
	}
}

func (t *translation) userProperties(j *dest.JSON, traits map[string]any) {
	from := false
	for i := range origin {
		from = from || !origin[i].In(t.e).Empty()
	}
	if !from && len(traits) == 0 {
		return
	}
	j.OpenAt("user_properties")
	if from {
		j.OpenAt("$setOnce")
		initial.Write(j, t.e, nil)
		j.Close()
	}
	j.OpenAt("$set")
	j.Object(traits, nil)
	origin.Write(j, t.e, func(key string) bool {
		_, given := traits[key]
		return given
	})
	j.Close()
	j.Close()
}

func (t *translation) groups(j *dest.JSON, id string) {
	j.OpenAt("groups")
	j.Text(cmp.Or(t.d.GroupType, "company"), id)
	j.Close()
}

func (t *translation) view(kind string) error {
	of := kind
	if name := strings.TrimSpace(t.e.Name); name != "" {
		of = name
	}
	return t.event("Viewed "+of, t.e.Properties, nil)
}

// event adds an event under a name that the hooks may change, unless they ignore it:
// the others of the message go out all the same.
func (t *translation) event(name string, properties map[string]any, more func(*dest.JSON)) error {
	name, err := t.d.Name(name)
	if err != nil {
		return nil
	}
	return t.add(func(j *dest.JSON) {
		t.common(j, name, nil)
		if properties != nil {
			j.Any("event_properties", properties)
		}
		if more != nil {
			more(j)
		}
	})
}

const productPurchased = "Product Purchased"

func (t *translation) track() error {
	properties := t.e.Properties
	if t.e.Event != ecommerce.EventOrderCompleted {
		return t.event(t.e.Event, properties, nil)
	}
	products := dest.Products(properties)
	if !t.d.TrackRevenuePerProduct {
		if err := t.event(t.e.Event, properties, revenueOf(properties)); err != nil {
			return err
		}
	} else if err := t.event(t.e.Event, properties, nil); err != nil {
		return err
	}
	for _, p := range products {
		var more func(*dest.JSON)
		if t.d.TrackRevenuePerProduct {
			more = revenueOf(p)
		}
		if err := t.event(productPurchased, p, more); err != nil {
			return err
		}
	}
	return nil
}

// revenueOf writes the fields by which Amplitude books revenue: that of an order or of
// a product. Nil if there is none.
func revenueOf(m map[string]any) func(*dest.JSON) {
	price, quantity := dest.Of(m[ecommerce.PropertyPrice]), dest.Of(m[ecommerce.PropertyQuantity])
	revenue := dest.AsNumber(dest.Of(m[ecommerce.PropertyRevenue]))
	if revenue.Empty() && price.IsNumber() && quantity.IsNumber() {
		amount, _ := dest.Sum(price, quantity)
		revenue = dest.Float(amount)
	}
	if revenue.Empty() {
		return nil
	}
	return func(j *dest.JSON) {
		j.Field("revenue", revenue)
		j.Text("revenueType", cmp.Or(dest.AsText(dest.Of(m["revenueType"])).String(), "Purchase"))
		j.Field("price", dest.AsNumber(price))
		if n, ok := dest.WholeNumber(quantity); ok {
			j.Number("quantity", n)
		}
		id := dest.AsText(dest.Of(m["productId"]))
		if id.Empty() {
			id = dest.AsText(dest.Of(m[ecommerce.PropertyProductID]))
		}
		j.Field("productId", id)
	}
}

// group is two events: one puts the user into the group, one describes the group.
func (t *translation) group() error {
	if t.d.NoGroups {
		return analytics.ErrIgnored
	}
	id := t.e.GroupID
	ids := func(j *dest.JSON, eventType string) {
		j.TextUnlessEmpty("device_id", t.ids.device)
		j.Text("event_type", eventType)
		t.groups(j, id)
	}
	err := t.add(func(j *dest.JSON) {
		ids(j, "$identify")
		j.OpenAt("user_properties")
		j.OpenAt("$set")
		j.Text(cmp.Or(t.d.GroupType, "company"), id)
		j.Close()
		j.Close()
	})
	if err != nil {
		return err
	}
	return t.add(func(j *dest.JSON) {
		ids(j, "$groupidentify")
		j.OpenAt("group_properties")
		j.OpenAt("$set")
		j.Object(t.e.Traits, nil)
		j.Close()
		j.Close()
	})
}
