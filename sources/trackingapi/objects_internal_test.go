package trackingapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

func TestParseSet(t *testing.T) {
	body := []byte("\ufeff" + ` {"source":"project","write_key":"k","collection":"rooms","collection":"room_types","objects":[
		{"id":"2561341","collection":"ignored","properties":{"name":"Lovely \u00fc","price":12345678901234567890.10,"free":true,"sold":false,"gone":null,"name":"b"}},
		{"id":"` + strings.Repeat("ü", 100) + `","properties":{}}]} `)
	objects, err := parseSet(body)
	require.NoError(t, err)
	clear(body) // the objects do not share it
	require.Equal(t, []analytics.Object{
		{Collection: "room_types", ID: "2561341", Properties: map[string]any{
			"name": "b", "price": json.Number("12345678901234567890.10"), "free": true, "sold": false, "gone": nil}},
		{Collection: "room_types", ID: strings.Repeat("ü", 100), Properties: map[string]any{}},
	}, objects)
}

// setOf is a body with n equal objects.
func setOf(collection string, n int, object string) string {
	return `{"collection":"` + collection + `","objects":[` + strings.TrimSuffix(strings.Repeat(object+",", n), ",") + `]}`
}

func TestParseSetCount(t *testing.T) {
	for _, n := range []int{1, 10, maxObjects} {
		objects, err := parseSet([]byte(setOf("rooms", n, `{"id":"1","properties":{}}`)))
		require.NoError(t, err)
		require.Len(t, objects, n)
	}
	_, err := parseSet([]byte(setOf("rooms", maxObjects+1, `{"id":"1","properties":{}}`)))
	require.EqualError(t, err, "objects: are more than 100")
	_, err = parseSet([]byte(setOf("rooms", 0, "")))
	require.EqualError(t, err, "objects: are none")
}

func TestParseSetRefuses(t *testing.T) {
	for body, want := range map[string]string{
		``:    "body: is malformed JSON, or nested too deeply",
		`{`:   "body: is malformed JSON, or nested too deeply",
		`{}x`: "body: is malformed JSON, or nested too deeply",
		`[]`:  "body: is not a JSON object",
		`{"collection":"a","objects":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`: "body: is malformed JSON, or nested too deeply",
		`{}`:                                    "collection: is required",
		`{"collection":7,"objects":[]}`:         "collection: is empty or not a string",
		`{"collection":"","objects":[]}`:        "collection: is empty or not a string",
		`{"collection":"_rooms","objects":[]}`:  "collection: may hold lower-case letters and inner underscores only",
		`{"collection":"rooms_","objects":[]}`:  "collection: may hold lower-case letters and inner underscores only",
		`{"collection":"rooms2","objects":[]}`:  "collection: may hold lower-case letters and inner underscores only",
		`{"collection":"Rooms","objects":[]}`:   "collection: may hold lower-case letters and inner underscores only",
		`{"collection":"räume","objects":[]}`:   "collection: may hold lower-case letters and inner underscores only",
		setOf(strings.Repeat("a", 101), 1, "0"): "collection: is longer than 100 characters",
		`{"collection":"rooms"}`:                "objects: is required, and a list",
		`{"collection":"rooms","objects":{}}`:   "objects: is required, and a list",
		setOf("rooms", 2, `7`):                  "objects[0]: is not an object\nobjects[1]: is not an object",
		`{"collection":"rooms","objects":[{"id":"1","properties":{}},{"properties":{}},{"id":7,"properties":{}},{"id":"","properties":{}}]}`: "objects[1].id: is required\nobjects[2].id: is empty or not a string\nobjects[3].id: is empty or not a string",
		setOf("rooms", 1, `{"id":"`+strings.Repeat("ü", 101)+`","properties":{}}`):                                                           "objects[0].id: is longer than 100 characters",
		setOf("rooms", 1, `{"id":"1"}`):                                                      "objects[0].properties: is required, and an object",
		setOf("rooms", 1, `{"id":"1","properties":null}`):                                    "objects[0].properties: is required, and an object",
		setOf("rooms", 1, `{"id":"1","properties":{"a":1,"b":{},"c":[]}}`):                   "objects[0].properties.b: is an object or a list, which objects cannot hold",
		setOf("rooms", 1, `{"id":"1","properties":{"a":[1]}}`):                               "objects[0].properties.a: is an object or a list, which objects cannot hold",
		setOf("rooms", 1, `{"id":"1","properties":{"a":"`+strings.Repeat("x", 32<<10)+`"}}`): "objects[0].properties.a: has 32770 bytes, the limit is 32768",
		setOf("rooms", 1, `{"id":"1","properties":{"`+strings.Repeat("x", 200)+`":[]}}`):     "objects[0].properties." + strings.Repeat("x", 100) + ": is an object or a list, which objects cannot hold",
	} {
		objects, err := parseSet([]byte(body))
		require.EqualError(t, err, want)
		require.Nil(t, objects)
	}
}

func gzipped(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, s)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// uploaded is what an upload emits, as "collection/id", and its error.
func uploaded(t testing.TB, b *bulk, ndjson io.Reader) (ids []string, err error) {
	t.Helper()
	id, err := b.start()
	require.NoError(t, err)
	part, err := b.upload(id, ndjson, func(o analytics.Object) error {
		ids = append(ids, o.Collection+"/"+o.ID)
		return nil
	})
	require.Equal(t, err == nil, len(part) == 36, "a part has an id if it is accepted")
	return ids, err
}

func line(id string) string { return `{"id":"` + id + `","collection":"rooms","properties":{"n":1}}` }

func TestBulkUpload(t *testing.T) {
	three := []string{"rooms/a", "rooms/b", "rooms/c"}
	text := line("a") + "\n\r\n" + line("b") + "\r\n  " + line("c") + " \n\n"
	for name, body := range map[string][]byte{
		"plain":                []byte(text),
		"gzip":                 gzipped(t, text),
		"gzip in several":      append(gzipped(t, line("a")+"\n"+line("b")[:7]), gzipped(t, line("b")[7:]+"\n"+line("c"))...),
		"a byte order mark":    []byte("\ufeff" + text),
		"no line break at end": []byte(strings.TrimSpace(text)),
	} {
		for reading, reader := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "error with data": iotest.DataErrReader} {
			ids, err := uploaded(t, newBulk(), reader(bytes.NewReader(body)))
			require.NoError(t, err, "%s, %s", name, reading)
			require.Equal(t, three, ids, "%s, %s", name, reading)
		}
	}
	ids, err := uploaded(t, newBulk(), strings.NewReader(""))
	require.NoError(t, err)
	require.Empty(t, ids)
}

// Whatever is wrong with an upload, what stood before it was accepted.
func TestBulkUploadFaults(t *testing.T) {
	good := line("a") + "\n\n" + line("b") + "\n"
	long := func(n int) string {
		return line("c")[:len(line("c"))-1] + strings.Repeat(" ", n-len(line("c"))) + "}"
	}
	require.Len(t, long(maxLine), maxLine)
	whole := gzipped(t, good+line("c"))
	broken := bytes.Clone(whole)
	broken[len(broken)-5] ^= 1 // of the checksum
	for name, tc := range map[string]struct {
		body io.Reader
		want string
		ids  int
	}{
		"no JSON":                {strings.NewReader(good + "hello\n" + line("c")), "line 4: object: is malformed JSON, or nested too deeply", 2},
		"two on a line":          {strings.NewReader(good + line("c") + line("d")), "line 4: object: is malformed JSON, or nested too deeply", 2},
		"nested too deep":        {strings.NewReader(good + strings.Repeat("[", 10_000)), "line 4: object: is malformed JSON, or nested too deeply", 2},
		"no object":              {strings.NewReader(good + "7\n" + line("c")), "line 4: object: is not an object", 2},
		"no id":                  {strings.NewReader(good + `{"collection":"rooms","properties":{}}`), "line 4: id: is required", 2},
		"no collection":          {strings.NewReader(good + `{"id":"1","properties":{}}`), "line 4: collection: is required", 2},
		"another collection":     {strings.NewReader(good + `{"id":"1","collection":"A","properties":{}}`), "line 4: collection: may hold lower-case letters and inner underscores only", 2},
		"a property with a list": {strings.NewReader(good + `{"id":"1","collection":"a","properties":{"x":[]}}`), "line 4: properties.x: is an object or a list, which objects cannot hold", 2},
		"the largest":            {strings.NewReader(good + long(maxLine) + "\r\n"), "", 3},
		"larger":                 {strings.NewReader(good + long(maxLine+1) + "\n"), "line 4: object: has more than 409600 bytes", 2},
		"much larger":            {strings.NewReader(good + long(maxLine*2) + "\n"), "line 4: object: has more than 409600 bytes", 2},
		"the first of two":       {strings.NewReader(good + "x\ny\n"), "line 4: object: is malformed JSON, or nested too deeply", 2},
		"half an upload":         {io.MultiReader(strings.NewReader(good+line("c")[:9]), iotest.ErrReader(io.ErrUnexpectedEOF)), errBroken.Error(), 2},
		"broken at a line":       {io.MultiReader(strings.NewReader(good), iotest.ErrReader(io.ErrUnexpectedEOF)), errBroken.Error(), 2},
		"broken behind a fault":  {iotest.DataErrReader(io.MultiReader(strings.NewReader(good+"x\n"+line("c")[:9]), iotest.ErrReader(io.ErrUnexpectedEOF))), "line 4: object: is malformed JSON, or nested too deeply", 2},
		"half of gzip":           {bytes.NewReader(whole[:len(whole)-9]), errBroken.Error(), 3},
		"a wrong checksum":       {bytes.NewReader(broken), errGzip.Error(), 3},
		"a wrong header":         {strings.NewReader("\x1f\x8b\x00nothing that is gzip"), errGzip.Error(), 0},
		"a short header":         {strings.NewReader("\x1f\x8b"), errBroken.Error(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			ids, err := uploaded(t, newBulk(), tc.body)
			require.Len(t, ids, tc.ids)
			if tc.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tc.want)
			}
		})
	}
}

func TestBulkUploadSize(t *testing.T) {
	two := line("a") + "\n" + line("b") + "\n"
	for _, body := range []string{two, string(gzipped(t, two))} {
		b := newBulk()
		b.most = max(len(two), len(body))
		ids, err := uploaded(t, b, strings.NewReader(body))
		require.NoError(t, err)
		require.Len(t, ids, 2)
	}
	b := newBulk()
	b.most = len(two) - 1
	ids, err := uploaded(t, b, strings.NewReader(two))
	require.ErrorIs(t, err, errTooLarge)
	require.Contains(t, ids, "rooms/a")

	bomb := gzipped(t, line("a")+"\n"+strings.Repeat("\n", 1<<20))
	require.Less(t, len(bomb), 10_000)
	b.most = 100_000
	ids, err = uploaded(t, b, bytes.NewReader(bomb))
	require.ErrorIs(t, err, errTooLarge)
	require.Equal(t, []string{"rooms/a"}, ids)

	_, err = uploaded(t, b, bytes.NewReader(gzipped(t, strings.Repeat("\n", 99_000)+"x\n"+strings.Repeat("\n", 1<<20))))
	require.EqualError(t, err, "line 99001: object: is malformed JSON, or nested too deeply", "the limit lies behind the fault")
}

// An upload needs memory for a line, not for the file.
func TestBulkUploadMemory(t *testing.T) {
	const lines = 40_000
	object := `{"id":"a","collection":"rooms","properties":{"text":"` + strings.Repeat("x", 1000) + `"}}` + "\n"
	body := gzipped(t, strings.Repeat(object, lines))
	b := newBulk()
	id, err := b.start()
	require.NoError(t, err)
	var base, stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	n := 0
	_, err = b.upload(id, bytes.NewReader(body), func(analytics.Object) error {
		if n++; n%10_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&stats)
			require.Less(t, int64(stats.HeapAlloc)-int64(base.HeapAlloc), int64(4<<20), "of %d MB", lines*len(object)>>20)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, lines, n)
}

func TestBulkUploadStopsWithEmit(t *testing.T) {
	b := newBulk()
	id, err := b.start()
	require.NoError(t, err)
	full := errors.New("full")
	n := 0
	part, err := b.upload(id, strings.NewReader(line("a")+"\n"+line("b")+"\n"+line("c")), func(analytics.Object) error {
		if n++; n == 2 {
			return full
		}
		return nil
	})
	require.Same(t, full, err)
	require.Empty(t, part)
	require.Equal(t, 2, n)
	_, err = b.upload(id, strings.NewReader(line("b")), func(analytics.Object) error { return nil })
	require.NoError(t, err, "the session goes on")
}

func TestBulkSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := func(analytics.Object) error { return nil }
		b := newBulk()
		id, err := b.start()
		require.NoError(t, err)
		for range 5 { // whatever is done with it keeps it
			time.Sleep(sessionIdle - time.Second)
			require.NoError(t, b.keepAlive(id))
			time.Sleep(sessionIdle - time.Second)
			_, err := b.upload(id, strings.NewReader(""), none)
			require.NoError(t, err)
		}
		time.Sleep(sessionIdle)
		require.ErrorIs(t, b.keepAlive(id), errSession)
		require.Empty(t, b.sessions)

		id, err = b.start()
		require.NoError(t, err)
		require.NoError(t, b.finish(id))
		for _, id := range []string{id, "", "other"} {
			require.ErrorIs(t, b.keepAlive(id), errSession)
			require.ErrorIs(t, b.finish(id), errSession)
			_, err = b.upload(id, strings.NewReader(line("a")), none)
			require.ErrorIs(t, err, errSession)
		}
	})
}

func TestBulkSessionDoesNotExpireInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulk()
		id, err := b.start()
		require.NoError(t, err)
		_, err = b.upload(id, strings.NewReader(line("a")), func(analytics.Object) error {
			time.Sleep(2 * sessionIdle) // a client that is slow
			_, err := b.start()         // clears away
			return err
		})
		require.NoError(t, err)
		time.Sleep(sessionIdle - time.Second)
		require.NoError(t, b.keepAlive(id))
		_, err = b.upload(id, strings.NewReader(line("a")), func(analytics.Object) error { return b.finish(id) })
		require.NoError(t, err, "an upload that is under way may end")
		require.ErrorIs(t, b.keepAlive(id), errSession)
	})
}

func TestBulkSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulk()
		ids := map[string]bool{}
		for range maxSessions {
			id, err := b.start()
			require.NoError(t, err)
			ids[id] = true
			time.Sleep(time.Millisecond)
		}
		require.Len(t, ids, maxSessions)
		_, err := b.start()
		require.ErrorIs(t, err, errSessions)
		time.Sleep(sessionIdle - 500*time.Millisecond) // half of them have expired
		_, err = b.start()
		require.NoError(t, err)
		require.InDelta(t, maxSessions/2, len(b.sessions), 2)
	})
}

func FuzzParseSet(f *testing.F) {
	f.Add(setOf("rooms", 2, `{"id":"1","properties":{"a":1.50,"b":"c"}}`))
	f.Add(`{"collection":"a_b","objects":[{"id":1},[],{"id":"\ud800","properties":{"a":[],"":null}}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		objects, err := parseSet([]byte(body))
		if err != nil {
			require.Nil(t, objects)
			return
		}
		require.NotEmpty(t, objects)
		for _, o := range objects {
			require.NotEmpty(t, o.ID)
			require.NotNil(t, o.Properties)
			_, err := json.Marshal(o.Properties)
			require.NoError(t, err)
		}
	})
}

func FuzzBulkUpload(f *testing.F) {
	f.Add([]byte(line("a") + "\n" + line("b") + "\nx"))
	f.Add(gzipped(f, line("a")+"\n\n"+line("b")))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := newBulk()
		b.most = 1 << 20
		ids, err := uploaded(t, b, bytes.NewReader(body))
		slow, slowErr := uploaded(t, b, iotest.OneByteReader(bytes.NewReader(body)))
		require.Equal(t, ids, slow, "how it is read makes no difference")
		require.Equal(t, fmt.Sprint(err), fmt.Sprint(slowErr))
	})
}
