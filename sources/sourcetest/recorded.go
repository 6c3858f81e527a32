package sourcetest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"reflect"
	"strings"
)

// Any stands in an expected message for a value that the kit does not know before, such
// as a messageId that the source makes up. The member has to be there.
const Any = "<any>"

// Recorded is a request as the other side sends it, and what has to become of it.
type Recorded struct {
	// Name says what is recorded.
	Name string

	// Method is POST if it is empty. Path may hold a query.
	Method, Path string

	Header http.Header
	Body   []byte

	// Gzip compresses the body on its way and says so in the header.
	Gzip bool

	// Status is the answer's; zero means 200.
	Status int

	// Messages are what comes out, in this order; none for a request that is refused
	// or means nothing. Numbers are compared digit by digit; [Any] matches all.
	Messages []json.RawMessage

	// Fresh says that the messages carry nothing by which they could be known again, so
	// that sending the request again makes new ones.
	Fresh bool
}

// UnmarshalJSON reads the form of [Load].
func (r *Recorded) UnmarshalJSON(text []byte) error {
	var form struct {
		Name, Method, Path string
		Header             map[string]string
		Body               json.RawMessage
		Gzip               bool
		Status             int
		Messages           []json.RawMessage
		Fresh              bool
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&form); err != nil {
		return err
	}
	*r = Recorded{Name: form.Name, Method: form.Method, Path: form.Path, Header: http.Header{}, Body: form.Body, Gzip: form.Gzip,
		Status: form.Status, Messages: form.Messages, Fresh: form.Fresh}
	for name, value := range form.Header {
		r.Header.Set(name, value)
	}
	var plain string
	if json.Unmarshal(form.Body, &plain) == nil {
		r.Body = []byte(plain)
	}
	return nil
}

// Load reads recorded requests from the files of fsys that match pattern, each of which
// holds a list of them:
//
//	[{
//		"name": "a message created",
//		"method": "POST",
//		"path": "/hook",
//		"header": {"Content-Type": "application/json"},
//		"body": {"id": "m-1", "text": "Hello"},
//		"gzip": false,
//		"status": 200,
//		"messages": [{"type": "track", "messageId": "m-1", "event": "Message Created", "timestamp": "<any>"}],
//		"fresh": false
//	}]
//
// The body is sent as it stands in the file; a string stands for its text. Names get
// that of the file before them.
func Load(fsys fs.FS, pattern string) ([]Recorded, error) {
	files, err := fs.Glob(fsys, pattern)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("sourcetest: no file matches %s", pattern)
	}
	var all []Recorded
	for _, name := range files {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		var list []Recorded
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fmt.Errorf("sourcetest: %s: %w", name, err)
		}
		for i := range list {
			list[i].Name = strings.TrimSuffix(path.Base(name), path.Ext(name)) + ": " + list[i].Name
		}
		all = append(all, list...)
	}
	return all, nil
}

func (r *Recorded) method() string { return cmp.Or(r.Method, http.MethodPost) }
func (r *Recorded) status() int    { return cmp.Or(r.Status, http.StatusOK) }

// isJSON tells whether the body is JSON, which a part of it is not.
func (r *Recorded) isJSON() bool {
	_, err := decode(r.Body)
	return err == nil
}

// ids are the messageIds that come out, as far as they are known before.
func (r *Recorded) ids() []string {
	var ids []string
	for _, m := range r.Messages {
		if id := idOf(m); id != Any && id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

func idOf(message []byte) string {
	var m struct {
		ID string `json:"messageId"`
	}
	_ = json.Unmarshal(message, &m)
	return m.ID
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// decode reads one JSON value with the digits of its numbers.
func decode(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more behind the value")
	}
	return v, nil
}

// differs says where a message is not as expected, or nothing.
func differs(at string, want, got any) string {
	if want == Any {
		return ""
	}
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, want an object", at, got)
		}
		for key := range got {
			if _, ok := want[key]; !ok {
				return fmt.Sprintf("%s.%s is there and not expected", at, key)
			}
		}
		for key, w := range want {
			g, ok := got[key]
			if !ok {
				return fmt.Sprintf("%s.%s is missing", at, key)
			}
			if d := differs(at+"."+key, w, g); d != "" {
				return d
			}
		}
		return ""
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return fmt.Sprintf("%s is not a list of %d", at, len(want))
		}
		for i := range want {
			if d := differs(fmt.Sprintf("%s[%d]", at, i), want[i], got[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s is %v, want %v", at, got, want)
	}
	return ""
}
