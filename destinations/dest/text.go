package dest

import "unicode/utf8"

// Truncate returns s cut to so many characters (code points).
func Truncate(s string, runes int) string {
	if len(s) <= runes {
		return s
	}
	runes = max(runes, 0)
	n := 0
	for i := range s {
		if n == runes {
			return s[:i]
		}
		n++
	}
	return s
}

// TruncateBytes returns s cut to so many bytes, never inside a character.
func TruncateBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	most = max(most, 0)
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
