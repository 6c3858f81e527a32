package dest_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/dest"
)

func TestTruncate(t *testing.T) {
	const family = "👨‍👩‍👧" // five code points in 18 bytes
	for _, c := range []struct {
		s    string
		most int
		want string
	}{
		{"", 0, ""}, {"", 5, ""}, {"abc", 0, ""}, {"abc", 2, "ab"}, {"abc", 3, "abc"}, {"abc", 4, "abc"}, {"abc", -1, ""}, {"", -1, ""},
		{"ééé", 2, "éé"}, {"ééé", 3, "ééé"}, {"ééé", 5, "ééé"}, {"e\u0301x", 1, "e"}, {"e\u0301x", 2, "e\u0301"},
		{family, 1, "👨"}, {family, 4, "👨‍👩‍"}, {family, 5, family}, {family + "!", 5, family}, {"日本語", 1, "日"},
		{"\xff\xff\xff", 2, "\xff\xff"}, {"a\xe2\x82", 1, "a"}, {"a\xe2\x82b", 3, "a\xe2\x82"}, {"abc", 1 << 62, "abc"},
	} {
		require.Equal(t, c.want, dest.Truncate(c.s, c.most), "%q to %d", c.s, c.most)
	}
}

func TestTruncateBytes(t *testing.T) {
	for _, c := range []struct {
		s    string
		most int
		want string
	}{
		{"", 0, ""}, {"abc", 0, ""}, {"abc", 2, "ab"}, {"abc", 3, "abc"}, {"abc", 99, "abc"}, {"abc", -1, ""}, {"", -1, ""}, {"é", 1, ""},
		{"éé", 2, "é"}, {"éé", 3, "é"}, {"éé", 4, "éé"}, {"a😀", 4, "a"}, {"a😀", 5, "a😀"}, {"😀😀", 7, "😀"}, {"e\u0301x", 2, "e"}, {"e\u0301x", 3, "e\u0301"},
	} {
		require.Equal(t, c.want, dest.TruncateBytes(c.s, c.most), "%q to %d", c.s, c.most)
	}
}

// Cutting a valid text at any place leaves a valid prefix, as long as it may be.
func TestTruncateAnywhere(t *testing.T) {
	const s = "aé日😀e\u0301\u200d\u0000z"
	for n := range len(s) + 2 {
		for _, cut := range []string{dest.Truncate(s, n), dest.TruncateBytes(s, n)} {
			require.True(t, utf8.ValidString(cut))
			require.True(t, strings.HasPrefix(s, cut))
		}
		require.Equal(t, min(n, utf8.RuneCountInString(s)), utf8.RuneCountInString(dest.Truncate(s, n)))
		cut := dest.TruncateBytes(s, n)
		require.LessOrEqual(t, len(cut), n)
		if _, next := utf8.DecodeRuneInString(s[len(cut):]); len(cut) < len(s) {
			require.Greater(t, len(cut)+next, n, "one more character had fit")
		}
	}
}
