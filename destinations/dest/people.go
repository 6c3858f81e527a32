package dest

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/google/uuid"

	"github.com/tributary-dev/analytics"
)

// Email returns an address without the blanks around it. It is one if it is ASCII
// without blanks inside and has one @ and a dot behind that.
func Email(v Value) (string, bool) {
	s, ok := v.Text()
	if !ok {
		return "", false
	}
	s = strings.TrimSpace(s)
	user, host, ok := strings.Cut(s, "@")
	if !ok || user == "" || strings.Contains(host, "@") {
		return "", false
	}
	if dot := strings.IndexByte(host, '.'); dot <= 0 || dot == len(host)-1 {
		return "", false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return "", false
		}
	}
	return s, true
}

// FirstEmail returns the first of the places that holds a valid address.
func FirstEmail(e *analytics.Event, paths ...Path) (string, bool) {
	for _, p := range paths {
		if s, ok := Email(p.In(e)); ok {
			return s, true
		}
	}
	return "", false
}

// Phone returns a number as E.164 has it, + and 7 to 15 digits, with blanks, brackets,
// dots and hyphens taken out. A number without its country, which never begins with 0,
// is none.
func Phone(v Value) (string, bool) {
	s, ok := v.Text()
	if !ok {
		return "", false
	}
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\u00a0()[].-", r) {
			return -1
		}
		return r
	}, s)
	digits, ok := strings.CutPrefix(s, "+")
	if !ok || len(digits) < 7 || len(digits) > 15 || digits[0] == '0' || !isDigits(digits) {
		return "", false
	}
	return s, true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Hashed tells whether s is a SHA-256 in hex already.
func Hashed(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

// Hash returns the SHA-256 of s in lower-case hex.
func Hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Name returns the name of the person whose traits these are: name, else first and
// last name, without blanks around them; empty if there is none.
func Name(traits map[string]any) string {
	if s, ok := Of(traits[analytics.TraitName]).Text(); ok && strings.TrimSpace(s) != "" {
		return strings.TrimSpace(s)
	}
	first, _ := trait(traits, analytics.TraitFirstName, "first_name").Text()
	last, _ := trait(traits, analytics.TraitLastName, "last_name").Text()
	return strings.TrimSpace(strings.TrimSpace(first) + " " + strings.TrimSpace(last))
}

func trait(traits map[string]any, keys ...string) Value {
	for _, k := range keys {
		if v := Of(traits[k]); !v.Empty() {
			return v
		}
	}
	return Value{}
}

var personal = Keys("address", "birthday", "email", "firstName", "first_name", "firstname", "gender",
	"lastName", "last_name", "lastname", "phone", "zip")

// Personal tells whether a property of this name is about a person, by the list that
// ad and web analytics tools forbid.
func Personal(key string) bool { return personal(key) }

// IsUUID tells whether s is a UUID in its usual form of 36 characters.
func IsUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }
