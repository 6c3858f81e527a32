package catalog

import (
	"cmp"
	"fmt"
	"strings"
)

// Bytes is a size. It is a number in JSON and reads as "512 kB", in powers of ten.
type Bytes int

// String writes the size for people.
func (b Bytes) String() string {
	switch {
	case b >= 1e6 && b%1e5 == 0:
		return fmt.Sprintf("%g MB", float64(b)/1e6)
	case b >= 1e3 && b%1e2 == 0:
		return fmt.Sprintf("%g kB", float64(b)/1e3)
	}
	return fmt.Sprintf("%d B", int(b))
}

// A Rate allows so many requests and items per period of time; a zero count is not
// limited.
type Rate struct {
	Requests int    `json:"requests,omitempty"`
	Items    int    `json:"items,omitempty"`
	Per      string `json:"per"` // "1s"

	// Burst is the most that may go at once after a quiet time; zero: as many as the
	// period allows.
	Burst int `json:"burst,omitempty"`

	// PerGroup applies the rate to each account, address or dataset by itself.
	PerGroup bool `json:"perGroup,omitempty"`
}

// String writes the rate for people.
func (r Rate) String() string {
	var counts []string
	if r.Requests > 0 {
		counts = append(counts, count(r.Requests, "request"))
	}
	if r.Items > 0 {
		counts = append(counts, count(r.Items, "item"))
	}
	text := strings.Join(counts, " and ") + " per " + cmp.Or(periods[r.Per], r.Per)
	if r.Burst > 0 {
		text += fmt.Sprintf(", %d at once", r.Burst)
	}
	if r.PerGroup {
		text += ", for each group"
	}
	return text
}

var periods = map[string]string{"1s": "second", "1m": "minute", "1h": "hour"}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
