package trackingapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnvelope(t *testing.T) {
	deeply := strings.Repeat(`[{"a":`, 10_000) + `1` + strings.Repeat(`}]`, 10_000)
	for _, c := range []struct {
		body     string
		fault    error
		messages []string
		count    int
	}{
		{`{}`, nil, nil, 0},
		{` { "batch" : [ 1 , {"a":[]} ] , "x" : null } `, nil, []string{`1`, `{"a":[]}`}, 2},
		{`{"batch":[]}`, nil, nil, 0},
		{`{"batch":[1,2,3,4]}`, nil, []string{`1`, `2`, `3`}, 4},
		{`{"batch":[1],"batch":[2]}`, nil, []string{`2`}, 1},
		{`{"batch":[1],"batch":{}}`, nil, nil, 0},
		{`{"b\u0061tch":[1]}`, nil, []string{`1`}, 1},
		{`{"batch":[1,` + deeply + `,{}]}`, nil, []string{`1`, deeply, `{}`}, 3},
		{`{"x":` + deeply + `,"batch":[1]}`, nil, []string{`1`}, 1},
		{`[]`, errNoObject, nil, 0},
		{`"x"`, errNoObject, nil, 0},
		{deeply, errNoObject, nil, 0},
		{deeply[1:], errMalformed, nil, 0},
		{`[1`, errMalformed, nil, 0},
	} {
		e := newEnvelope(3)
		require.ErrorIs(t, e.read(c.body), c.fault, "%.40s", c.body)
		if c.fault == nil {
			require.Equal(t, c.messages, append([]string(nil), e.messages...), "%.40s", c.body)
			require.Equal(t, c.count, e.count, "%.40s", c.body)
		}
		e.release()
	}
}

// TestEnvelopeTakesJSONOnly: a body with one byte more, less or other is accepted exactly
// if it still is JSON.
func TestEnvelopeTakesJSONOnly(t *testing.T) {
	const body = `{"batch": [{"a":[1,-2.5e3,"x\"\u00e9\\"],"b":{}},[true,false,null],""], "sentAt":"now"} `
	check := func(s string) {
		e := newEnvelope(10)
		defer e.release()
		err := e.read(s)
		require.Equal(t, json.Valid([]byte(s)), err == nil || err == errNoObject, s)
	}
	for i := range body {
		check(body[:i])
		check(body[:i] + body[i+1:])
		for _, c := range "\"\\{}[],:0-.e x\n\x01" {
			check(body[:i] + string(c) + body[i:])
			check(body[:i] + string(c) + body[i+1:])
		}
	}
}
