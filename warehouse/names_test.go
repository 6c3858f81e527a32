package warehouse

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSnake(t *testing.T) {
	for in, want := range map[string]string{
		"Order Completed": "order_completed", "orderCompleted": "order_completed", "OrderID": "order_id", "userIDs": "user_ids",
		"2FA On": "2fa_on", "price($)": "price", "camelCaseABC": "camel_case_abc", "mixed-Case_Name": "mixed_case_name",
		"URLPath": "urlpath", "iOSVersion": "i_osversion", "HTTPServer2Go": "httpserver2_go", "base64Encode": "base64_encode",
		"snake_2X": "snake_2x", "a__b": "a_b", "_private": "private", "trailing_": "trailing", "naïve café": "na_ve_caf",
		"日本": "", "___": "", "": "", "sample2Text": "sample2_text", "a_b": "a_b", "A": "a", "aB": "a_b", "a1B": "a1_b",
	} {
		require.Equal(t, want, snake(in), "%q", in)
	}
}

func TestIdentifier(t *testing.T) {
	require.Equal(t, "_2fa_on", identifier("2fa_on", 63))
	require.Equal(t, "_order", identifier("order", 63))
	require.Equal(t, "orders", identifier("orders", 63))
	require.Empty(t, identifier("", 63))

	long := strings.Repeat("a", 64)
	cut := identifier(long, 63)
	require.Len(t, cut, 63)
	require.Regexp(t, `^a{54}_[0-9a-f]{8}$`, cut)
	require.NotEqual(t, cut, identifier(long+"a", 63), "two long names are two columns")
	require.Equal(t, long[:63], identifier(long[:63], 63))
}

func FuzzIdentifier(f *testing.F) {
	for _, s := range []string{"Order Completed", "2FA On", "日本", "a__b", strings.Repeat("Order", 40), "select", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := identifier(snake(s), 63)
		require.Regexp(t, `^([a-z_][a-z0-9_]{0,62})?$`, name)
		require.Equal(t, snake(s), snake(snake(s)), "a name is its own")
	})
}
