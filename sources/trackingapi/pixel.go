package trackingapi

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// gif is one transparent point, which is what every pixel is answered with.
var gif = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" + // a palette of two colours
	"!\xf9\x04\x01\x00\x00\x00\x00" + // the first of them is transparent
	",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// The parameters of a pixel that are no part of its message.
const (
	paramData      = "data"     // the encoded form
	paramWriteKey  = "writeKey" // of the plain form, and of an encoded message without one
	paramSignature = "sig"
)

// Bounds of a pixel in the plain form.
const (
	maxPixelNames = 200
	maxPixelDepth = 10
)

var (
	errPixelData  = errors.New("the data of the pixel is not the base64 of a JSON object")
	errPixelSize  = errors.New("the data of the pixel is too large")
	errPixelNames = errors.New("the pixel has too many parameters")
)

// pixelMessage is the message that the query of a pixel holds, and its write key. The
// message is JSON that begins with the type, which the path has said; a sentAt is left
// out, since the time at which somebody wrote a mail says nothing about a clock.
func pixelMessage(query url.Values, call analytics.Call) (message []byte, writeKey string, err error) {
	writeKey = last(query[paramWriteKey])
	if data, encoded := query[paramData]; encoded {
		message, inside, err := encodedPixel(last(data), call)
		if inside != "" {
			writeKey = inside
		}
		return message, writeKey, err
	}
	message, err = plainPixel(query, call)
	return message, writeKey, err
}

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// notOfPixels are the members that a pixel's message does not take from its query.
func notOfPixels(key string) bool { return key == "type" || key == "sentAt" || key == "writeKey" }

// encodedPixel reads the base64 of a message, in either alphabet, padded or not. A plus
// that was not escaped has become a space.
func encodedPixel(data string, call analytics.Call) (message []byte, writeKey string, err error) {
	data = strings.TrimRight(strings.TrimSpace(data), "=")
	if len(data) > base64.RawStdEncoding.EncodedLen(maxMessageBytes) {
		return nil, "", errPixelSize
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(data))
	object := text(bytes.TrimPrefix(decoded, byteOrderMark))
	if err != nil || !jsontext.Valid(object) {
		return nil, "", errPixelData
	}
	b := jsontext.AppendString([]byte(`{"type":`), string(call))
	ok := jsontext.EachMember(object, func(key, value string) bool {
		if key == paramWriteKey {
			writeKey = str(value)
		}
		if !notOfPixels(key) {
			b = append(jsontext.AppendKey(append(b, ','), key), value...)
		}
		return true
	})
	if !ok {
		return nil, "", errPixelData
	}
	return append(b, '}'), writeKey, nil
}

// plainPixel makes a message of parameters: dots in names build objects, values are
// texts. A destination with a dot in its name needs the encoded form.
func plainPixel(query url.Values, call analytics.Call) ([]byte, error) {
	if len(query) > maxPixelNames {
		return nil, errPixelNames
	}
	message := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(query)) { // which plant relies on
		if notOfPixels(name) || name == paramSignature {
			continue
		}
		if err := plant(message, name, last(query[name])); err != nil {
			return nil, err
		}
	}
	b := jsontext.AppendString([]byte(`{"type":`), string(call))
	for _, key := range slices.Sorted(maps.Keys(message)) {
		b = appendTree(jsontext.AppendKey(append(b, ','), key), message[key])
	}
	return append(b, '}'), nil
}

// plant sets the value at the end of a dotted name. Names come in order.
func plant(tree map[string]any, name, value string) error {
	refuse := func(reason string) error {
		return &analytics.InvalidError{Field: clipped(name), Reason: reason}
	}
	parts := strings.Split(name, ".")
	switch {
	case slices.Contains(parts, ""):
		return refuse("has an empty part in its name")
	case len(parts) > maxPixelDepth:
		return refuse(fmt.Sprintf("has more than %d parts in its name", maxPixelDepth))
	case notOfPixels(parts[0]):
		return refuse("cannot have parts")
	}
	inner := parts[:len(parts)-1]
	for _, part := range inner {
		next, found := tree[part]
		if !found {
			next = map[string]any{}
			tree[part] = next
		}
		object, ok := next.(map[string]any)
		if !ok {
			return refuse("is a value and an object at once")
		}
		tree = object
	}
	leaf := parts[len(inner)] // which is free: a name comes before those that go on from it
	tree[leaf] = value
	if (value == "true" || value == "false") && isSwitch(parts) {
		tree[leaf] = value == "true"
	}
	return nil
}

// isSwitch tells where a text would be misread: "false" in integrations, as a text,
// would switch a destination on.
func isSwitch(parts []string) bool {
	if parts[0] != "context" {
		return parts[0] == "integrations"
	}
	return slices.Equal(parts[1:], []string{"direct"}) ||
		len(parts) == 4 && parts[1] == "consent" && parts[2] == "categoryPreferences"
}

// clipped is a name that somebody else has chosen, for an error.
func clipped(name string) string {
	const most = 100
	if len(name) > most {
		name = name[:most]
	}
	return strings.ToValidUTF8(name, "\ufffd")
}

// appendTree writes texts, switches and objects of them, keys in order.
func appendTree(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return jsontext.AppendString(b, v)
	case bool:
		return fmt.Append(b, v)
	}
	tree := v.(map[string]any) // plant makes nothing else
	b = append(b, '{')
	for i, key := range slices.Sorted(maps.Keys(tree)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTree(jsontext.AppendKey(b, key), tree[key])
	}
	return append(b, '}')
}

// PixelRules say whom to believe about pixels, whose address anyone can make up. A
// signature covers the type of the call and all parameters; it neither ends nor keeps a
// pixel from being fetched again.
type PixelRules struct {
	// Secret signs pixels and checks their signatures. Empty: they are not checked.
	Secret []byte

	// Require refuses pixels without a signature. Else they are accepted, and only those
	// with a wrong one are not.
	Require bool
}

var (
	errUnsigned  = errors.New("the pixel is not signed")
	errSignature = errors.New("the signature of the pixel is wrong")
)

// Verify checks the address of a pixel, in constant time as far as the signature goes.
// It does not matter in which order the parameters are and how they are escaped: mail
// programs and proxies change both. The path counts from its last element only.
func (p PixelRules) Verify(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errSignature
	}
	given := query[paramSignature]
	switch {
	case len(given) == 0 && p.Require, len(p.Secret) == 0 && p.Require:
		return errUnsigned
	case len(given) == 0, len(p.Secret) == 0:
		return nil
	case len(given) > 1:
		return errSignature
	}
	want := p.sign(path.Base(u.Path), query)
	if !hmac.Equal([]byte(given[0]), []byte(want)) {
		return errSignature
	}
	return nil
}

// sign is the signature of a pixel, whether the query has one or not.
func (p PixelRules) sign(call string, query url.Values) string {
	signed := maps.Clone(query)
	delete(signed, paramSignature)
	mac := hmac.New(sha256.New, p.Secret)
	mac.Write([]byte("pixel\n" + call + "\n" + signed.Encode()))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
