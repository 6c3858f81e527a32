package archive_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
)

// What is in a file stays what it is: a filter that was written by another version.
func TestFiltersAreTheSameForEver(t *testing.T) {
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir()})
	require.NoError(t, deliver(t, d, 0, track("m-0", "user-1"), `{"type":"page","messageId":"m-1","anonymousId":"visitor-1"}`,
		`{"type":"alias","messageId":"m-2","userId":"user-2","previousId":"former"}`))
	require.NoError(t, d.Close(t.Context()))
	var manifest struct{ IDs string }
	require.NoError(t, json.Unmarshal(m.files[m.keys()[0]], &manifest))
	require.Equal(t, goldenFilter, manifest.IDs)

	var f archive.Filter
	require.NoError(t, f.UnmarshalText([]byte(goldenFilter)))
	require.True(t, f.HasUser("user-1") && f.HasUser("user-2") && f.HasUser("former"))
	require.True(t, f.HasAnonymous("visitor-1") && f.HasAnonymous("former"))
	require.False(t, f.HasUser("visitor-1") || f.HasAnonymous("user-1") || f.HasUser("user-3"))
}

const goldenFilter = "IAFIAAAAAAiABAIAAAQAAAAAAAAAIgBAAIABAAABKACAAAAICAAgAAIAQAEAAACQACAAAAAAABUQAAAABgAAAA=="

func TestFiltersThatAreNone(t *testing.T) {
	var f archive.Filter
	require.True(t, f.HasUser("anybody"), "without a filter nobody can be left out")
	for _, text := range []string{"", "!", "AAAA", string(make([]byte, 100))} {
		require.Error(t, f.UnmarshalText([]byte(text)), "%q", text)
	}
}

// Beyond the table the filter takes over, and it still has everybody.
func TestFiltersOfManyIDs(t *testing.T) {
	for _, n := range []int{0, 1, 100, 5000, 300_000, 600_000} {
		f := archive.FilterOf(n, func(i int) string { return fmt.Sprint("user-", i/2*2) }) // each twice, and back to back
		wrong := 0
		for i := 0; i < n; i += 2 {
			require.True(t, f.HasUser(fmt.Sprint("user-", i)))
		}
		const strangers = 50_000
		for i := range strangers {
			if f.HasUser(fmt.Sprint("stranger-", i)) {
				wrong++
			}
		}
		require.Less(t, wrong, strangers/100, "%d ids", n/2)
		raw, err := f.MarshalText()
		require.NoError(t, err)
		require.LessOrEqual(t, len(raw), 100+n/2*20*4/3/8*2, "%d ids: more than twice the bits that they need", n/2)
	}
}
