package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// visit does what a browser with the page does, and prints what the page would show.
func visit(ctx context.Context, out io.Writer, site string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	v := &visitor{ctx: ctx, http: http.Client{Jar: jar}, site: site}
	stream, err := v.do(http.MethodGet, site+"/live", nil, nil)
	if err != nil {
		return err
	}
	defer stream.Body.Close()
	for _, step := range []func() error{v.open, v.start, v.preflight, v.call, v.leave, v.see} {
		if err := step(); err != nil {
			return err
		}
	}
	return watch(out, stream.Body, v.made+1) // and the pixel, whose id the server makes
}

// visitor is a browser with one page.
type visitor struct {
	ctx  context.Context
	http http.Client
	site string

	events, anonymousID, pixel string // as the page says
	remote                     string // as the settings say
	made                       int    // messages
}

func (v *visitor) do(method, address string, header http.Header, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(v.ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
	res, err := v.http.Do(req)
	if err == nil && res.StatusCode >= 300 {
		res.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", method, address, res.Status)
	}
	return res, err
}

// fetch is do with the body of the answer.
func (v *visitor) fetch(method, address string, header http.Header, body []byte) (http.Header, []byte, error) {
	res, err := v.do(method, address, header, body)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.Header, body, err
}

// open reads the page, and who the visitor is from the cookie that comes with it.
func (v *visitor) open() error {
	_, text, err := v.fetch(http.MethodGet, v.site+"/", nil, nil)
	if err != nil {
		return err
	}
	data := func(name string) string {
		found := regexp.MustCompile(`data-` + name + `="([^"]*)"`).FindSubmatch(text)
		if found == nil {
			return ""
		}
		return html.UnescapeString(string(found[1]))
	}
	v.events, v.pixel = data("events"), data("pixel")
	u, err := url.Parse(v.site)
	if err != nil {
		return err
	}
	for _, cookie := range v.http.Jar.Cookies(u) {
		if cookie.Name == "ajs_anonymous_id" {
			v.anonymousID = cookie.Value
		}
	}
	if v.anonymousID == "" || v.anonymousID != data("anonymous-id") {
		return fmt.Errorf("the cookie says that the visitor is %q, the page says %q", v.anonymousID, data("anonymous-id"))
	}
	return nil
}

// start asks for the settings, as analytics.js does.
func (v *visitor) start() error {
	_, text, err := v.fetch(http.MethodGet, v.events+"/v1/projects/"+writeKey+"/settings", nil, nil)
	if err != nil {
		return err
	}
	var settings struct {
		Integrations map[string]struct{ APIHost, Protocol string }
	}
	if err := json.Unmarshal(text, &settings); err != nil {
		return err
	}
	segment := settings.Integrations["Segment.io"]
	v.remote = segment.Protocol + "://" + segment.APIHost
	if want := v.events + "/v1"; v.remote != want {
		return fmt.Errorf("the settings say %s, want %s", v.remote, want)
	}
	return nil
}

// preflight is what a browser asks before it sends to another origin.
func (v *visitor) preflight() error {
	header, _, err := v.fetch(http.MethodOptions, v.remote+"/t", http.Header{
		"Origin":                         {"https://shop.example"},
		"Access-Control-Request-Method":  {http.MethodPost},
		"Access-Control-Request-Headers": {"authorization,content-type"},
	}, nil)
	if err != nil {
		return err
	}
	if allowed := strings.ToLower(header.Get("Access-Control-Allow-Headers")); !strings.Contains(allowed, "authorization") {
		return fmt.Errorf("the preflight allows %q only", allowed)
	}
	return nil
}

type fields = map[string]any

// message is one of the browser's.
func (v *visitor) message(f fields) fields {
	v.made++
	all := fields{
		"messageId": rand.Text(), "anonymousId": v.anonymousID, "timestamp": time.Now(),
		"context": fields{"library": fields{"name": "visit.go", "version": "1"}},
	}
	maps.Copy(all, f)
	return all
}

// call makes one call of each kind, and the track call twice: a browser that has not seen
// the answer sends again.
func (v *visitor) call() error {
	for _, f := range []fields{
		{"type": "page", "properties": fields{"path": "/", "url": v.site + "/"}},
		{"type": "identify", "userId": "u-42", "traits": fields{"name": "Ada"}},
		{"type": "track", "userId": "u-42", "event": "Product Added", "properties": fields{"price": 249.5}},
		{"type": "group", "userId": "u-42", "groupId": "g-7"},
		{"type": "alias", "userId": "u-43", "previousId": "u-42"},
	} {
		kind := f["type"].(string)
		m := v.message(f)
		times := 1
		if kind == "track" {
			times = 2
		}
		for range times {
			m["sentAt"] = time.Now()
			if err := v.post("/"+kind[:1], "application/json", m); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave is a beacon: a batch as text, with the key in it.
func (v *visitor) leave() error {
	return v.post("/batch", "text/plain;charset=UTF-8", fields{
		"writeKey": writeKey, "sentAt": time.Now(),
		"batch": []fields{v.message(fields{"type": "track", "userId": "u-42", "event": "Page Left"})},
	})
}

// see is an image.
func (v *visitor) see() error {
	_, image, err := v.fetch(http.MethodGet, v.pixel, nil, nil)
	if err == nil && !bytes.HasPrefix(image, []byte("GIF89a")) {
		err = errors.New("the pixel is no image")
	}
	return err
}

func (v *visitor) post(path, contentType string, body fields) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {contentType}, "Origin": {v.site}}
	if _, batch := body["batch"]; !batch {
		req := http.Request{Header: header}
		req.SetBasicAuth(writeKey, "")
	}
	_, _, err = v.fetch(http.MethodPost, v.remote+path, header, text)
	return err
}

// arrival is what is printed of a message.
type arrival struct {
	Type, Event, Name, GroupID, MessageID, UserID, AnonymousID, ReceivedAt string

	Context struct {
		IP      string
		Library struct{ Name string }
	}
}

// watch reads the stream until so many messages have come and are counted.
func watch(out io.Writer, stream io.Reader, want int) error {
	times := map[string]int{}
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	kind := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "event":
			kind = value
		case field == "data" && kind == "message":
			var a arrival
			if err := json.Unmarshal([]byte(value), &a); err != nil {
				return err
			}
			times[a.MessageID]++
			fmt.Fprintf(out, "%-9s %-14s userId %-5s anonymousId %s ip %s library %s\n", a.Type, cmp.Or(a.Event, a.Name, a.GroupID),
				cmp.Or(a.UserID, "-"), a.AnonymousID, a.Context.IP, cmp.Or(a.Context.Library.Name, "-"))
		case field == "data" && kind == "counters":
			var n counters
			if err := json.Unmarshal([]byte(value), &n); err != nil {
				return err
			}
			if len(times) >= want && n.Accepted >= uint64(want) {
				return judge(out, times, n, want)
			}
		}
	}
	return cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
}

func judge(out io.Writer, times map[string]int, n counters, want int) error {
	for id, got := range times {
		if got != 1 {
			return fmt.Errorf("%s arrived %d times", id, got)
		}
	}
	if n.Accepted != uint64(want) || n.Duplicates != 1 || n.Discarded != 0 {
		return fmt.Errorf("%d messages were sent, and the counters say %+v", want, n)
	}
	fmt.Fprintf(out, "%d messages arrived, each once; 1 more was a duplicate.\n", want)
	return nil
}
