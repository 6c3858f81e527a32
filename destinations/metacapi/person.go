package metacapi

import (
	"cmp"
	"net/netip"
	"strings"
	"unicode"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// person are the fields that are hashed, each with what makes it uniform first. What
// that makes empty is left out.
var person = []struct {
	to      string
	from    dest.Path
	uniform func(string) string
}{
	{"em", dest.At("context.traits.email"), email},
	{"ph", dest.At("context.traits.phone"), digits},
	{"fn", dest.At("context.traits.firstName"), compact},
	{"ln", dest.At("context.traits.lastName"), compact},
	{"db", dest.At("context.traits.birthday"), birthday},
	{"ct", dest.At("context.traits.address.city"), compact},
	{"st", dest.At("context.traits.address.state"), state},
	{"zp", dest.At("context.traits.address.postalCode"), compact},
}

var (
	genderTrait  = dest.At("context.traits.gender")
	countryTrait = dest.At("context.traits.address.country")
	ip           = dest.At("context.ip")
)

// userData writes what Meta finds a person by.
func (d *Destination) userData(j *dest.JSON, e *analytics.Event, agent dest.Value) {
	for i := range person {
		hashed(j, person[i].to, person[i].from.In(e), person[i].uniform)
	}
	if d.Gender {
		hashed(j, "ge", genderTrait.In(e), gender)
	}
	if d.Country {
		hashed(j, "country", countryTrait.In(e), country)
	}
	if id := cmp.Or(hash(e.UserID, compact), hash(e.AnonymousID, compact)); id != "" {
		j.OpenListAt("external_id")
		j.Value(dest.Text(id))
		j.CloseList()
	}
	if s, ok := ip.In(e).Text(); ok {
		if _, err := netip.ParseAddr(s); err == nil {
			j.Text("client_ip_address", s)
		}
	}
	j.Field("client_user_agent", agent)
	options := dest.Options(e, name, nameOld, nameMeta)
	for _, key := range []string{"fbc", "fbp"} {
		v := dest.AsText(dest.Of(options[key]))
		if v.Empty() {
			v = dest.AsText(dest.Of(e.Properties[key]))
		}
		j.Field(key, v)
	}
}

func hashed(j *dest.JSON, key string, v dest.Value, uniform func(string) string) {
	if s := dest.AsText(v).String(); s != "" {
		j.TextUnlessEmpty(key, hash(s, uniform))
	}
}

// hash returns the hash of what s is made into, s if it is one already, and nothing if
// nothing is left of it.
func hash(s string, uniform func(string) string) string {
	if dest.Hashed(s) {
		return s
	}
	if s = uniform(s); s == "" {
		return ""
	}
	return dest.Hash(s)
}

// compact takes out all white space and makes letters small.
func compact(s string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s))
}

func email(s string) string {
	if _, ok := dest.Email(dest.Text(s)); !ok {
		return ""
	}
	return compact(s)
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// birthday is a date as YYYYMMDD, or one already.
func birthday(s string) string {
	if s = strings.TrimSpace(s); len(s) == 8 && digits(s) == s {
		return s
	}
	at, ok := dest.ParseDate(s)
	if !ok {
		return ""
	}
	return at.Format("20060102")
}

func gender(s string) string {
	switch compact(s) {
	case "m", "male":
		return "m"
	case "f", "female":
		return "f"
	}
	return ""
}

func state(s string) string {
	s = compact(s)
	if code, ok := states[s]; ok {
		return code
	}
	return s
}

func country(s string) string {
	s = compact(s)
	if code, ok := countries[s]; ok {
		return code
	}
	return s
}
