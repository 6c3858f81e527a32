package sdk

import (
	"bytes"
	"encoding/json"

	segmentio "github.com/segmentio/encoding/json"
	"github.com/tributary-dev/analytics"
)

// Encoder encodes the properties of the work to the end of a buffer that is used
// again.
type Encoder struct {
	Name   string
	Append func(b []byte) ([]byte, error)
}

// Encoders returns those that can be called from here. Ours neither sorts keys nor
// escapes for HTML: segmentio/encoding is there with the same settings, and with its
// defaults; encoding/json always sorts. What the call uses of ours is not exported:
// BenchmarkEncodeProperties of the root measures it, on the same map. Event.AppendJSON
// is what plugins and destinations use, and has an event around the properties.
func Encoders() []Encoder {
	properties := Properties()
	event := &analytics.Event{Type: analytics.CallTrack, Properties: properties}
	return []Encoder{
		{"segmentio/encoding", func(b []byte) ([]byte, error) { return segmentio.Append(b, properties, 0) }},
		{"segmentio/encoding, keys sorted, HTML escaped", func(b []byte) ([]byte, error) {
			return segmentio.Append(b, properties, segmentio.SortMapKeys|segmentio.EscapeHTML)
		}},
		{"encoding/json", func(b []byte) ([]byte, error) {
			buf := bytes.NewBuffer(b)
			enc := json.NewEncoder(buf)
			enc.SetEscapeHTML(false)
			err := enc.Encode(properties)
			return buf.Bytes(), err
		}},
		{"analytics, Event.AppendJSON", event.AppendJSON},
	}
}
