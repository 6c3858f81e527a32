package clients_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// object is JSON, with the digits of its numbers.
type object = map[string]any

func decode(t *testing.T, text string) (o object) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&o), text)
	return o
}

const most = 500

// messages are those of the list, n in all, each with an id of its own.
func messages(t *testing.T, n int) []object {
	t.Helper()
	text, err := os.ReadFile("testdata/messages.json")
	require.NoError(t, err)
	var list []json.RawMessage
	require.NoError(t, json.Unmarshal(text, &list))
	all := make([]object, n)
	for i := range all {
		all[i] = decode(t, string(list[i%len(list)]))
		all[i]["messageId"] = fmt.Sprintf("m-%04d", i+1)
	}
	return all
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

// into reads the fields of a message that T has.
func into[T any](t *testing.T, m object) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(encode(t, m))))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	return v
}

// instant is a time as text, in one form for all.
func instant(t *testing.T, v any) time.Time {
	t.Helper()
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return at.UTC()
}

func id(m object) string {
	text, _ := m["messageId"].(string)
	return text
}
