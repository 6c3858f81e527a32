package dest

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// A Setting is an exported field of an adapter. What is said of it stands in its tags:
//
//	Region string `json:"region,omitempty" oneof:"us eu" default:"us"`
//	APIKey string `json:"apiKey" required:"true" secret:"true"`
//	MaxAge int    `json:"maxAge,omitempty" negative:"never"` // else negative is a fault
type Setting struct {
	Field    string   // name in Go
	Key      string   // name in JSON; empty: it can be set in Go only
	Type     string   // "string", "int", "bool", "duration", "list", "map", "func", …
	Default  string   // what zero means, as text
	OneOf    []string // the values that are allowed beside zero; nil: any
	Required bool
	Secret   bool
	signed   bool // a negative value means something
	value    reflect.Value
}

// SettingsOf lists the settings of an adapter, a pointer to a struct, in the order of
// its fields; those of embedded structs are among them.
func SettingsOf(d analytics.Destination) []Setting {
	v := reflect.Indirect(reflect.ValueOf(d))
	if v.Kind() != reflect.Struct {
		return nil
	}
	return settingsOf(v, nil)
}

func settingsOf(v reflect.Value, list []Setting) []Setting {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct: // its fields are exported or not by themselves
			list = settingsOf(v.Field(i), list)
			continue
		case !f.IsExported():
			continue
		}
		s := Setting{
			Field: f.Name, Type: typeName(f.Type), Default: f.Tag.Get("default"),
			Required: f.Tag.Get("required") == "true", Secret: f.Tag.Get("secret") == "true",
			signed: f.Tag.Get("negative") != "", value: v.Field(i),
		}
		if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key != "-" {
			s.Key = key
		}
		if allowed := f.Tag.Get("oneof"); allowed != "" {
			s.OneOf = strings.Fields(allowed)
		}
		list = append(list, s)
	}
	return list
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Int64:
		return "int"
	}
	return t.Kind().String()
}

// Faults collects what is wrong with settings.
type Faults struct{ list []error }

// Add notes a fault of a field. The reason must not quote a secret.
func (f *Faults) Add(field, reason string, args ...any) {
	f.list = append(f.list, &analytics.InvalidError{Field: field, Reason: fmt.Sprintf(reason, args...)})
}

// Err returns all faults, nil if there are none.
func (f *Faults) Err() error { return errors.Join(f.list...) }

// Has tells whether something is wrong with the field.
func (f *Faults) Has(field string) bool {
	for _, err := range f.list {
		var invalid *analytics.InvalidError
		if errors.As(err, &invalid) && invalid.Field == field {
			return true
		}
	}
	return false
}

// URL checks an address that may be empty: http or https, with a host, and without user
// or fragment. Its text is not quoted.
func (f *Faults) URL(field, address string) {
	if address == "" {
		return
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Fragment != "" {
		f.Add(field, "is not an http or https URL with a host")
	}
}

// Check begins the faults of an adapter with what its tags, its numbers and its hooks
// say: required settings, allowed values, nothing negative, keys without line breaks,
// places that exist.
func Check(d analytics.Destination) *Faults {
	f := &Faults{}
	for _, s := range SettingsOf(d) {
		switch {
		case s.Required && s.value.IsZero():
			f.Add(s.Field, "is required")
		case s.value.Kind() == reflect.String:
			f.checkText(&s)
		case s.negative() && !s.signed:
			f.Add(s.Field, "is negative")
		case s.Field == "Fields" && s.value.Type() == reflect.TypeFor[map[string]string]():
			f.checkFields(s.value.Interface().(map[string]string))
		}
	}
	return f
}

func (s *Setting) negative() bool {
	return s.value.CanInt() && s.value.Int() < 0 || s.value.CanFloat() && s.value.Float() < 0
}

func (f *Faults) checkText(s *Setting) {
	text := s.value.String()
	if text == "" {
		return
	}
	if s.OneOf != nil {
		for _, allowed := range s.OneOf {
			if text == allowed {
				return
			}
		}
		f.Add(s.Field, "is none of %s", strings.Join(s.OneOf, ", "))
		return
	}
	if strings.TrimSpace(text) != text || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		f.Add(s.Field, "has blanks around it, or control characters")
	}
}

func (f *Faults) checkFields(fields map[string]string) {
	var few [16]string
	for _, to := range sortedKeys(few[:0], anyMap(fields)) {
		if to == "" || strings.Contains("."+to+".", "..") {
			f.Add("Fields", "has a field with an empty part: %q", to)
		}
		if place := fields[to]; place != "" {
			if _, err := ParsePath(place); err != nil {
				f.Add("Fields", "%s: %v", to, err)
			}
		}
	}
}

func anyMap(m map[string]string) map[string]any {
	all := make(map[string]any, len(m))
	for k, v := range m {
		all[k] = v
	}
	return all
}

const hidden = "[hidden]"

// Format prints an adapter with its settings, for its own method Format: secret ones are
// hidden, those at their default are left out.
func Format(w fmt.State, d analytics.Destination) {
	_, _ = io.WriteString(w, d.Describe().Name+"{")
	first := true
	for _, s := range SettingsOf(d) {
		if s.value.IsZero() || s.value.Kind() == reflect.Func {
			continue
		}
		if !first {
			_, _ = io.WriteString(w, " ")
		}
		first = false
		_, _ = fmt.Fprintf(w, "%s:%v", s.Field, s.shown())
	}
	_, _ = io.WriteString(w, "}")
}

func (s *Setting) shown() any {
	if s.Secret {
		return hidden
	}
	switch s.value.Kind() {
	case reflect.Map, reflect.Slice, reflect.Struct, reflect.Interface, reflect.Pointer:
		return fmt.Sprint(s.value.Interface()) // as the type prints itself: it may hold secrets of its own
	}
	return s.value.Interface()
}

// LogValue is an adapter in a log, for its own method LogValue, with what [Format]
// shows.
func LogValue(d analytics.Destination) slog.Value {
	attrs := []slog.Attr{slog.String("name", d.Describe().Name)}
	for _, s := range SettingsOf(d) {
		if !s.value.IsZero() && s.value.Kind() != reflect.Func {
			attrs = append(attrs, slog.Any(s.Field, s.shown()))
		}
	}
	return slog.GroupValue(attrs...)
}
