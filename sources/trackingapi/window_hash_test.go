package trackingapi_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// sipVectors are those of the authors' reference implementation for texts of so many
// bytes: 0, 1, 2 … under the key 0, 1 … 15.
var sipVectors = map[int]string{
	0:  "a3817f04ba25a8e66df67214c7550293",
	8:  "3b62a9ba6258f5610f83e264f31497b4",
	16: "6ee2a4ca67b054bbfd3315bf85230577",
	24: "2db479ae78bd50d8882a8a178a6132ad",
	32: "7c3956ca5eeafc3e363e9d556546eb68",
	40: "df6a301e95c95dad97ae0cc8c6913bd8",
	48: "f7e5aef549f782cf379055a608269b16",
	56: "1938f2cf72d54ee97e94166fa91d2a36",
}

func TestWindowHashIsSipHash(t *testing.T) {
	key := [16]byte(count(16))
	for n, want := range sipVectors {
		got := trackingapi.WindowSip(key, string(count(n)))
		require.Equal(t, want, hex.EncodeToString(got[:]), "%d bytes", n)
	}
}

func TestWindowHashTellsPairsApart(t *testing.T) {
	key := [16]byte{1}
	seen := map[[2]uint64]string{}
	for _, source := range []string{"", "\x00", "a", "abcdefgh", "abcdefgha", "abcdefgh\x00"} {
		for _, id := range []string{"", "\x00", "a", "abcdefgh", "abcdefgha", "aabcdefgh", "abcdefgh\x00"} {
			sum := trackingapi.WindowSum(key, source, id)
			require.Emptyf(t, seen[sum], "%q %q", source, id)
			seen[sum] = source + "/" + id
		}
	}
	require.NotEqual(t, trackingapi.WindowSum([16]byte{1}, "a", "b"), trackingapi.WindowSum([16]byte{2}, "a", "b"))
}

func count(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}
