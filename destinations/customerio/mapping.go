package customerio

import (
	"cmp"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/lifecycle"
)

var (
	pageURL     = dest.From("name", "properties.url", "context.page.url")
	deviceToken = dest.At("context.device.token")
	deviceType  = dest.At("context.device.type")
	appVersion  = dest.At("context.app.version")
	traitEmail  = dest.At("traits.email")
)

// Lengths that Customer.io takes, in bytes.
const (
	maxName  = 100
	maxID    = 150
	maxValue = 1000

	maxAttributes = 300
)

// The track events that are operations.
const (
	deviceChanged       = "Device Created or Updated"
	deviceDeleted       = "Device Deleted"
	userDeleted         = "User Deleted"
	userSuppressed      = "User Suppressed"
	userUnsuppressed    = "User Unsuppressed"
	objectDeleted       = "Object Deleted"
	relationshipDeleted = "Relationship Deleted"
)

// Translate is a pure function from an event to the item that stands for it.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	t := translation{d: d, e: e, j: dest.NewJSON()}
	t.j.Open()
	if err := t.write(); err != nil {
		return nil, err
	}
	t.j.Close()
	body, err := t.j.Bytes()
	if err == nil {
		body, err = d.Apply(e, body)
	}
	if err != nil {
		return nil, err
	}
	return []analytics.Item{{Body: body}}, nil
}

// translation is the work on one event.
type translation struct {
	d *Destination
	e *analytics.Event
	j *dest.JSON
}

func (t *translation) write() error {
	if t.e.Type == analytics.CallAlias {
		return t.merge()
	}
	person, err := t.person()
	if err != nil {
		return err
	}
	switch t.e.Type {
	case analytics.CallIdentify:
		t.identify(person)
		return nil
	case analytics.CallTrack:
		return t.track(person)
	case analytics.CallPage:
		url, ok := dest.AsText(pageURL.In(t.e)).Text()
		if !ok {
			return &analytics.InvalidError{Field: "properties.url", Reason: "is missing, and context.page.url as well: pages are named by it"}
		}
		return t.action("page", url, person)
	case analytics.CallScreen:
		if t.e.Name == "" {
			return &analytics.InvalidError{Field: "name", Reason: "is missing"}
		}
		return t.action("screen", t.e.Name, person)
	case analytics.CallGroup:
		return t.group(person)
	}
	return analytics.ErrIgnored
}

// identifier is one of the ways to name a person.
type identifier struct{ key, value string }

func (id identifier) write(j *dest.JSON, key string) {
	j.OpenAt(key)
	j.Text(id.key, id.value)
	j.Close()
}

// person names the person that the event is about.
func (t *translation) person() (identifier, error) {
	id := identifier{"anonymous_id", t.e.AnonymousID}
	if t.e.UserID != "" {
		id = identifierOf(t.e.UserID)
	} else if email, ok := dest.Email(traitEmail.In(t.e)); ok && t.e.Type == analytics.CallIdentify {
		id = identifier{"email", email}
	}
	switch {
	case id.value == "":
		return id, &analytics.InvalidError{Field: "userId", Reason: "is missing, and anonymousId as well"}
	case len(id.value) > maxID:
		return id, &analytics.InvalidError{Field: "userId", Reason: "or what stands for it is longer than 150 bytes"}
	}
	return id, nil
}

func identifierOf(userID string) identifier {
	if id, ok := strings.CutPrefix(userID, "cio_"); ok && id != "" {
		return identifier{"cio_id", id}
	}
	if email, ok := dest.Email(dest.Text(userID)); ok {
		return identifier{"email", email}
	}
	return identifier{"id", userID}
}

// begin writes what the item is and what is done to it.
func (t *translation) begin(kind, action string) {
	t.j.Text("type", kind)
	t.j.Text("action", action)
}

// action writes something that a person did.
func (t *translation) action(action, name string, person identifier) error {
	t.begin("person", action)
	t.j.Text("name", dest.TruncateBytes(name, maxName))
	t.j.Text("id", t.e.MessageID) // by which Customer.io dedupes
	t.j.Int("timestamp", t.e.Timestamp.Unix())
	person.write(t.j, "identifiers")
	t.j.OpenAt("attributes")
	t.attributes(t.e.Properties, nil)
	t.j.Close()
	return nil
}

func (t *translation) track(person identifier) error {
	switch t.e.Event {
	case lifecycle.EventApplicationInstalled, lifecycle.EventApplicationOpened, deviceChanged:
		if t.addDevice(person) {
			return nil
		}
	case lifecycle.EventApplicationUninstalled, deviceDeleted:
		if t.deleteDevice(person) {
			return nil
		}
	case userDeleted:
		return t.toPerson("delete", person)
	case userSuppressed:
		return t.toPerson("suppress", person)
	case userUnsuppressed:
		return t.toPerson("unsuppress", person)
	case objectDeleted:
		return t.toObject("delete", identifier{})
	case relationshipDeleted:
		return t.toObject("delete_relationships", person)
	}
	name, err := t.d.Name(t.e.Event)
	if err != nil {
		return err
	}
	return t.action("event", name, person)
}

// addDevice writes the user's device, unless something is missing for that.
func (t *translation) addDevice(person identifier) bool {
	token, ok := deviceToken.In(t.e).Text()
	platform, known := deviceType.In(t.e).Text()
	if !ok || !known || t.e.UserID == "" {
		return false
	}
	t.begin("person", "add_device")
	person.write(t.j, "identifiers")
	t.j.OpenAt("device")
	t.j.Text("token", token)
	t.j.Text("platform", platform)
	t.j.Int("last_used", t.e.Timestamp.Unix())
	t.j.OpenAt("attributes")
	version := appVersion.In(t.e)
	t.attributes(t.e.Properties, func(key string) bool { return key == "app_version" && !version.Empty() })
	t.j.Field("app_version", version)
	t.j.Close()
	t.j.Close()
	return true
}

func (t *translation) deleteDevice(person identifier) bool {
	token, ok := deviceToken.In(t.e).Text()
	if !ok {
		return false
	}
	t.begin("person", "delete_device")
	person.write(t.j, "identifiers")
	t.j.OpenAt("device")
	t.j.Text("token", token)
	t.j.Close()
	return true
}

func (t *translation) toPerson(action string, person identifier) error {
	t.begin("person", action)
	person.write(t.j, "identifiers")
	return nil
}

// toObject does something to the object that the properties name, and to its
// relationship with a person if one is given.
func (t *translation) toObject(action string, person identifier) error {
	id, ok := dest.AsText(dest.Of(t.e.Properties["objectId"])).Text()
	if !ok {
		return &analytics.InvalidError{Field: "properties.objectId", Reason: "is missing"}
	}
	if len(id) > maxID {
		return &analytics.InvalidError{Field: "properties.objectId", Reason: "is longer than 150 bytes"}
	}
	t.begin("object", action)
	t.object(id, t.e.Properties)
	if person.value != "" {
		t.relationships(func() { person.write(t.j, "identifiers") })
	}
	return nil
}

func (t *translation) object(id string, from map[string]any) {
	t.j.OpenAt("identifiers")
	t.j.Text("object_type_id", t.objectType(from))
	t.j.Text("object_id", id)
	t.j.Close()
}

func (t *translation) objectType(from map[string]any) string {
	for _, key := range []string{"object_type_id", "objectTypeId"} {
		if id, ok := dest.AsText(dest.Of(from[key])).Text(); ok && len(id) <= maxID {
			return id
		}
	}
	return cmp.Or(t.d.ObjectTypeID, "1")
}

func (t *translation) relationships(one func()) {
	t.j.OpenListAt("cio_relationships")
	t.j.Open()
	one()
	t.j.Close()
	t.j.CloseList()
}

func (t *translation) relationshipAttributes() {
	if m := dest.Of(t.e.Traits["relationshipAttributes"]).Object(); len(m) > 0 {
		t.j.OpenAt("relationship_attributes")
		t.attributes(m, nil)
		t.j.Close()
	}
}

func (t *translation) merge() error {
	if len(t.e.UserID) > maxID || len(t.e.PreviousID) > maxID {
		return &analytics.InvalidError{Field: "userId", Reason: "or previousId is longer than 150 bytes"}
	}
	t.begin("person", "merge")
	identifierOf(t.e.UserID).write(t.j, "primary")
	identifierOf(t.e.PreviousID).write(t.j, "secondary")
	return nil
}

var notOfPerson = dest.Keys(analytics.TraitCreatedAt, "created_at", "object_type_id", "objectTypeId", "relationshipAttributes", "anonymous_id")

func (t *translation) identify(person identifier) {
	t.begin("person", "identify")
	t.j.Int("timestamp", t.e.Timestamp.Unix())
	person.write(t.j, "identifiers")
	t.j.OpenAt("attributes")
	t.profile(t.e.Traits, notOfPerson, maxAttributes-2)
	t.j.Field("created_at", created(t.e.Traits))
	if person.key != "anonymous_id" {
		t.j.TextUnlessEmpty("anonymous_id", t.e.AnonymousID)
	}
	t.j.Close()
	if id, ok := dest.AsText(dest.Of(t.e.Traits["objectId"])).Text(); ok && len(id) <= maxID {
		t.relationships(func() {
			t.object(id, t.e.Traits)
			t.relationshipAttributes()
		})
	}
}

var notOfObject = dest.Keys(analytics.TraitCreatedAt, "created_at", "object_type_id", "objectTypeId", "objectId", "relationshipAttributes")

func (t *translation) group(person identifier) error {
	if len(t.e.GroupID) > maxID {
		return &analytics.InvalidError{Field: "groupId", Reason: "is longer than 150 bytes"}
	}
	action := "identify"
	if t.e.UserID == "" {
		action = "identify_anonymous"
	}
	t.begin("object", action)
	t.object(t.e.GroupID, t.e.Traits)
	t.j.OpenAt("attributes")
	attributes, skip := map[string]any(t.e.Traits), notOfObject
	if own := dest.Of(t.e.Traits["objectAttributes"]).Object(); own != nil {
		attributes, skip = own, dest.Keys("created_at")
	}
	t.profile(attributes, skip, maxAttributes-1)
	at := created(t.e.Traits)
	if at.Empty() {
		at = created(attributes)
	}
	t.j.Field("created_at", at)
	t.j.Close()
	t.relationships(func() {
		person.write(t.j, "identifiers")
		t.relationshipAttributes()
	})
	return nil
}
