package dest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

func TestEmail(t *testing.T) {
	for in, want := range map[string]string{
		"ann@example.com": "ann@example.com", " \t\u00a0Ann+tag@Example.COM\n": "Ann+tag@Example.COM", "a@b.c": "a@b.c", "o'h@x-y.co.uk": "o'h@x-y.co.uk",
		"": "", " ": "", "ann": "", "@": "", "@example.com": "", "ann@": "", "ann@example": "", "ann@.com": "", "ann@example.": "", "a@b@c.d": "",
		"a b@c.de": "", "a@b c.de": "", "a@b.c\nd": "", "änn@example.com": "", "ann@exämple.com": "", "a\x00@b.c": "", "a@b.c\x7fd": "",
		"ann.example.com": "", "a@@b.c": "", "Ann <a@b.c>": "",
	} {
		got, ok := dest.Email(dest.Text(in))
		require.Equal(t, want != "", ok, "%q", in)
		require.Equal(t, want, got, "%q", in)
	}
	for _, v := range []any{nil, 5, true, []any{"a@b.c"}, map[string]any{"a@b.c": "a@b.c"}} {
		_, ok := dest.Email(dest.Of(v))
		require.False(t, ok)
	}
}

func TestFirstEmail(t *testing.T) {
	e := desttest.Event(t, `{"userId":"u@x.org","properties":{"a":"no","b":7,"c":" b@example.com "},"traits":{"email":"t@example.com"}}`)
	got, ok := dest.FirstEmail(e, dest.At("properties.gone"), dest.At("properties.a"), dest.At("properties.b"), dest.At("properties.c"), dest.At("traits.email"))
	require.True(t, ok)
	require.Equal(t, "b@example.com", got)
	got, ok = dest.FirstEmail(e, dest.At("userId"))
	require.True(t, ok)
	require.Equal(t, "u@x.org", got)
	_, ok = dest.FirstEmail(e, dest.At("properties.a"))
	require.False(t, ok)
	_, ok = dest.FirstEmail(e)
	require.False(t, ok)
}

func TestPhone(t *testing.T) {
	for in, want := range map[string]string{
		"+4922112345678": "+4922112345678", " +1 (415) 555-0100 ": "+14155550100", "+49.221\u00a0123[45]-67": "+492211234567",
		"+1234567": "+1234567", "+123456789012345": "+123456789012345",
		"+123456": "", "+1234567890123456": "", "14155550100": "", "004915112345": "", "0171 1234567": "", "+": "", "": "", "++4915112345": "",
		"+49151x12345": "", "+49151/12345": "", "4+915112345": "", "+٤٩١٥١١٢٣٤٥": "", "tel:+4915112345": "", "+49 151 12345 ext 7": "",
		"+01711234567": "", // no country begins with 0
	} {
		got, ok := dest.Phone(dest.Text(in))
		require.Equal(t, want != "", ok, "%q", in)
		require.Equal(t, want, got, "%q", in)
	}
	_, ok := dest.Phone(dest.Of(json.Number("4922112345678")))
	require.False(t, ok)
}

func TestHash(t *testing.T) {
	const ofEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	require.Equal(t, ofEmpty, dest.Hash(""))
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", dest.Hash("abc"))
	require.True(t, dest.Hashed(ofEmpty))
	require.True(t, dest.Hashed(strings.ToUpper(ofEmpty)))
	for _, s := range []string{"", ofEmpty[1:], ofEmpty + "0", ofEmpty[:63] + "g", strings.Repeat("é", 32)} {
		require.False(t, dest.Hashed(s), s)
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct {
		traits map[string]any
		want   string
	}{
		{nil, ""}, {map[string]any{}, ""}, {map[string]any{"name": " Ann Lee "}, "Ann Lee"}, {map[string]any{"name": "Ann", "firstName": "Bo"}, "Ann"},
		{map[string]any{"firstName": "Ann", "lastName": "Lee"}, "Ann Lee"}, {map[string]any{"first_name": "Ann", "last_name": "Lee"}, "Ann Lee"},
		{map[string]any{"name": "  ", "firstName": "Ann"}, "Ann"}, {map[string]any{"name": 5, "lastName": "Lee"}, "Lee"},
		{map[string]any{"name": "", "firstName": "", "first_name": "Ann"}, "Ann"}, {map[string]any{"firstName": " Ann ", "lastName": " Lee "}, "Ann Lee"},
		{map[string]any{"firstName": []any{"Ann"}, "lastName": nil}, ""}, {map[string]any{"firstName": " ", "lastName": "\t"}, ""},
	} {
		require.Equal(t, c.want, dest.Name(c.traits), "%v", c.traits)
	}
}

func TestPersonal(t *testing.T) {
	for _, key := range []string{"email", "phone", "firstName", "first_name", "firstname", "lastName", "birthday", "address", "gender", "zip"} {
		require.True(t, dest.Personal(key), key)
	}
	for _, key := range []string{"", "plan", "name", "Email", "emails"} {
		require.False(t, dest.Personal(key), key)
	}
}

func TestIsUUID(t *testing.T) {
	for s, want := range map[string]bool{
		"7c9e6679-7425-40de-944b-e07fc1f90ae7": true, "7C9E6679-7425-40DE-944B-E07FC1F90AE7": true, "00000000-0000-0000-0000-000000000000": true,
		"7c9e6679742540de944be07fc1f90ae7": false, "{7c9e6679-7425-40de-944b-e07fc1f90ae7}": false, "7c9e6679-7425-40de-944b-e07fc1f90aeg": false,
		"urn:uuid:7c9e6679-7425-40de-944b-e07fc1f90ae7": false, "7c9e66797-425-40de-944b-e07fc1f90ae7": false, "": false, strings.Repeat("-", 36): false,
	} {
		require.Equal(t, want, dest.IsUUID(s), s)
	}
}
