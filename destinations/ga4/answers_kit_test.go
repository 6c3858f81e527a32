package ga4_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/ga4"
)

func TestSettings(t *testing.T) {
	for fact, c := range map[string]struct {
		d    *ga4.Destination
		want []string
	}{
		"secret and stream are required":    {&ga4.Destination{}, []string{"APISecret", "MeasurementID"}},
		"the secret is required":            {&ga4.Destination{MeasurementID: measurementID}, []string{"APISecret"}},
		"a stream is required":              {&ga4.Destination{APISecret: secret}, []string{"MeasurementID"}},
		"there are two regions":             {&ga4.Destination{APISecret: secret, MeasurementID: measurementID, Region: "us"}, []string{"Region"}},
		"a consent is granted or denied":    {&ga4.Destination{APISecret: secret, MeasurementID: measurementID, AdUserData: "yes", AdPersonalization: "no"}, []string{"AdUserData", "AdPersonalization"}},
		"all faults are reported at once":   {&ga4.Destination{APISecret: " ", Region: "EU", AdUserData: "?", AdPersonalization: "?"}, []string{"APISecret", "MeasurementID", "Region", "AdUserData", "AdPersonalization"}},
		"secret and site are enough":        {settings(), nil},
		"secret and app are enough":         {&ga4.Destination{APISecret: secret, FirebaseAppID: appID}, nil},
		"all settings together are usable":  {withEverything(), nil},
		"the default region can be written": {&ga4.Destination{APISecret: secret, MeasurementID: measurementID, Region: "global"}, nil},
	} {
		t.Run(fact, func(t *testing.T) {
			err := c.d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client(), Logger: slog.New(slog.DiscardHandler)})
			require.ElementsMatch(t, c.want, faults(err), "%v", err)
			require.Equal(t, c.want == nil, err == nil)
			if err != nil {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

// faults are the fields of all InvalidErrors in err.
func faults(err error) (fields []string) {
	var invalid *analytics.InvalidError
	switch e := err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			fields = append(fields, faults(one)...)
		}
	default:
		if errors.As(err, &invalid) {
			fields = append(fields, invalid.Field)
		}
	}
	return fields
}

func TestDebugStoresNothing(t *testing.T) { // sheet: Settings, Debug
	for region, host := range map[string]string{"": "www.google-analytics.com", "eu": "region1.google-analytics.com"} {
		d := settings()
		d.Debug, d.Region = true, region
		f, tool := start(t, d)
		require.True(t, desttest.Deliver(t, d, mixed(t)...).All(analytics.WordDelivered))
		require.Equal(t, "https://"+host+"/debug/mp/collect?api_secret="+escaped+"&measurement_id="+measurementID, tool.Requests()[0].URL)
		require.Empty(t, f.accepted)
		require.Empty(t, f.violations)
	}
}

func TestValidate(t *testing.T) { // sheet: Responses
	d := settings()
	f, tool := start(t, d)
	f.debug = true // that is where Validate asks
	found, err := d.Validate(t.Context(), mixed(t)[0])
	require.NoError(t, err)
	require.Empty(t, found)
	require.Equal(t, "https://www.google-analytics.com/debug/mp/collect?api_secret="+escaped+"&measurement_id="+measurementID, tool.Requests()[0].URL)

	f.faults = `[{"fieldPath":"events","description":"Event at index: [0] has invalid name","validationCode":"NAME_INVALID"},` +
		`{"fieldPath":"client_id","description":"missing","validationCode":"VALUE_REQUIRED"}]`
	found, err = d.Validate(t.Context(), mixed(t)[1])
	require.NoError(t, err)
	require.Equal(t, []ga4.Fault{
		{Field: "events", Description: "Event at index: [0] has invalid name", Code: "NAME_INVALID"},
		{Field: "client_id", Description: "missing", Code: "VALUE_REQUIRED"},
	}, found)
	require.Empty(t, f.violations)
	require.Empty(t, f.accepted)

	for _, c := range []struct {
		status int
		body   string
	}{{500, ``}, {404, ``}, {200, `{"validationMessages":`}} {
		f.next(c.status, nil, c.body)
		_, err = d.Validate(t.Context(), mixed(t)[0])
		mustNotTell(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Validate(ctx, mixed(t)[0])
	mustNotTell(t, err)

	var invalid *analytics.InvalidError
	_, err = d.Validate(t.Context(), event(t, 1, `"type":"track","userId":"u1","event":"Order Completed"`))
	require.ErrorAs(t, err, &invalid)
}

func TestWide(t *testing.T) {
	for name, d := range map[string]*ga4.Destination{"few settings": settings(), "all settings": withEverything()} {
		t.Run(name, func(t *testing.T) {
			f, _ := start(t, d)
			for _, in := range slices.Concat(desttest.Inputs(t), desttest.Wide(t), odd(t)) {
				for _, it := range translated(t, d, in) {
					require.NotEmpty(t, desttest.DeliverBatch(t, d, &analytics.Batch{Lane: it.Lane, Items: []analytics.Item{it}}))
					require.Empty(t, f.violations, "%s: %s", in.ID, it.Body)
				}
			}
			require.NotEmpty(t, f.accepted)
		})
	}
}

// odd are further events that Google's rules are about.
func odd(t testing.TB) (list []desttest.Input) {
	t.Helper()
	long := strings.Repeat("ü", 200)
	var many strings.Builder
	for i := range 30 {
		fmt.Fprintf(&many, `"user property with a long name %d":"%s",`, i, long)
	}
	for i, rest := range []string{
		`"type":"track","userId":"u1","event":"E","integrations":{"GA4":{"userProperties":{` + many.String() + `"ga_x":1,"_y":2,"":3,"list":[1],"gone":null,"empty":""}}}`,
		`"type":"track","userId":"u1","event":"E","integrations":{"GA4":{"userProperties":{"a b":1,"a-b":2,"a_b":3}}}`,
		`"type":"track","userId":"u1","event":"E","integrations":{"GA4":{"clientId":"","sessionId":"","engagementTimeMsec":-1}}`,
		`"type":"track","userId":"u1","event":"E","properties":{"a b":1,"a.b":2,"a_b":3,"engagement_time_msec":"x","session_id":"` + long + `","gtag.x":1,"_z":2,"1":3,"-":4}`,
		`"type":"track","userId":"u1","event":"-ga_x","properties":{"-ga_x":1," google_y":2,"firebase-z":3,"gtag.a":4,"gtag":5,"ok":6}`,
		`"type":"track","userId":"u1","event":"` + long + `","properties":{"` + long + `":"` + long + `","items":"all","items ":[1]}`,
		`"type":"track","userId":"u1","event":"___"`,
		`"type":"track","userId":"u1","event":"Order Completed","properties":{"order_id":7,"total":"x","currency":" eur","affiliation":["x"],"coupon":"` + long + `","products":[{"product_id":7,"name":"` + long + `","price":"1","quantity":"x","position":"2"},{"name":""},{"price":1},"x",null]}`,
		`"type":"track","userId":"u1","event":"Product Viewed","properties":{"product_id":"","sku":"s","name":null}`,
		`"type":"track","userId":"u1","event":"Promotion Viewed","properties":{"promotion_id":"p1","name":"` + long + `","position":3}`,
		`"type":"track","userId":"u1","event":"Promotion Clicked","properties":{"creative":{}}`,
		`"type":"track","userId":"u1","event":"Products Searched","properties":{"query":""}`,
		`"type":"track","userId":"u1","event":"Signed Up","properties":{"type":["x"],"method":"mail"}`,
		`"type":"track","userId":" ","anonymousId":" ","event":"E"`,
		`"type":"page","userId":"u1","context":{"page":{"url":"","title":"` + strings.Repeat("t", 301) + `"}},"properties":{"url":7,"referrer":[]}`,
		`"type":"screen","userId":"u1","name":""`,
		`"type":"group","userId":"u1","groupId":"` + long + `"`,
		`"type":"group","userId":"u1"`,
	} {
		list = append(list, desttest.Input{ID: fmt.Sprintf("odd %d", i), Event: event(t, i, rest)})
	}
	return list
}

// translated are the items of an event but for those that the client would drop as too
// large. The event may be refused.
func translated(t testing.TB, d analytics.Destination, in desttest.Input) (items []analytics.Item) {
	t.Helper()
	is := d.Describe()
	if is.Calls != 0 && !is.Calls.Has(in.Event.Type) {
		return nil
	}
	all, err := d.Translate(in.Event)
	if err != nil {
		desttest.CheckError(t, err, secret)
		return nil
	}
	for _, it := range all {
		if l := is.Lanes[it.Lane]; l.MaxItemBytes == 0 || max(it.Size, len(it.Body)) <= l.MaxItemBytes {
			items = append(items, it)
		}
	}
	return items
}

func TestExpectations(t *testing.T) {
	desttest.Expectations(t, "ga4", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &ga4.Destination{MeasurementID: "G-TEST12345", APISecret: "ga4_secret", AllowOld: true}
		tool := desttest.Serve(nil)
		desttest.Open(t, d, tool)
		return d, tool
	})
}

func TestSecrets(t *testing.T) {
	d := withEverything()
	_, tool := start(t, d)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(format, d), secret)
		require.NotContains(t, fmt.Sprintf(format, d), escaped)
	}
	require.Contains(t, fmt.Sprintf("%v", d), measurementID) // the others are shown

	quoted := fmt.Sprintf(`{"validationMessages":[{"fieldPath":%[1]q,"description":"%[1]s %[2]s","validationCode":%[2]q}]}`, secret, content)
	for _, status := range []int{302, 400, 401, 403, 404, 413, 422, 429, 500, 503} {
		own := settings()
		f, _ := start(t, own)
		f.next(status, http.Header{"Location": {"https://elsewhere.example/?" + escaped}}, quoted)
		mustNotTell(t, own.Deliver(t.Context(), batch(t, own, mixed(t)...)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the network fails, and quotes the address
	mustNotTell(t, d.Deliver(ctx, batch(t, d, mixed(t)...)))
	old := &ga4.Destination{APISecret: secret, MeasurementID: measurementID}
	start(t, old)
	mustNotTell(t, old.Deliver(t.Context(), batch(t, old, mixed(t)...))) // of May 2026: too old
	require.Empty(t, tool.Requests())

	_, err := d.Translate(event(t, 1, fmt.Sprintf(`"type":"track","userId":"u1","event":"Order Completed","properties":{"order_id":"o","products":[{%s}],"currency":%q}`, product, content)))
	require.Error(t, err) // sheet: Mapping, currency
	mustNotTell(t, err)
}

// mustNotTell fails if an error, or one of a BatchError, holds a secret or content.
func mustNotTell(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	all := []string{err.Error()}
	var each *analytics.BatchError
	if errors.As(err, &each) {
		for _, one := range each.Items {
			all = append(all, one.Error())
		}
	}
	for _, text := range all {
		require.NotContains(t, text, secret)
		require.NotContains(t, text, escaped)
		require.NotContains(t, text, content)
	}
}

func FuzzTranslate(f *testing.F) {
	d := withEverything()
	start(f, d)
	desttest.FuzzTranslate(f, d, secret)
}

func BenchmarkTranslate(b *testing.B) {
	d := settings()
	start(b, d)
	desttest.BenchmarkTranslate(b, d)
}
