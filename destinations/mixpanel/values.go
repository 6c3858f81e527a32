package mixpanel

import (
	"maps"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Mixpanel refuses events with more properties, elements or keys, or deeper ones.
const (
	maxElements = 255
	maxDepth    = 3
	maxTraits   = maxElements - 2 // $name and $created may come on top
)

// layer are the properties that lie over the adapter's own: those of the message, and
// over them those of a product.
type layer struct {
	properties, product map[string]any
	keys                []string // in order
}

func overlay(properties map[string]any, skip func(string) bool, product map[string]any, most int) layer {
	l := layer{properties: properties, product: product, keys: make([]string, 0, len(properties)+len(productKeys))}
	for key, v := range properties {
		if !skip(key) && product[key] == nil && fits(v, 1) {
			l.keys = append(l.keys, key)
		}
	}
	if product != nil {
		for _, key := range productKeys {
			if v := dest.Of(product[key]); !v.Empty() && fits(product[key], 1) && !slices.Contains(l.keys, key) {
				l.keys = append(l.keys, key)
			}
		}
	}
	slices.Sort(l.keys)
	l.keys = l.keys[:min(len(l.keys), most)]
	return l
}

func (l *layer) has(key string) bool {
	_, found := slices.BinarySearch(l.keys, key)
	return found
}

func (l *layer) write(j *dest.JSON) {
	for _, key := range l.keys {
		v, ok := l.product[key]
		if !ok || !isProductKey(key) {
			v = l.properties[key]
		}
		j.Any(key, v)
	}
}

func isProductKey(key string) bool { return slices.Contains(productKeys, key) }

// fits tells whether Mixpanel takes a value: what it refuses would cost the event.
func fits(v any, depth int) bool {
	switch v := dest.Of(v); {
	case v.Object() != nil:
		if depth > maxDepth || len(v.Object()) > maxElements {
			return false
		}
		for _, inner := range v.Object() {
			if !fits(inner, depth+1) {
				return false
			}
		}
	case v.List() != nil:
		if depth > maxDepth || len(v.List()) > maxElements {
			return false
		}
		for _, inner := range v.List() {
			if !fits(inner, depth+1) {
				return false
			}
		}
	}
	return true
}

// anyFits tells whether something of the traits can be sent.
func anyFits(traits map[string]any) bool {
	for _, v := range traits {
		if fits(v, 1) {
			return true
		}
	}
	return false
}

// profileNames are the traits for which Mixpanel has names of its own.
var profileNames = map[string]string{
	analytics.TraitEmail:     "$email",
	analytics.TraitFirstName: "$first_name",
	analytics.TraitLastName:  "$last_name",
	analytics.TraitName:      "$name",
	analytics.TraitUsername:  "$username",
	analytics.TraitPhone:     "$phone",
}

// profile writes the traits of a person.
func profile(j *dest.JSON, traits map[string]any) {
	described(j, traits, profileNames)
	first, _ := dest.Of(traits[analytics.TraitFirstName]).Text()
	last, _ := dest.Of(traits[analytics.TraitLastName]).Text()
	if _, named := traits[analytics.TraitName]; !named && first != "" && last != "" {
		j.Text("$name", strings.TrimSpace(first+" "+last))
	}
}

// described writes traits, some of them under other names, and the first of the
// spellings of createdAt as $created.
func described(j *dest.JSON, traits map[string]any, names map[string]string) {
	created := dest.Value{}
	for _, key := range []string{"created", analytics.TraitCreatedAt, "created_at"} {
		if created.Empty() {
			created = dest.Of(traits[key])
		}
	}
	// taken tells whether a trait has the very name that another trait gets.
	taken := func(key string) bool {
		for from, to := range names {
			if _, given := traits[from]; given && key == to {
				return true
			}
		}
		return key == "$created" && !created.Empty()
	}
	written := 0
	for _, key := range slices.Sorted(maps.Keys(traits)) {
		switch key {
		case "created", analytics.TraitCreatedAt, "created_at":
			continue
		}
		if !fits(traits[key], 1) || written == maxTraits {
			continue
		}
		to, ok := names[key]
		if !ok {
			to = key
		}
		if !ok && taken(key) {
			continue
		}
		j.Any(to, traits[key])
		written++
	}
	j.Field("$created", created)
}
