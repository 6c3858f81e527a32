package analytics

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// receiver is a client that can receive and does not log.
var receiver = &Client{nothing: &surroundings{base: &Context{}}}

var receiveNow = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

// received is what one of the two paths makes of a message.
type received struct {
	event   string
	flags   recordFlags
	err     error
	claimed []string
}

// takePath receives a message on one path.
func takePath(receive func([]byte, *Inbound, *buffer, time.Time) (recordFlags, error), message string, in Inbound) (r received) {
	refuse := in.Claim
	in.Claim = func(id string) bool {
		r.claimed = append(r.claimed, strings.Clone(id))
		return refuse == nil || refuse(id)
	}
	raw, buf := []byte(message), &buffer{}
	r.flags, r.err = receive(raw, &in, buf, receiveNow)
	r.event = string(buf.b)
	return r
}

// isOrdinary tells whether a message goes the fast path.
func isOrdinary(message string, in *Inbound) bool {
	var p parts
	ok := p.scan(message)
	if ok {
		_, ok = p.complete(in, receiveNow)
	}
	return ok && utf8.ValidString(message)
}

// checkPaths receives a message on both paths, which have to agree. It returns what the
// ordinary way makes of it.
func checkPaths(t *testing.T, message string, in Inbound) received {
	t.Helper()
	fast, odd := takePath(receiver.receive, message, in), takePath(receiver.receiveOdd, message, in)
	if fast.err != nil || odd.err != nil {
		require.Equal(t, faultTexts(odd.err), faultTexts(fast.err), "%q", message)
		require.Len(t, odd.claimed, len(fast.claimed), "%q", message)
		return fast
	}
	require.Equal(t, odd.flags, fast.flags, "flags of %q", message)
	require.True(t, jsontext.Valid(fast.event) && utf8.ValidString(fast.event), "%q became %q", message, fast.event)
	f, o := readEvent(t, fast), readEvent(t, odd)
	if given, ok := o["messageId"].(string); !ok || f["messageId"] != given {
		require.Regexp(t, uuidText, f["messageId"], "%q", message)
		require.Regexp(t, uuidText, o["messageId"], "%q", message)
		delete(f, "messageId")
		delete(o, "messageId")
	}
	require.Equal(t, o, f, "%q", message)
	return fast
}

// readEvent decodes an event and checks what its front and its claim say.
func readEvent(t *testing.T, r received) map[string]any {
	t.Helper()
	v, err := decodeStd(r.event)
	require.NoError(t, err, "%q", r.event)
	m := v.(map[string]any)
	text := func(key string) string { s, _ := m[key].(string); return s }
	require.Equal(t, []string{text("messageId")}, r.claimed)
	h := headerOf([]byte(r.event))
	want := Header{Type: Call(text("type")), MessageID: text("messageId"), UserID: text("userId"), AnonymousID: text("anonymousId")}
	if key := h.nameKey(); key != "" {
		want.Event = text(key)
	}
	require.Equal(t, want, h, "%q", r.event)
	require.Equal(t, r.flags.call(), Call(text("type")).code())
	return m
}

// faultTexts are the texts of an error, sorted: faults are found in the order of a map.
func faultTexts(err error) []string {
	if err == nil {
		return nil
	}
	texts := strings.Split(err.Error(), "\n")
	slices.Sort(texts)
	return texts
}

// deepProperty is a message of which one property nests so many levels below the event.
func deepProperty(levels int) string {
	return `{"type":"track","userId":"u","event":"E","properties":` + strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1) + `}`
}

// unknown is a message with n keys that nobody knows.
func unknown(n int) string {
	b := `{"type":"track","userId":"u","event":"E"`
	for i := range n {
		b += fmt.Sprintf(`,"key %d":%d`, i, i)
	}
	return b + "}"
}

func TestReceivePathsAgree(t *testing.T) {
	const base = `{"type":"track","userId":"u","event":"E"`
	for _, row := range []struct {
		message string
		fast    bool
	}{
		{base + `}`, true},
		{" \t\r\n{ \"type\"\t: \"track\" ,\n\"userId\":\r\"u\", \"event\" : \"E\" } \n", true},
		{`{"userId":"u","event":"E"}`, true}, // the type of the path
		{base + `,"properties":{ "a" : [ 1 , 2.50 , 1e400, -0, 123456789012345678901234567890 ] } }`, true},
		{base + `,"userId":"last"}`, true},
		{`{"type":"page","type":"track","userId":"u","event":1,"event":"E"}`, true},
		{base + `,"properties":{"a":1},"properties":{"b":2}}`, true},
		{base + `,"properties":{"a":1,"a":2}}`, true},
		{base + `,"properties":{"a":1,"\u0061":2}}`, true},
		{base + `,"properties":{"\ud800":"\udc00\ud800","é":"\u00e9"}}`, true},
		{base + `,"writeKey":"w"}`, true},
		{base + `,"writeKey":{"a":[1]},"writeKey":null}`, true},
		{base + `,"receivedAt":[]}`, true},
		{base + `,"receivedAt":"2001-01-01T00:00:00Z"}`, true},
		{base + `,"context":{}}`, true},
		{base + `,"context":{"ip":"1.2.3.4","consent":{}},"context":{}}`, true},
		{base + `,"context":{},"integrations":{},"_metadata":{},"traits":{},"properties":{}}`, true},
		{base + `,"context":{"ip":null,"consent":null,"library":"x","direct":"true","page":{}}}`, true},
		{base + `,"context":{"consent":{}}}`, true},
		{base + `,"context":{"consent":{"categoryPreferences":{}}}}`, true},
		{base + `,"context":{"consent":{"categoryPreferences":{"a":1}}}}`, true},
		{base + `,"context":{"externalIds":[{"id":"1","type":"t"},{}],"userAgentData":{"brands":[]},"screen":{"width":1.0,"height":0,"density":2}}}`, true},
		{base + `,"userId":"\u0000\ud83d\ude00\ud83d","name":"n","category":"c","groupId":"g","previousId":"p"}`, true},
		{base + `,"channel":"server","collection":"c","id":"7","version":2}`, true},
		{base + `,"":0,"é":1,"TYPE":2,"Properties":3}`, true},
		{unknown(16), true},
		{deepProperty(99), true},
		{`{"type":"alias","userId":"u","previousId":"p"}`, true},
		{`{"type":"group","anonymousId":"a","groupId":"g","traits":{"a":null}}`, true},
		{`{"type":"page","anonymousId":"a"}`, true},
		{`{"type":"screen","anonymousId":"a","name":"n"}`, true},
		{`{"type":"identify","userId":"u","traits":{"id":9007199254740993}}`, true},
		{base + `,"timestamp":"20260102T030405Z","sentAt":"2026-01-02","originalTimestamp":"2026-01-02T03:04+02:00"}`, true},
		{base + `,"timestamp":"2026-01-02T03:04:05,123456789-07:00"}`, true},

		{`{"type":"track","us\u0065rId":"u","event":"E"}`, false},
		{`{"type":"tr\u0061ck","userId":"u","event":"E"}`, false},
		{base + `,"typ\u0065":"page"}`, false},
		{base + `,"x":1,"x":2}`, false},
		{base + `,"context":{"cons\u0065nt":{"categoryPreferences":{"a":true}},"\u0069p":"1.2.3.4"}}`, false},
		{unknown(17), false},
		{base + `,"messageId":null}`, false},
		{base + `,"messageId":""}`, false},
		{base + `,"messageId":5}`, false},
		{base + `,"messageId":"\u0041"}`, false},
		{base + `,"context":null}`, false},
		{base + `,"context":"x"}`, false},
		{base + `,"integrations":null,"_metadata":null,"traits":null,"properties":null,"timestamp":null,"sentAt":null,"originalTimestamp":null,"anonymousId":null,"name":null}`, false},
		{base + `,"integrations":[],"traits":1,"properties":"x","timestamp":1,"sentAt":"yesterday","originalTimestamp":"","anonymousId":7,"groupId":false}`, false},
		{base + `,"_metadata":[1]}`, false},
		{base + `,"name":"","category":5}`, false},
		{`{"type":"page","userId":"u","name":"","category":5}`, false},
		{base + `,"anonymousId":""}`, false},
		{base + `,"timestamp":"2026\u002d01-02"}`, false},
		{base + `,"timestamp":"0001-01-01T00:00:00Z"}`, false},
		{base + `,"timestamp":"0000-12-31T23:59:59Z"}`, false},
		{base + `,"timestamp":"9999-12-31T23:59:59-01:00"}`, false},
		{base + `,"timestamp":"2026-02-29T00:00:00Z"}`, false},
		{base + `,"properties":{"a":"` + "\xff\xc3" + `","` + "\xed\xa0\x80" + `":1}}`, false},
		{`{"type":"track","userId":"u","event":""}`, false},
		{`{"type":"track","userId":5,"event":"E"}`, false},
		{`{"type":"track","event":"E"}`, false},
		{`{"type":"track","userId":"u"}`, false},
		{`{"type":"group","userId":"u"}`, false},
		{`{"type":"alias","userId":"u"}`, false},
		{`{"type":"alias","anonymousId":"a","previousId":"p"}`, false},
		{`{"type":"object","collection":"c","id":"1","userId":"u","properties":{}}`, false},
		{`{"type":"Track","userId":"u","event":"E"}`, false},
		{`{"type":null,"userId":"u","event":"E"}`, false},
		{`{"type":"","userId":"u","event":"E"}`, false},
		{deepProperty(100), false},
		{"\ufeff" + base + `}`, false},
		{base + `}x`, false},
		{base + `}{}`, false},
		{base + `}` + "\x00", false},
		{base + `,}`, false},
		{base, false},
		{base + `,"a":tru}`, false},
		{base + "}\f", false},
		{`{}`, false}, {``, false}, {`null`, false}, {`[]`, false}, {`"a"`, false}, {`{`, false}, {`{"a"`, false}, {`{"a":`, false}, {`{"a":1`, false}, {`{"a":1,`, false},
	} {
		for _, in := range []Inbound{{Call: CallTrack}, {Call: CallTrack, IP: "203.0.113.9", SentAt: receiveNow, Timestamp: receiveNow.Add(-time.Hour), ReceivedAt: receiveNow.Add(time.Minute + 9)}} {
			require.Equal(t, row.fast, isOrdinary(row.message, &in), "the path of %q", row.message)
			checkPaths(t, row.message, in)
			in.Claim = func(string) bool { return false }
			checkPaths(t, row.message, in)
		}
		checkPaths(t, row.message, Inbound{})
		checkPaths(t, row.message, Inbound{Call: CallObject})
	}
	for _, doc := range append(documents, deepDocuments()...) {
		checkPaths(t, doc, Inbound{Call: CallTrack})
		checkPaths(t, base+`,"properties":{"a":`+doc+`}}`, Inbound{})
		checkPaths(t, base+`,"x":`+doc+`}`, Inbound{})
		checkPaths(t, base+`,`+doc+`:1}`, Inbound{})
		for _, key := range partNames {
			checkPaths(t, base+`,"`+key+`":`+doc+`}`, Inbound{IP: "203.0.113.9"})
		}
		for _, key := range []string{"ip", "direct", "library", "consent", "x"} {
			checkPaths(t, base+`,"context":{"`+key+`":`+doc+`}}`, Inbound{IP: "203.0.113.9"})
		}
	}
}

// The tables name the same parts.
func TestReceiveKnowsEveryPart(t *testing.T) {
	for i, name := range partNames {
		var p parts
		require.True(t, p.scan(`{"`+name+`":{}}`))
		require.Equal(t, `{}`, p.of[i], name)
		require.Zero(t, p.more, name)
	}
}

// randomMessage makes a message of members that are known to be of interest, most of
// them good ones.
func randomMessage(rng *rand.Rand) string {
	space := func() string { return []string{"", "", "", "", " ", "\n", "\t \r"}[rng.IntN(7)] }
	one := func(list ...string) string { return list[rng.IntN(len(list))] }
	id := func() string { return one(`"u"`, `"u"`, `"a\"b"`, `"é"`, `"\ud83d"`, `""`, `null`, `7`) }
	at := func() string {
		return one(`"2026-01-02T03:04:05.678Z"`, `"2026-01-02T03:04:05Z"`, `"2026-06-30T23:59:59.123456789+05:30"`, `"2026-01-02"`, `"9999-12-31T23:59:59Z"`, `"0001-01-01T00:00:01Z"`, `"x"`, `null`)
	}
	object := func() string {
		return one(`{}`, `{ }`, `{"a":1}`, `{"All":false,"A":{"b":[1,null]}}`, `{"a":"\u00e9","é":1.50}`, `{"a":1,"a":2}`, `{"a":"`+"\xff"+`"}`, `null`, `[]`)
	}
	facts := func() string {
		list := []string{
			`"ip":` + id(), `"direct":` + one("true", "false", "null", `"true"`), `"page":{"url":"https://lee.example/"}`, `"x":` + object(), `"\u0069p":"1.1.1.1"`,
			`"library":` + one(`{"name":"analytics-node"}`, `{"name":"analytics.js","version":"1"}`, `"x"`, `{}`), `"consent":` + one(`{}`, `null`, `{"categoryPreferences":{"a":true}}`),
		}
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return "{" + space() + strings.Join(list[:rng.IntN(4)], ",") + space() + "}"
	}
	members := []func() string{
		func() string {
			return `"type":` + space() + one(`"track"`, `"track"`, `"page"`, `"identify"`, `"group"`, `"alias"`, `"object"`, `null`)
		},
		func() string {
			return `"messageId":` + one(`"m"`, `"m-1"`, `""`, `null`, `"\u006d"`, `5`, strconv.Quote(strings.Repeat("m", 99+rng.IntN(4))))
		},
		func() string { return `"userId":` + id() }, func() string { return `"anonymousId":` + id() },
		func() string { return `"event":` + id() }, func() string { return `"name":` + id() }, func() string { return `"category":` + id() },
		func() string { return `"groupId":` + id() }, func() string { return `"previousId":` + id() },
		func() string { return `"timestamp":` + at() }, func() string { return `"originalTimestamp":` + at() }, func() string { return `"sentAt":` + at() }, func() string { return `"receivedAt":` + at() },
		func() string { return `"properties":` + object() }, func() string { return `"traits":` + object() }, func() string { return `"integrations":` + object() },
		func() string { return `"_metadata":` + object() }, func() string { return `"context":` + one(facts(), facts(), facts(), object()) },
		func() string { return `"writeKey":` + id() }, func() string { return `"channel":` + id() }, func() string { return `"x` + strconv.Itoa(rng.IntN(3)) + `":` + object() },
		func() string { return `"us\u0065rId":` + id() },
	}
	list := []string{`"userId":"u"`, `"event":"E"`, `"groupId":"g"`, `"previousId":"p"`}
	for range rng.IntN(8) {
		list = append(list, members[rng.IntN(len(members))]())
	}
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	b := space() + "{"
	for i, m := range list {
		if i > 0 {
			b += space() + ","
		}
		b += space() + m + space()
	}
	b += "}" + space()
	if rng.IntN(50) == 0 {
		b = b[:rng.IntN(len(b))]
	}
	return b
}

func TestReceivePathsAgreeOnRandomMessages(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	fast, good := 0, 0
	for range 30_000 {
		in := Inbound{Call: CallTrack}
		if rng.IntN(2) == 0 {
			in.IP = "203.0.113.9"
		}
		for _, at := range []*time.Time{&in.SentAt, &in.ReceivedAt, &in.Timestamp} {
			if rng.IntN(3) == 0 {
				*at = receiveNow.Add(time.Duration(rng.Int64N(1e15)))
			}
		}
		message := randomMessage(rng)
		if isOrdinary(message, &in) {
			fast++
		}
		if checkPaths(t, message, in).err == nil {
			good++
		}
	}
	require.Greater(t, fast, 3000)
	require.Greater(t, good-fast, 3000, "what only the other path takes")
}

func FuzzReceive(f *testing.F) {
	rng := rand.New(rand.NewPCG(13, 14))
	for range 100 {
		f.Add(randomMessage(rng), "track", "203.0.113.9", receiveNow.Unix(), receiveNow.Unix()-5, int64(0))
	}
	for _, doc := range documents {
		f.Add(`{"type":"track","userId":"u","event":"E","properties":{"a":`+doc+`}}`, "", "", int64(0), int64(0), int64(0))
	}
	f.Add(unknown(17), "page", "", int64(minTime-1), int64(maxTime+1), int64(maxTime))
	f.Fuzz(func(t *testing.T, message, call, ip string, receivedAt, sentAt, timestamp int64) {
		if len(message) > 1<<10 {
			return
		}
		in := Inbound{Call: Call(call), IP: ip}
		for _, one := range []struct {
			to  *time.Time
			sec int64
		}{{&in.ReceivedAt, receivedAt}, {&in.SentAt, sentAt}, {&in.Timestamp, timestamp}} {
			if one.sec != 0 {
				*one.to = time.Unix(one.sec, one.sec&0xfffffff)
			}
		}
		checkPaths(t, message, in)
	})
}
