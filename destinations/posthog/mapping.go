package posthog

import (
	"cmp"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// surroundings are the properties that PostHog reserves for facts about the call.
var surroundings = dest.Table{
	dest.From("$ip", "context.ip"),
	dest.From("$locale", "context.locale"),
	dest.From("$timezone", "context.timezone"),
	dest.From("$lib", "context.library.name"),
	dest.From("$lib_version", "context.library.version"),
	dest.From("$current_url", "context.page.url"),
	dest.From("$referrer", "context.page.referrer"),
	dest.From("$user_agent", "context.userAgent"),
	dest.From("$os", "context.os.name"),
	dest.From("$os_version", "context.os.version"),
	dest.From("$device_type", "context.device.type"),
	dest.From("$device_model", "context.device.model"),
	dest.From("$device_manufacturer", "context.device.manufacturer"),
	dest.From("$device_name", "context.device.name"),
	dest.From("$app_name", "context.app.name"),
	dest.From("$app_version", "context.app.version"),
	dest.From("$app_build", "context.app.build"),
	dest.From("$app_namespace", "context.app.namespace"),
	dest.From("$screen_width", "context.screen.width"),
	dest.From("$screen_height", "context.screen.height"),
	dest.From("utm_source", "context.campaign.source"),
	dest.From("utm_medium", "context.campaign.medium"),
	dest.From("utm_campaign", "context.campaign.name"),
	dest.From("utm_term", "context.campaign.term"),
	dest.From("utm_content", "context.campaign.content"),
}

var (
	library = dest.Table{dest.From("$lib", "context.library.name")}
	pageURL = dest.From("$current_url", "context.page.url", "properties.url")
	groupID = dest.At("context.groupId")
)

// Translate is a pure function from an event to the one event that PostHog gets.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	id := cmp.Or(e.UserID, e.AnonymousID)
	if id == "" {
		return nil, &analytics.InvalidError{Field: "userId", Reason: "is missing, and anonymousId as well"}
	}
	name, err := d.name(e)
	if err != nil {
		return nil, err
	}
	j := dest.NewJSON()
	j.Open()
	j.Text("event", name)
	j.Time("timestamp", e.Timestamp)
	if dest.IsUUID(e.MessageID) {
		j.Text("uuid", e.MessageID) // by which PostHog dedupes
	}
	j.OpenAt("properties")
	j.Text("distinct_id", id)
	switch e.Type {
	case analytics.CallGroup:
		d.group(j, e)
	case analytics.CallAlias:
		d.own(j, e, "alias", e.PreviousID)
	default:
		d.action(j, e)
	}
	j.Close()
	j.Close()
	body, err := j.Bytes()
	if err != nil {
		return nil, err
	}
	if body, err = d.Apply(e, body); err != nil {
		return nil, err
	}
	return []analytics.Item{{Body: body}}, nil
}

// name is that of the event, or says that it is not for PostHog. Those with a $ are
// PostHog's own and not for the hooks.
func (d *Destination) name(e *analytics.Event) (string, error) {
	switch e.Type {
	case analytics.CallTrack:
		return d.Name(e.Event)
	case analytics.CallPage:
		return "$pageview", nil
	case analytics.CallScreen:
		return "$screen", nil
	case analytics.CallIdentify:
		switch {
		case e.UserID == "" && len(e.Traits) > 0:
			return "$set", nil
		case e.UserID != "" && (len(e.Traits) > 0 || e.AnonymousID != ""):
			return "$identify", nil
		}
	case analytics.CallGroup:
		if !d.NoGroups {
			return "$groupidentify", nil
		}
	case analytics.CallAlias:
		return "$create_alias", nil
	}
	return "", analytics.ErrIgnored
}

// action writes the properties of everything but group and alias. Where the user has
// a property of one of our names, the user's is the one that is sent.
func (d *Destination) action(j *dest.JSON, e *analytics.Event) {
	j.Object(e.Properties, func(key string) bool { return key == "distinct_id" })
	mine := func(key string) bool {
		_, taken := e.Properties[key]
		return taken
	}
	switch e.Type {
	case analytics.CallPage:
		if !mine(pageURL.To) {
			j.Field(pageURL.To, pageURL.In(e))
		}
		surroundings.Write(j, e, func(key string) bool { return key == pageURL.To || mine(key) })
	case analytics.CallScreen:
		if !mine("$screen_name") {
			j.TextUnlessEmpty("$screen_name", e.Name)
		}
		surroundings.Write(j, e, mine)
	case analytics.CallIdentify:
		if len(e.Traits) > 0 {
			j.Any("$set", map[string]any(e.Traits))
		}
		if e.UserID != "" {
			j.TextUnlessEmpty("$anon_distinct_id", e.AnonymousID)
		}
		surroundings.Write(j, e, mine)
	default:
		surroundings.Write(j, e, mine)
	}
	if !mine("$process_person_profile") {
		j.Bool("$process_person_profile", d.profile(e))
	}
	if id, ok := groupID.In(e).Text(); ok && !d.NoGroups && !mine("$groups") {
		d.groups(j, id)
	}
	if d.DisableGeoIP && !mine("$geoip_disable") {
		j.Bool("$geoip_disable", true)
	}
	if id, ok := d.session(e); ok && !mine("$session_id") {
		j.Text("$session_id", id)
	}
}

// profile tells whether the event makes or changes a person.
func (d *Destination) profile(e *analytics.Event) bool {
	switch d.PersonProfiles {
	case "always":
		return true
	case "never":
		return false
	}
	return e.UserID != "" || e.Type == analytics.CallIdentify
}

func (d *Destination) group(j *dest.JSON, e *analytics.Event) {
	j.Text("$group_key", e.GroupID)
	if len(e.Traits) > 0 {
		j.Any("$group_set", map[string]any(e.Traits))
	}
	d.groups(j, e.GroupID)
	d.own(j, e, "$group_type", d.groupType())
}

func (d *Destination) groups(j *dest.JSON, id string) {
	j.OpenAt("$groups")
	j.Text(d.groupType(), id)
	j.Close()
}

func (d *Destination) groupType() string { return cmp.Or(d.GroupType, "company") }

// own writes what the events of PostHog's own have besides their one property.
func (d *Destination) own(j *dest.JSON, e *analytics.Event, key, value string) {
	j.Text(key, value)
	j.Bool("$process_person_profile", d.profile(e))
	library.Write(j, e, nil)
	if d.DisableGeoIP {
		j.Bool("$geoip_disable", true)
	}
}

// session is the option session_id; PostHog takes a UUIDv7 and nothing else.
func (d *Destination) session(e *analytics.Event) (string, bool) {
	options := dest.Options(e, "PostHog", "Posthog")
	s, ok := dest.Of(options["session_id"]).Text()
	return s, ok && dest.IsUUID(s) && s[14] == '7' // where a UUID has its version
}
