package trackingapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/quick"

	"github.com/stretchr/testify/require"
)

// TestAnyBatchIsTheSameInTheLog: the multiset of the messages that were sent is that of
// the messages in the log.
func TestAnyBatchIsTheSameInTheLog(t *testing.T) {
	f := newFixture(t)
	n := 0
	property := func(seed uint64) bool {
		n++
		r := rand.New(rand.NewPCG(seed, 1))
		var want, messages []string
		for i := range r.IntN(40) {
			m := randomMessage(r, fmt.Sprintf("%d-%d", n, i))
			want = append(want, canonical(t, m))
			messages = append(messages, m)
			if r.IntN(5) == 0 {
				messages = append(messages, m) // again
			}
		}
		if len(messages) == 0 {
			return true
		}
		r.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
		f.accepted(f.post("/v1/batch", `{"sentAt":null,"batch":[`+strings.Join(messages, " ,\n")+`]}`))
		var got []string
		for _, raw := range f.raw() {
			got = append(got, canonical(t, raw))
		}
		require.Equal(t, sortedCopy(want), sortedCopy(got))
		return len(f.codes()) == 0
	}
	require.NoError(t, quick.Check(property, &quick.Config{MaxCount: 300}))
}

// canonical is a message without what a receiver adds, with its keys in order.
func canonical(t testing.TB, raw string) string {
	m := decoded(t, raw)
	for _, name := range []string{"receivedAt", "originalTimestamp"} {
		delete(m, name)
	}
	b, err := json.Marshal(m)
	require.NoError(t, err)
	return string(b)
}

// randomMessage is a valid one of a server's library, which has all that no receiver adds.
func randomMessage(r *rand.Rand, id string) string {
	kinds := []string{
		`"type":"track","event":"E","properties":%s`, `"type":"identify","traits":%s`, `"type":"page","name":"P","properties":%s`,
		`"type":"screen","name":"S","properties":%s`, `"type":"group","groupId":"g","traits":%s`, `"type":"alias","previousId":"p","x":%s`,
	}
	head := fmt.Sprintf(`"messageId":%q,"userId":"u","timestamp":"2026-01-02T03:04:05.678Z","context":{"direct":false,"x":%s}`, id, randomJSON(r, 2))
	members := []string{head, fmt.Sprintf(kinds[r.IntN(len(kinds))], randomObject(r, 3))}
	for i := range r.IntN(3) {
		members = append(members, fmt.Sprintf(`"extra %d":%s`, i, randomJSON(r, 3)))
	}
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members, ",") + "}"
}

func randomObject(r *rand.Rand, depth int) string {
	var members []string
	for i := range r.IntN(4) {
		members = append(members, fmt.Sprintf(`"k%d%s": %s`, i, []string{"", "ü", `\u00e9`, `\"`, " "}[r.IntN(5)], randomJSON(r, depth-1)))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func randomJSON(r *rand.Rand, depth int) string {
	scalars := []string{"null", "true", "false", "0", "-1", "19.90", "1e3", "9007199254740993", "0.1", `""`, `"a"`, `"\u0000\n\t"`, `"\ud83d\ude00"`, `"<&>\u2028"`, `"ü"`, `" "`}
	switch n := r.IntN(10); {
	case depth > 0 && n < 2:
		return randomObject(r, depth)
	case depth > 0 && n < 4:
		var items []string
		for range r.IntN(4) {
			items = append(items, randomJSON(r, depth-1))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return scalars[r.IntN(len(scalars))]
}

// FuzzBatch: whatever comes, the answer is one of two, what is in the log is JSON, and
// nothing is there that was not in the batch.
func FuzzBatch(f *testing.F) {
	for _, bad := range badMessages() {
		f.Add("/v1/batch", `{"batch":[`+bad.message+`]}`, false)
	}
	whole := batchOf("m-1", "m-2")
	f.Add("/v1/b", whole, true)
	f.Add("/v1/track", `{"event":"E","userId":"u-1","context":{"ip":1},"sentAt":"2026-01-01T00:00:00+14:00"}`, false)
	f.Add("/v1/batch", `{"batch":[{"type":"track","event":"E","userId":"u","messageId":"\ud800"}],"context":{"a":{}},"integrations":{"All":false},"timestamp":"0000-00-00"}`, false)
	for _, body := range faults(whole) {
		f.Add("/v1/batch", body, false)
	}
	f.Fuzz(func(t *testing.T, path, body string, packed bool) {
		single := strings.HasSuffix(path, "track")
		path = map[bool]string{true: "/v1/track", false: "/v1/batch"}[single]
		fix := newFixture(t)
		h := basic(fixtureKey + ":")
		sent := body
		if packed {
			h["Content-Encoding"] = []string{"gzip"}
			sent = zip(body)
		}
		answer := fix.do(call{http.MethodPost, path, h, strings.NewReader(sent)})
		events, codes := fix.events(), fix.codes()
		if answer.status == http.StatusBadRequest {
			require.Empty(t, events)
			return
		}
		fix.accepted(answer)
		body = strings.TrimPrefix(body, bom)
		if strings.Count(body, "[")+strings.Count(body, "{") > 10_000 {
			return // deeper than encoding/json goes
		}
		require.True(t, json.Valid([]byte(body)), "taken and no JSON: %q", body)
		if single {
			require.LessOrEqual(t, len(events)+len(codes), 1)
			return
		}
		var envelope map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(body), &envelope))
		var batch []json.RawMessage
		require.NoError(t, json.Unmarshal(envelope["batch"], &batch))
		require.LessOrEqual(t, len(events)+len(codes), max(len(batch), 1)) // of an empty one: its code
	})
}

// FuzzToken: nobody gets in but with the key or the token.
func FuzzToken(f *testing.F) {
	for _, c := range allCredentials() {
		f.Add(c.header.Get("Authorization"), c.body)
	}
	f.Add("basic "+base64.StdEncoding.EncodeToString([]byte(fixtureKey+":x:y")), "")
	f.Add("Bearer a.b.c", `,"writeKey":"`+limitedKey+`"`)
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.", `,"writeKey":"`+fixtureKey+`"`)
	f.Fuzz(func(t *testing.T, authorization, member string) {
		fix := newFixture(t)
		answer := fix.do(call{http.MethodPost, "/v1/track", http.Header{"Authorization": {authorization}},
			strings.NewReader(`{"event":"E","userId":"u-1"` + member + `}`)})
		require.Contains(t, []int{200, 400, 401}, answer.status)
		if len(fix.ids()) == 0 {
			return
		}
		require.Equal(t, 200, answer.status)
		_, encoded, _ := strings.Cut(authorization, " ")
		plain, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		raw, _ := base64.RawStdEncoding.DecodeString(strings.TrimSpace(encoded))
		known := string(plain) + string(raw) + member
		var fields struct {
			WriteKey string `json:"writeKey"`
		}
		_ = json.Unmarshal([]byte(`{"x":1`+member+`}`), &fields)
		known += fields.WriteKey
		require.True(t, strings.Contains(known, fixtureKey) || strings.Contains(known, limitedKey), "%q got in", authorization)
	})
}

// FuzzSet: objects that get in are objects.
func FuzzSet(f *testing.F) {
	f.Add(`{"collection":"rooms","objects":[{"id":"r-1","properties":{"name":"Blue","beds":2,"free":true}}]}`)
	f.Add(`{"collection":"Rooms","objects":[{"id":"r-1","properties":{}}]}`)
	f.Add(`{"collection":"rooms","objects":[{"id":1,"properties":{"a":[1]}},null,7,{"id":"","properties":[]}]}`)
	f.Add(`{"collection":"rooms","objects":{}}`)
	f.Add(`{"collection":"rooms","write_key":"` + fixtureKey + `","source":"project","objects":[]}`)
	f.Fuzz(func(t *testing.T, body string) {
		fix := newFixture(t)
		answer := fix.post("/v1/set", body)
		require.Contains(t, []int{200, 400, 401}, answer.status) // the body may hold another key
		requireJSON(t, answer)
		for _, e := range fix.events() {
			require.Equal(t, 200, answer.status)
			require.Equal(t, "object", e["type"])
			require.Regexp(t, `^[a-z]([a-z_]*[a-z])?$`, e["collection"])
			require.NotEmpty(t, e["id"])
			for _, v := range e["properties"].(map[string]any) {
				switch v.(type) {
				case map[string]any, []any:
					t.Fatalf("an object with a list or an object in it: %s", body)
				}
			}
		}
	})
}

const gif = "GIF89a"

// FuzzPixel: the answer is a picture, whatever was asked.
func FuzzPixel(f *testing.F) {
	message := `{"writeKey":"` + fixtureKey + `","userId":"u-1","event":"Email Opened","properties":{"subject":"Hello"}}`
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		f.Add("track", "data="+url.QueryEscape(e.EncodeToString([]byte(message))))
	}
	f.Add("track", "writeKey="+fixtureKey+"&userId=u-1&event=Opened&properties.subject=Hello&properties.a.b=1&properties=x")
	f.Add("identify", "writeKey="+fixtureKey+"&anonymousId=a-1&traits.plan=pro&traits.plan.x=1&.=1&..=2&a.=3")
	f.Add("nonsense", "data=%%%&data=bnVsbA&writeKey=")
	f.Fuzz(func(t *testing.T, kind, query string) {
		fix := newFixture(t)
		kind = url.PathEscape(strings.Map(func(r rune) rune {
			if r < 'a' || r > 'z' {
				return -1
			}
			return r
		}, kind))
		if !map[string]bool{"identify": true, "track": true, "page": true, "screen": true, "group": true, "alias": true}[kind] {
			kind = "track"
		}
		r, err := http.NewRequest(http.MethodGet, "/v1/pixel/"+kind, nil)
		require.NoError(t, err)
		r.URL.RawQuery = query
		w := serve(fix.h, r)
		require.Equal(t, 200, w.status)
		require.Equal(t, "image/gif", w.header.Get("Content-Type"))
		require.True(t, strings.HasPrefix(w.body, gif), "a GIF")
		for _, e := range fix.events() {
			require.Equal(t, kind, e["type"])
			require.NotContains(t, e, "writeKey")
		}
	})
}

func TestPixelsAreAlwaysPictures(t *testing.T) {
	f := newFixture(t)
	message := base64.StdEncoding.EncodeToString([]byte(`{"userId":"u-1","event":"Opened","messageId":"m-1"}`))
	for query, ids := range map[string][]string{
		"":                {},
		"data=%%%":        {},
		"data=" + message: {}, // no key
		"writeKey=wk-wrong&data=" + url.QueryEscape(message):                                      {},
		"writeKey=" + fixtureKey + "&data=" + url.QueryEscape(message):                            {"m-1"},
		"writeKey=" + fixtureKey + "&userId=u-1&event=Opened&messageId=m-2&properties.a.b=%C3%BC": {"m-2"},
		"writeKey=" + fixtureKey + "&event=Opened":                                                {},
	} {
		answer := f.do(call{http.MethodGet, "/v1/pixel/track?" + query, http.Header{"User-Agent": {"Mail/1.0"}, "Referer": {"https://mail.example/"}}, nil})
		require.Equal(t, 200, answer.status, query)
		require.Equal(t, "image/gif", answer.header.Get("Content-Type"))
		require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
		require.True(t, strings.HasPrefix(answer.body, gif))
		events := f.events()
		require.Len(t, events, len(ids), query)
		for i, e := range events {
			require.Equal(t, ids[i], e["messageId"])
			c := e["context"].(map[string]any)
			require.Equal(t, "192.0.2.1", c["ip"])
			require.Equal(t, "Mail/1.0", c["userAgent"])
			require.Equal(t, "https://mail.example/", c["page"].(map[string]any)["referrer"])
			require.NotContains(t, e, "sentAt")
			require.NotContains(t, e, "writeKey")
			if ids[i] == "m-2" {
				require.Equal(t, map[string]any{"a": map[string]any{"b": "ü"}}, e["properties"])
			}
		}
	}
	require.NotContains(t, f.logs.String(), fixtureKey)
}
