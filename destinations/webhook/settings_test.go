package webhook_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/webhook"
)

// The addresses are those of this machine, so that nothing leaves it whatever happens.
func TestDenyPrivate(t *testing.T) {
	for _, host := range []string{"127.0.0.1:9", "127.8.0.1:9", "[::1]:9", "localhost:9", "0.0.0.0:9", "[::]:9", "[::ffff:127.0.0.1]:9"} {
		t.Run(host+" is not reached", func(t *testing.T) {
			d := &webhook.Destination{URL: "http://" + host + "/in?key=tok-1", DenyPrivate: true}
			require.NoError(t, d.Open(analytics.Env{HTTP: &http.Client{Transport: &http.Transport{}}}))
			results := desttest.Deliver(t, d, tracks(t, "m-0", "m-1", "m-2")...)
			require.Len(t, results, 3)
			require.True(t, results.All(unauthorized), "%v", results[0].Err) // a matter of settings
			require.NotContains(t, results[0].Err.Error(), "tok-1")
		})
	}
	t.Run("no way of the program's own leads around it", func(t *testing.T) {
		around := func(context.Context, string, string) (net.Conn, error) {
			t.Error("the guard was not asked")
			return nil, io.ErrUnexpectedEOF
		}
		transport := &http.Transport{
			Proxy: func(*http.Request) (*url.URL, error) {
				t.Error("a proxy resolves names by itself")
				return nil, io.ErrUnexpectedEOF
			},
			DialContext:    around,
			DialTLSContext: around,
			//nolint:staticcheck // deprecated, and still in use where a program sets it
			DialTLS: func(network, address string) (net.Conn, error) { return around(t.Context(), network, address) },
		}
		for _, scheme := range []string{"http", "https"} {
			d := &webhook.Destination{URL: scheme + "://127.0.0.1:9/in", DenyPrivate: true}
			require.NoError(t, d.Open(analytics.Env{HTTP: &http.Client{Transport: transport}}))
			require.True(t, desttest.Deliver(t, d, tracks(t, "m-0")...).All(unauthorized))
		}
	})
	t.Run("a client that cannot be guarded is refused", func(t *testing.T) {
		d := &webhook.Destination{URL: hookURL, DenyPrivate: true}
		requireFields(t, d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client()}), "DenyPrivate")
	})
	t.Run("private addresses are reached by default", func(t *testing.T) {
		f := &fake{url: "http://127.0.0.1:9/in"}
		d := &webhook.Destination{URL: f.url}
		open(t, d, f)
		require.True(t, desttest.Deliver(t, d, tracks(t, "m-0")...).All(delivered))
	})
}

// sheet: Settings, loopback, link-local and private addresses.
func TestOnlyPublic(t *testing.T) {
	for _, ip := range []string{
		"127.0.0.1", "127.255.255.255", "::1", "0.0.0.0", "::", "10.0.0.1", "172.16.3.4", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"fe80::1", "fe80::1%eth0", "fd00::1", "fc00::1", "224.0.0.1", "255.255.255.255", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
		"::ffff:169.254.169.254",
	} {
		require.Error(t, webhook.OnlyPublic("tcp", net.JoinHostPort(ip, "443"), nil), ip)
	}
	for _, ip := range []string{"8.8.8.8", "172.15.0.1", "172.32.0.1", "192.167.1.1", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"} {
		require.NoError(t, webhook.OnlyPublic("tcp", net.JoinHostPort(ip, "443"), nil), ip)
	}
	for _, odd := range []string{"", "localhost:443", "8.8.8.8", "/run/socket"} {
		require.Error(t, webhook.OnlyPublic("tcp", odd, nil), odd)
	}
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		d    webhook.Destination
		want []string
	}{
		"no URL":                       {webhook.Destination{}, []string{"URL"}},
		"no host":                      {webhook.Destination{URL: "https:///in"}, []string{"URL"}},
		"another scheme":               {webhook.Destination{URL: "ftp://hook.example.com/in"}, []string{"URL"}},
		"no URL at all":                {webhook.Destination{URL: "nowhere"}, []string{"URL"}},
		"a method without a body":      {webhook.Destination{URL: hookURL, Method: "GET"}, []string{"Method"}},
		"a method in small letters":    {webhook.Destination{URL: hookURL, Method: "post"}, []string{"Method"}},
		"a header that is not ASCII":   {webhook.Destination{URL: hookURL, Headers: map[string]string{"X-A": "ü"}}, []string{"Headers"}},
		"a header with a line break":   {webhook.Destination{URL: hookURL, Headers: map[string]string{"X-A": "a\r\nX-B: b"}}, []string{"Headers"}},
		"a header's name with a blank": {webhook.Destination{URL: hookURL, Headers: map[string]string{"X A": "a"}}, []string{"Headers"}},
		"negative sizes":               {webhook.Destination{URL: hookURL, Batch: true, BatchSize: -1, BatchBytes: -1}, []string{"BatchSize", "BatchBytes"}},
		"everything at once": {
			webhook.Destination{URL: "x", Method: "GET", Headers: map[string]string{"": "a"}, BatchSize: -1, BatchBytes: -1},
			[]string{"URL", "Method", "Headers", "BatchSize", "BatchBytes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			requireFields(t, c.d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client()}), c.want...)
		})
	}
}

// requireFields checks that err names these settings, each in an InvalidError.
func requireFields(t *testing.T, err error, want ...string) {
	t.Helper()
	require.Error(t, err)
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	var fields []string
	for _, one := range list {
		var invalid *analytics.InvalidError
		require.ErrorAs(t, one, &invalid)
		require.NotEmpty(t, invalid.Reason)
		fields = append(fields, invalid.Field)
	}
	require.ElementsMatch(t, want, fields)
}

func TestWide(t *testing.T) {
	inputs := append(desttest.Inputs(t), desttest.Wide(t)...)
	for _, batch := range []bool{false, true} {
		f := &fake{batch: batch, secret: hookSecret}
		d := &webhook.Destination{URL: hookURL, SharedSecret: hookSecret, Batch: batch}
		open(t, d, f)
		for _, in := range inputs {
			items, err := d.Translate(in.Event)
			if err != nil {
				desttest.CheckError(t, err, hookSecret)
				continue
			}
			require.NotEmpty(t, items, in.ID)
			require.True(t, desttest.Deliver(t, d, in.Event).All(delivered), in.ID)
		}
		require.Empty(t, f.violations)
		require.GreaterOrEqual(t, len(f.accepted), len(desttest.Inputs(t)))
	}
}

func FuzzTranslate(f *testing.F) {
	d := &webhook.Destination{URL: hookURL, SharedSecret: hookSecret}
	desttest.Open(f, d, desttest.Serve(nil))
	desttest.FuzzTranslate(f, d, hookSecret)
}

func TestConforms(t *testing.T) {
	for name, d := range map[string]webhook.Destination{
		"one message per request": {},
		"batches":                 {Batch: true},
		"ordered batches":         {Batch: true, Ordered: true, Gzip: true},
	} {
		t.Run(name, func(t *testing.T) {
			destinationtest.Run(t, destinationtest.Setup{
				New: func(s *destinationtest.Service) analytics.Destination {
					c := d
					c.URL, c.SharedSecret = s.URL()+"/in?key=tok-of-the-query", "whsec-of-the-kit"
					c.Headers = map[string]string{"Authorization": "Bearer header-of-the-kit"}
					return &c
				},
				Seen:    seen,
				Secrets: []string{"tok-of-the-query", "whsec-of-the-kit", "header-of-the-kit"},
				Words: map[int]destinationtest.Exception{
					410: {Word: unauthorized, Reason: "the receiver is gone: the destination is switched off until it is configured anew"},
				},
			})
		})
	}
}

// seen reads the messageIds of a body, a message or a list of them.
func seen(r *destinationtest.Request) []string {
	type message struct{ MessageID string }
	var list []message
	if json.Unmarshal(r.Body, &list) != nil {
		list = make([]message, 1)
		_ = json.Unmarshal(r.Body, &list[0])
	}
	ids := make([]string, len(list))
	for i, m := range list {
		ids[i] = m.MessageID
	}
	return ids
}
