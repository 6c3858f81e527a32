package main

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/catalog"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// entry asks the adapter and its source.
func (a *adapter) entry(root string, shared *source) (catalog.Entry, error) {
	if err := dest.Check(a.example).Err(); err != nil {
		return catalog.Entry{}, fmt.Errorf("the example of the table is no good: %w", err)
	}
	src, err := readSource(filepath.Join(root, "destinations", path.Base(a.importPath())), shared)
	if err != nil {
		return catalog.Entry{}, err
	}
	settings, err := settings(own(a.example), src.fieldDocs("Destination"))
	if err != nil {
		return catalog.Entry{}, err
	}
	for i := range settings {
		f, _ := a.typeOf().FieldByName(settings[i].Field)
		settings[i].Fields = inner(f.Type, src)
	}
	description := a.example.Describe()
	e := catalog.Entry{
		Name: description.Name, Aliases: description.Aliases, Package: a.importPath(),
		Category: a.category, API: a.api, Auth: a.auth,
		Calls: calls(description), Order: a.order(description), Lanes: lanes(description),
		Settings: settings, Example: a.code(),
	}
	e.Title, e.Doc = src.about()
	if e.Title == "" {
		return catalog.Entry{}, fmt.Errorf("the package has no comment")
	}
	e.Changes = a.changes(&e)
	return e, nil
}

var hookType = reflect.TypeFor[dest.Hooks]()

// own are the settings without the hooks.
func own(d analytics.Destination) []dest.Setting {
	return slices.DeleteFunc(dest.SettingsOf(d), func(s dest.Setting) bool {
		_, hook := hookType.FieldByName(s.Field)
		return hook
	})
}

// hooks are the settings that own leaves out.
func hooks() []dest.Setting {
	var hooked struct {
		analytics.Destination
		dest.Hooks
	}
	return slices.DeleteFunc(dest.SettingsOf(&hooked), func(s dest.Setting) bool { return s.Field == "Destination" })
}

func settings(list []dest.Setting, docs map[string]string) ([]catalog.Setting, error) {
	out := make([]catalog.Setting, 0, len(list))
	for _, s := range list {
		if docs[s.Field] == "" {
			return nil, fmt.Errorf("the setting %s has no comment", s.Field)
		}
		out = append(out, catalog.Setting{
			Field: s.Field, Key: s.Key, Type: s.Type, Default: s.Default, OneOf: s.OneOf,
			Required: s.Required, Secret: s.Secret, Doc: docs[s.Field],
		})
	}
	return out, nil
}

// inner are the fields of the structs that a map or list holds.
func inner(t reflect.Type, src *source) (fields []catalog.Setting) {
	if t.Kind() != reflect.Map && t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Struct {
		return nil
	}
	docs := src.fieldDocs(t.Elem().Name())
	for _, f := range reflect.VisibleFields(t.Elem()) {
		if !f.IsExported() {
			continue
		}
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		kind := f.Type.Kind().String()
		if f.Type.Kind() == reflect.Slice {
			kind = "list"
		}
		fields = append(fields, catalog.Setting{Field: f.Name, Key: key, Type: kind, Secret: f.Tag.Get("secret") == "true", Doc: docs[f.Name]})
	}
	return fields
}

// callOrder is that of the letters in the page.
var callOrder = []analytics.Call{
	analytics.CallTrack, analytics.CallPage, analytics.CallScreen,
	analytics.CallIdentify, analytics.CallGroup, analytics.CallAlias, analytics.CallObject,
}

func calls(d analytics.Description) []string {
	set := cmp.Or(d.Calls, analytics.SixCalls)
	var names []string
	for _, c := range callOrder {
		if set.Has(c) {
			names = append(names, string(c))
		}
	}
	return names
}

func (a *adapter) order(d analytics.Description) string {
	switch d.Order {
	case analytics.PerKey:
		return "per " + cmp.Or(a.key, "user")
	case analytics.Total:
		return "total"
	}
	return "unordered"
}

// lanes are sorted by name, with what zero means in the contract.
func lanes(d analytics.Description) []catalog.Lane {
	var list []catalog.Lane
	for _, name := range slices.Sorted(maps.Keys(d.Lanes)) {
		l := d.Lanes[name]
		lane := catalog.Lane{
			Name: name, MaxItems: cmp.Or(l.MaxItems, 1000), MaxBytes: catalog.Bytes(cmp.Or(l.MaxBytes, 1_000_000)),
			MaxItemBytes: catalog.Bytes(l.MaxItemBytes), Concurrency: cmp.Or(l.Concurrency, 4),
			Linger: linger(l.Linger), Timeout: short(cmp.Or(l.Timeout, 30*time.Second)),
		}
		for _, r := range l.Rates {
			lane.Rates = append(lane.Rates, catalog.Rate{
				Requests: r.Requests, Items: r.Items, Per: short(cmp.Or(r.Per, time.Second)), Burst: r.Burst, PerGroup: r.PerGroup,
			})
		}
		list = append(list, lane)
	}
	return list
}

func linger(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d == 0:
		return ""
	}
	return short(d)
}

// short is 1m in place of 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// code is the example in Go.
func (a *adapter) code() string {
	v := reflect.ValueOf(a.example).Elem()
	var fields []string
	for _, s := range own(a.example) {
		if f := v.FieldByName(s.Field); !f.IsZero() {
			fields = append(fields, s.Field+": "+coder{}.literal(f))
		}
	}
	return fmt.Sprintf("&%s.Destination{%s}", path.Base(a.importPath()), strings.Join(fields, ", "))
}
