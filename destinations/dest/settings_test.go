package dest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// base is embedded without being exported; its fields are settings all the same.
type base struct {
	Token string `json:"token" required:"true" secret:"true"`
	inner string
}

// Limits is embedded and exported.
type Limits struct {
	Rate  float64       `json:"rate,omitempty"`
	Grace time.Duration `json:"grace,omitempty" negative:"never"`
	Wait  time.Duration `json:"wait,omitempty"`
}

type adapter struct {
	APIKey  string             `json:"apiKey" required:"true" secret:"true"`
	Region  string             `json:"region,omitempty" oneof:"us eu" default:"us"`
	MaxAge  int                `json:"maxAge,omitempty" default:"7"`
	Big     int64              `json:"big,omitempty"`
	On      bool               `json:"on,omitempty"`
	List    []string           `json:"list,omitempty"`
	Headers map[string]string  `json:"headers,omitempty" secret:"true"`
	Keys    []string           `json:"keys,omitempty" secret:"true"`
	Pin     int                `json:"pin,omitempty" secret:"true"`
	Blob    []byte             `json:"blob,omitempty" secret:"true"`
	Pointer *string            `json:"pointer,omitempty" secret:"true"`
	Nested  struct{ K string } `json:"nested" secret:"true"`
	Any     any                `json:"-" secret:"true"`
	Sign    func() string      `json:"-"`
	URL     string
	base
	Limits
	dest.Hooks
	dest.Client `json:"-"`

	header string
}

func (d *adapter) Describe() analytics.Description                      { return analytics.Description{Name: "Tool"} }
func (d *adapter) Translate(*analytics.Event) ([]analytics.Item, error) { return nil, nil }
func (d *adapter) Deliver(context.Context, *analytics.Batch) error      { return nil }
func (d *adapter) Format(f fmt.State, _ rune)                           { dest.Format(f, d) }
func (d *adapter) LogValue() slog.Value                                 { return dest.LogValue(d) }

var _ analytics.Destination = (*adapter)(nil)

// filled returns an adapter with everything set and a secret wherever one can be.
func filled() *adapter {
	secret := "s3cret-pointer"
	return &adapter{
		APIKey: "s3cret-key", Region: "eu", MaxAge: 3, On: true, List: []string{"a", "b"}, Headers: map[string]string{"s3cret-name": "s3cret-value"},
		Keys: []string{"s3cret-1"}, Pin: 987654321, Blob: []byte("s3cret-blob"), Pointer: &secret, Nested: struct{ K string }{"s3cret-nested"},
		Any: map[string]any{"a": "s3cret-any"}, Sign: func() string { return "s3cret-func" }, URL: "https://h/",
		base: base{Token: "s3cret-token", inner: "s3cret-inner"}, Limits: Limits{Rate: 1.5, Wait: time.Second},
		Hooks: dest.Hooks{Fields: map[string]string{"a": "userId"}}, header: "s3cret-header",
	}
}

func TestSettingsOf(t *testing.T) {
	var lines []string
	for _, s := range dest.SettingsOf(&adapter{}) {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %q %s %q %v %t %t", s.Field, s.Key, s.Type, s.Default, s.OneOf, s.Required, s.Secret)))
	}
	require.Equal(t, []string{
		`APIKey "apiKey" string "" [] true true`, `Region "region" string "us" [us eu] false false`, `MaxAge "maxAge" int "7" [] false false`,
		`Big "big" int "" [] false false`, `On "on" bool "" [] false false`, `List "list" list "" [] false false`,
		`Headers "headers" map "" [] false true`, `Keys "keys" list "" [] false true`, `Pin "pin" int "" [] false true`, `Blob "blob" list "" [] false true`,
		`Pointer "pointer" ptr "" [] false true`, `Nested "nested" struct "" [] false true`, `Any "" interface "" [] false true`, `Sign "" func "" [] false false`,
		`URL "" string "" [] false false`, `Token "token" string "" [] true true`, `Rate "rate" float64 "" [] false false`,
		`Grace "grace" duration "" [] false false`, `Wait "wait" duration "" [] false false`, `EventNames "eventNames" map "" [] false false`,
		`EventName "" func "" [] false false`, `Fields "fields" map "" [] false false`, `Edit "" func "" [] false false`,
		`Tool "" string "" [] false false`, `HTTP "" ptr "" [] false false`,
	}, lines)
	require.Nil(t, dest.SettingsOf((*adapter)(nil)))
	require.Nil(t, dest.SettingsOf(nil))
	require.Nil(t, dest.SettingsOf(analytics.DestinationFunc("f", nil)), "what has no exported field")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", dest.SettingsOf(filled()), dest.SettingsOf(filled()), dest.SettingsOf(filled())), "s3cret")
}

func TestCheck(t *testing.T) {
	require.NoError(t, dest.Check(filled()).Err())
	for want, change := range map[string]func(*adapter){
		"APIKey: is required":       func(d *adapter) { d.APIKey = "" },
		"Token: is required":        func(d *adapter) { d.Token = "" },
		"Region: is none of us, eu": func(d *adapter) { d.Region = "s3cret" },
		"MaxAge: is negative":       func(d *adapter) { d.MaxAge = -1 },
		"Big: is negative":          func(d *adapter) { d.Big = -1 << 63 },
		"Rate: is negative":         func(d *adapter) { d.Rate = -0.5 },
		"Wait: is negative":         func(d *adapter) { d.Wait = -1 },
		"APIKey: has blanks around it, or control characters": func(d *adapter) { d.APIKey = "s3cret\r\nX-Evil: 1" },
		"Token: has blanks around it, or control characters":  func(d *adapter) { d.Token = "s3cret\u00a0" },
		"URL: has blanks around it, or control characters":    func(d *adapter) { d.URL = " " },
		`Fields: a: "sentAt" is no path into an event`:        func(d *adapter) { d.Fields["a"] = "sentAt" },
		`Fields: has a field with an empty part: ""`:          func(d *adapter) { d.Fields[""] = "userId" },
		`Fields: has a field with an empty part: "a..b"`:      func(d *adapter) { d.Fields["a..b"] = "" },
		`Fields: has a field with an empty part: ".a"`:        func(d *adapter) { d.Fields[".a"] = "userId" },
		`Fields: has a field with an empty part: "a."`:        func(d *adapter) { d.Fields["a."] = "userId" },
	} {
		d := filled()
		change(d)
		f := dest.Check(d)
		require.EqualError(t, f.Err(), want)
		field, _, _ := strings.Cut(want, ":")
		require.True(t, f.Has(field))
		require.False(t, f.Has("On"))
		requireInvalid(t, f.Err())
	}
	for _, change := range []func(*adapter){
		func(d *adapter) { d.Region = "" }, func(d *adapter) { d.Grace = -1 }, func(d *adapter) { d.APIKey = "with blank" }, func(d *adapter) { d.Fields["a"] = "" },
		func(d *adapter) { d.Fields = nil }, func(d *adapter) { d.APIKey = "ключ" },
	} {
		d := filled()
		change(d)
		require.NoError(t, dest.Check(d).Err())
	}
}

// All faults at once, each with its field.
func TestCheckNamesEveryFault(t *testing.T) {
	f := dest.Check(&adapter{Region: "s3cret", MaxAge: -1, URL: "a\nb"})
	f.Add("List", "has %d entries", 3)
	f.URL("URL", "ftp://s3cret")
	require.EqualError(t, f.Err(), "APIKey: is required\nRegion: is none of us, eu\nMaxAge: is negative\n"+
		"URL: has blanks around it, or control characters\nToken: is required\nList: has 3 entries\nURL: is not an http or https URL with a host")
	require.NoError(t, (&dest.Faults{}).Err())
	require.NoError(t, dest.Check((*adapter)(nil)).Err())
}

func TestFaultsURL(t *testing.T) {
	for _, good := range []string{"", "https://h", "http://h:80/p?q=%20", "HTTPS://H/", "http://[::1]:8080/", "https://h/#", "https://xn--bcher-kva.example"} {
		f := &dest.Faults{}
		f.URL("URL", good)
		require.NoError(t, f.Err(), good)
	}
	for _, bad := range []string{"h", "//h", "ftp://h", "https://", "https:///p", "http://:8080", "https://user:s3cret@h", "https://@h", "https://h/#s3cret", "https://h h",
		"https://h\n", " https://h", "mailto:a@h", "https:h", "https://h/%zz", "https://h:s3cret", "/p", "javascript:s3cret"} {
		f := &dest.Faults{}
		f.URL("URL", bad)
		require.EqualError(t, f.Err(), "URL: is not an http or https URL with a host", bad)
	}
}

func TestFormat(t *testing.T) {
	const want = `Tool{APIKey:[hidden] Region:eu MaxAge:3 On:true List:[a b] Headers:[hidden] Keys:[hidden] Pin:[hidden] Blob:[hidden] Pointer:[hidden] ` +
		`Nested:[hidden] Any:[hidden] URL:https://h/ Token:[hidden] Rate:1.5 Wait:1s Fields:map[a:userId]}`
	d := filled()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%20v"} {
		require.Equal(t, want, fmt.Sprintf(verb, d), verb)
	}
	require.Equal(t, want, fmt.Sprint(d))
	require.Equal(t, "Tool{}", fmt.Sprint(&adapter{}))
	require.NotPanics(t, func() { _ = fmt.Sprint((*adapter)(nil)) })
}

// An adapter keeps its secrets wherever it is inside of what is printed.
func TestFormatInside(t *testing.T) {
	d := filled()
	cfg := analytics.Config{Destinations: []analytics.Destination{d, analytics.Named("b", d), analytics.With(d)}}
	wrapped := struct{ D any }{[]*adapter{d}}
	byName := map[string]analytics.Destination{"d": d}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{cfg, &cfg, wrapped, &wrapped, byName, &d, []any{d}, fmt.Errorf("with %v", d)} {
			requireHidden(t, fmt.Sprintf(verb, v))
		}
	}
}

func requireHidden(t *testing.T, s string) {
	t.Helper()
	require.NotContains(t, s, "s3cret")
	require.NotContains(t, s, "987654321")
	require.NotContains(t, s, "115 51 99 114 101 116") // as bytes
	require.NotContains(t, s, "733363726574")
}

func TestLogValue(t *testing.T) {
	var out bytes.Buffer
	plain := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: noTime}))
	asJSON := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: noTime}))
	d := filled()
	for _, log := range []*slog.Logger{plain, asJSON} {
		out.Reset()
		log.Info("m", "d", d)
		requireHidden(t, out.String())
		require.Contains(t, out.String(), "Region")
		require.Contains(t, out.String(), "[hidden]")
		require.NotContains(t, out.String(), "Sign")
		require.NotContains(t, out.String(), "Grace", "what is zero is left out")

		out.Reset()
		log.With("d", d).WithGroup("g").Info("m", slog.Group("inner", "d", d), "err", fmt.Errorf("of %v", d))
		log.Info("m", "settings", dest.SettingsOf(d), "pin", errors.Join(fmt.Errorf("%+v", d)))
		log.Info("m", "config", analytics.Config{Destinations: []analytics.Destination{d}})
		requireHidden(t, out.String())
	}
	out.Reset()
	plain.Info("m", "named", analytics.Named("b", d), "with", analytics.With(d), "list", []any{d}, "map", map[string]any{"d": d})
	requireHidden(t, out.String())
	out.Reset()
	asJSON.Info("m", "d", d)
	require.JSONEq(t, `{"level":"INFO","msg":"m","d":{"name":"Tool","APIKey":"[hidden]","Region":"eu","MaxAge":3,"On":true,"List":"[a b]","Headers":"[hidden]",
		"Keys":"[hidden]","Pin":"[hidden]","Blob":"[hidden]","Pointer":"[hidden]","Nested":"[hidden]","Any":"[hidden]","URL":"https://h/","Token":"[hidden]",
		"Rate":1.5,"Wait":1000000000,"Fields":"map[a:userId]"}}`, out.String())
}

func noTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
