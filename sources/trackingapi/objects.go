package trackingapi

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// Bounds of the Objects API.
const (
	maxObjects     = 100 // of a request; the docs say 10, and Segment's client for Go sends up to 100
	maxName        = 100 // characters of a collection and of an id
	maxObjectValue = 32 << 10

	maxLine     = 400 << 10 // of an upload: one object
	maxUpload   = 512 << 20 // of one part, decompressed
	maxSessions = 1000
	sessionIdle = 10 * time.Minute
)

// parseSet reads the body of POST /v1/set: all of its objects, or what is wrong with each
// of them. What else is in the envelope, such as source and write_key, is for others.
func parseSet(body []byte) ([]analytics.Object, error) {
	s := string(bytes.TrimPrefix(body, byteOrderMark)) // a copy, which the objects share
	if !jsontext.Valid(s) {
		return nil, invalid("body", "is malformed JSON, or nested too deeply")
	}
	var collection, list string
	if !jsontext.EachMember(s, func(key, value string) bool {
		switch key {
		case "collection":
			collection = value
		case "objects":
			list = value
		}
		return true
	}) {
		return nil, invalid("body", "is not a JSON object")
	}
	name, err := readCollection(collection)
	if err != nil {
		return nil, err
	}
	if list == "" || list[0] != '[' {
		return nil, invalid("objects", "is required, and a list")
	}
	return readObjects(list, name)
}

func readObjects(list, collection string) (objects []analytics.Object, err error) {
	var errs []error
	n := 0
	eachElement(list, func(element string) bool {
		if n++; n > maxObjects {
			errs = append(errs, invalid("objects", "are more than %d", maxObjects))
			return false
		}
		o, err := readObject(element)
		var fault *analytics.InvalidError
		if errors.As(err, &fault) {
			field := strings.TrimPrefix("."+fault.Field, "."+wholeObject)
			errs = append(errs, invalid(fmt.Sprintf("objects[%d]%s", n-1, field), "%s", fault.Reason))
		}
		o.Collection = collection
		objects = append(objects, o)
		return true
	})
	if n == 0 {
		errs = append(errs, invalid("objects", "are none"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return objects, nil
}

// readCollection reads the name of a collection.
func readCollection(value string) (string, error) {
	name, err := readName("collection", value)
	if err != nil {
		return "", err
	}
	if strings.Trim(name, "_") != name || strings.ContainsFunc(name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
		return "", invalid("collection", "may hold lower-case letters and inner underscores only")
	}
	return name, nil
}

// readName reads a collection or an id. value is "" if it is absent.
func readName(field, value string) (string, error) {
	switch {
	case value == "":
		return "", invalid(field, "is required")
	case value[0] != '"', value == `""`:
		return "", invalid(field, "is empty or not a string")
	}
	name := jsontext.Unquote(value)
	if utf8.RuneCountInString(name) > maxName {
		return "", invalid(field, "is longer than %d characters", maxName)
	}
	return name, nil
}

// wholeObject is the field of a fault that is about no field.
const wholeObject = "object"

// readObject reads one object, but for its collection. It returns the first fault that it
// finds.
func readObject(s string) (o analytics.Object, err error) {
	var id, properties string
	if !jsontext.EachMember(s, func(key, value string) bool {
		switch key {
		case "id":
			id = value
		case "properties":
			properties = value
		}
		return true
	}) {
		return o, invalid(wholeObject, "is not an object")
	}
	if o.ID, err = readName("id", id); err != nil {
		return o, err
	}
	if properties == "" || properties[0] != '{' {
		return o, invalid("properties", "is required, and an object")
	}
	o.Properties, err = readProperties(properties)
	return o, err
}

// readProperties reads flat properties; of equal names the last counts.
func readProperties(s string) (properties map[string]any, err error) {
	properties = map[string]any{}
	jsontext.EachMember(s, func(key, value string) bool {
		switch {
		case value[0] == '{' || value[0] == '[':
			err = invalid("properties."+clipped(key), "is an object or a list, which objects cannot hold")
		case len(value) >= maxObjectValue:
			err = invalid("properties."+clipped(key), "has %d bytes, the limit is %d", len(value), maxObjectValue)
		default:
			properties[key] = scalar(value)
		}
		return err == nil
	})
	return properties, err
}

func scalar(value string) any {
	switch value[0] {
	case '"':
		return jsontext.Unquote(value)
	case 't', 'f':
		return value == "true"
	case 'n':
		return nil
	}
	return json.Number(value)
}

var (
	errSession  = errors.New("there is no such upload, or it has been idle for too long")
	errSessions = errors.New("there are too many uploads at a time")
	errLine     = invalid(wholeObject, "has more than %d bytes", maxLine)
)

// bulk are the sessions of the Objects Bulk API. Objects are accepted while they arrive, so
// a session is no more than an id that is good for uploads.
type bulk struct {
	most int // bytes of a part

	mu       sync.Mutex
	sessions map[string]*bulkSession
}

type bulkSession struct {
	used    time.Time
	uploads int // in progress
}

func newBulk() *bulk { return &bulk{most: maxUpload, sessions: map[string]*bulkSession{}} }

func (s *bulkSession) expired(now time.Time) bool {
	return s.uploads == 0 && now.Sub(s.used) >= sessionIdle
}

// start opens a session. The error is errSessions.
func (b *bulk) start() (syncID string, err error) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.sessions, func(_ string, s *bulkSession) bool { return s.expired(now) })
	if len(b.sessions) >= maxSessions {
		return "", errSessions
	}
	syncID = newUUID()
	b.sessions[syncID] = &bulkSession{used: now}
	return syncID, nil
}

// use touches a session and changes how many uploads it has in progress.
func (b *bulk) use(syncID string, uploads int) error {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[syncID]
	if s == nil || s.expired(now) {
		delete(b.sessions, syncID)
		return errSession
	}
	s.used = now
	s.uploads += uploads
	return nil
}

// keepAlive keeps a session from expiring.
func (b *bulk) keepAlive(syncID string) error { return b.use(syncID, 0) }

// finish ends a session. What was uploaded stays, whatever the client thinks of it.
func (b *bulk) finish(syncID string) error {
	if err := b.use(syncID, 0); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, syncID)
	return nil
}

// upload reads objects, one a line, plain or gzip, and calls emit with each as it comes.
// It ends at the first error, which names the line if that is to blame, or is that of
// emit; what stood before was emitted.
func (b *bulk) upload(syncID string, ndjson io.Reader, emit func(analytics.Object) error) (partID string, err error) {
	if err := b.use(syncID, 1); err != nil {
		return "", err
	}
	defer func() { _ = b.use(syncID, -1) }() // it may have been finished meanwhile
	lines := bufio.NewReader(&limited{r: ndjson, left: b.most})
	var source io.Reader = lines
	if magic, _ := lines.Peek(2); string(magic) == "\x1f\x8b" { // no JSON begins so
		zr, err := gzip.NewReader(lines)
		if err != nil {
			return "", uploadError(err)
		}
		defer func() { _ = zr.Close() }()
		source = &limited{r: zr, left: b.most}
	}
	if err := eachObject(source, emit); err != nil {
		return "", err
	}
	return newUUID(), nil
}

func eachObject(ndjson io.Reader, emit func(analytics.Object) error) error {
	sc := bufio.NewScanner(ndjson)
	sc.Buffer(nil, maxLine+2) // the object, and the end of its line
	n := 1
	for ; sc.Scan(); n++ {
		line := strings.TrimSpace(string(bytes.TrimPrefix(sc.Bytes(), byteOrderMark)))
		if line == "" {
			continue
		}
		if len(line) > maxLine {
			return lineError(n, errLine)
		}
		o, err := readLine(line)
		switch {
		case err == nil:
			err = emit(o)
		case sc.Err() != nil && !sc.Scan(): // half a line, where reading ended
			return uploadError(sc.Err())
		default:
			err = lineError(n, err)
		}
		if err != nil {
			return err
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return lineError(n, errLine)
	}
	return uploadError(sc.Err())
}

func lineError(n int, err error) error { return fmt.Errorf("line %d: %w", n, err) }

func readLine(line string) (o analytics.Object, err error) {
	if !jsontext.Valid(line) {
		return o, invalid(wholeObject, "is malformed JSON, or nested too deeply")
	}
	if o, err = readObject(line); err != nil {
		return o, err
	}
	o.Collection, err = readCollection(jsontext.Member(line, "collection"))
	return o, err
}

// uploadError is an error of reading as one of ours.
func uploadError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return errGzip
	}
	return plainly(err)
}
