package main

import (
	"reflect"
	"slices"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/catalog"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// changes tries each setting by itself and sees what Describe says then.
func (a *adapter) changes(e *catalog.Entry) []catalog.Change {
	example := reflect.ValueOf(a.example).Elem()
	var all []try
	for _, s := range own(a.example) {
		all = append(all, tries(s, example.FieldByName(s.Field))...)
	}
	var list []catalog.Change
	for _, t := range append(all, a.also...) {
		d := reflect.New(a.typeOf())
		d.Elem().Set(example)
		d.Elem().FieldByName(t.field).Set(reflect.ValueOf(t.value))
		c := a.change(e, d.Interface().(analytics.Destination).Describe())
		if len(c.Calls) == 0 && c.Order == "" && len(c.Lanes) == 0 {
			continue
		}
		if c.With = t.field; t.name != "" {
			c.With += " " + t.name
		}
		list = append(list, c)
	}
	return list
}

func (a *adapter) change(e *catalog.Entry, with analytics.Description) (c catalog.Change) {
	if all := calls(with); !slices.Equal(all, e.Calls) {
		c.Calls = all
	}
	if order := a.order(with); order != e.Order {
		c.Order = order
	}
	for _, lane := range lanes(with) {
		known := func(other catalog.Lane) bool { return reflect.DeepEqual(lane, other) }
		if !slices.ContainsFunc(e.Lanes, known) {
			c.Lanes = append(c.Lanes, lane)
		}
	}
	return c
}

// A try is a value of a setting.
type try struct {
	field string
	name  string // of the value, where there are several
	value any
}

// tries are values besides the one that a setting has. Numbers are left out: they are
// limits themselves, and change what they say.
func tries(s dest.Setting, has reflect.Value) (list []try) {
	switch kind := has.Kind(); {
	case s.OneOf != nil:
		for _, name := range s.OneOf {
			list = append(list, try{s.Field, name, name})
		}
	case kind == reflect.Bool:
		list = []try{{s.Field, "", !has.Bool()}}
	case kind == reflect.String:
		list = []try{{s.Field, "", "x"}}
	case kind == reflect.Slice:
		list = []try{{s.Field, "", reflect.MakeSlice(has.Type(), 1, 1).Interface()}}
	case kind == reflect.Map:
		m := reflect.MakeMap(has.Type())
		m.SetMapIndex(reflect.Zero(has.Type().Key()), reflect.Zero(has.Type().Elem()))
		list = []try{{s.Field, "", m.Interface()}}
	}
	return list
}
