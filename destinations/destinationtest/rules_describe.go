package destinationtest

import (
	"context"
	"reflect"
	"slices"

	"github.com/tributary-dev/analytics"
)

func describeRules() []rule {
	return []rule{
		{
			name:     "describe-stable",
			sentence: "Describe depends on the struct's fields only: it says the same twice in a row, before Open, after it, and from a fresh value.",
			test:     testDescribeStable,
		},
		{
			name:     "describe-name",
			sentence: "A description has a Name, which is the key in the integrations object, and Aliases that are not empty and differ from it and from one another.",
			test:     testDescribeName,
		},
		{
			name:     "describe-limits",
			sentence: "Limits are not negative but for Linger, the largest item fits into a request, a Rate limits something, and Calls and Order are known values.",
			test:     testDescribeLimits,
		},
		{
			name:     "describe-positioner",
			sentence: "A destination that owns its cursor asks for Total order and has one lane, so that the ranges of its batches follow one another.",
			test:     testDescribePositioner,
		},
		{
			name:     "open",
			sentence: "Open accepts good settings, of a fresh value and of another one beside it.",
			test:     testOpen,
		},
	}
}

// describe returns the description of a fresh value that is not opened.
func (t *trial) describe(d analytics.Destination) (desc analytics.Description, ok bool) {
	if err := protect(func() error { desc = d.Describe(); return nil }); err != nil {
		t.errorf("Describe panicked: %v", err)
		return desc, false
	}
	return desc, true
}

func testDescribeStable(t *trial) {
	d := t.setup.New(t.svc)
	first, ok := t.describe(d)
	if !ok {
		return
	}
	same := func(when string) {
		again, ok := t.describe(d)
		if ok && !reflect.DeepEqual(first, again) {
			t.errorf("Describe said %+v at first and %+v %s", first, again, when)
		}
	}
	same("when asked again")
	if o := find[analytics.Opener](d); o != nil {
		_ = protect(func() error { return o.Open(t.env()) })
		same("after Open")
	}
	if c := find[analytics.Closer](d); c != nil {
		t.await(t.patience(), func() {
			_ = protect(func() error { return c.Close(context.Background()) })
		})
		same("after Close")
	}
	d = t.setup.New(t.svc)
	same("of a fresh value")
}

func testDescribeName(t *trial) {
	desc, ok := t.describe(t.setup.New(t.svc))
	if !ok {
		return
	}
	if desc.Name == "" {
		t.errorf("Name is empty")
	}
	for i, a := range desc.Aliases {
		switch {
		case a == "":
			t.errorf("Aliases[%d] is empty", i)
		case a == desc.Name:
			t.errorf("Aliases[%d] is the Name, %q", i, a)
		case slices.Contains(desc.Aliases[:i], a):
			t.errorf("Aliases[%d], %q, is there twice", i, a)
		}
	}
}

func testDescribeLimits(t *trial) {
	desc, ok := t.describe(t.setup.New(t.svc))
	if !ok {
		return
	}
	if known := analytics.CallsOf(allCalls...); desc.Calls&^known != 0 {
		t.errorf("Calls is %b, the known calls are %b", desc.Calls, known)
	}
	if desc.Order > analytics.Total {
		t.errorf("Order is %d, which is none of the three", desc.Order)
	}
	if desc.Every < 0 {
		t.errorf("Every is %v", desc.Every)
	}
	if desc.Lanes != nil && len(desc.Lanes) == 0 {
		t.errorf("Lanes is empty: nil is one lane with defaults")
	}
	for name, l := range desc.Lanes {
		testLimits(t, name, l)
	}
}

func testLimits(t *trial, lane string, l analytics.Limits) {
	v := reflect.ValueOf(l)
	for i := range v.NumField() {
		field := v.Type().Field(i).Name
		if v.Field(i).CanInt() && v.Field(i).Int() < 0 && field != "Linger" {
			t.errorf("lane %q: %s is %v", lane, field, v.Field(i))
			return
		}
	}
	full := withDefaults(l)
	if full.MaxItemBytes < 1 || full.Overhead+full.ItemOverhead+full.MaxItemBytes > full.MaxBytes {
		t.errorf("lane %q: an item of MaxItemBytes %d with Overhead %d and ItemOverhead %d does not fit into MaxBytes %d",
			lane, full.MaxItemBytes, full.Overhead, full.ItemOverhead, full.MaxBytes)
	}
	for i, r := range l.Rates {
		switch {
		case r.Requests < 0 || r.Items < 0 || r.Per < 0 || r.Burst < 0:
			t.errorf("lane %q: Rates[%d] is negative: %+v", lane, i, r)
		case r.Requests == 0 && r.Items == 0:
			t.errorf("lane %q: Rates[%d] limits neither Requests nor Items", lane, i)
		}
	}
}

func testDescribePositioner(t *trial) {
	d := t.setup.New(t.svc)
	if find[analytics.Positioner](d) == nil {
		t.skipf("has no Position")
		return
	}
	desc, ok := t.describe(d)
	if !ok {
		return
	}
	if desc.Order != analytics.Total {
		t.errorf("Order is not Total")
	}
	if len(desc.Lanes) > 1 {
		t.errorf("has %d lanes", len(desc.Lanes))
	}
}

func testOpen(t *trial) {
	for range 2 {
		d := t.setup.New(t.svc)
		if d == nil {
			t.errorf("New returned nil")
			return
		}
		o := find[analytics.Opener](d)
		if o == nil {
			t.skipf("has no Open")
			return
		}
		if _, ok := t.describe(d); !ok {
			return
		}
		if err := protect(func() error { return o.Open(t.env()) }); err != nil {
			t.errorf("Open refused good settings: %v", err)
			return
		}
		t.opened = append(t.opened, &instance{Destination: d, t: t})
	}
}
