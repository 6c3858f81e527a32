package dest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/redirect"
)

// Linger is how long items wait for their batch to fill, unless a tool asks for
// something else.
const Linger = time.Second

// A Client makes the requests of one adapter. Its errors begin with the tool's name and
// hold no address, since that may hold a key. Safe for concurrent use.
type Client struct {
	Tool string // "amplitude"
	HTTP *http.Client
}

// NewClient returns a client over what the core lends.
func NewClient(tool string, env analytics.Env) Client { return Client{Tool: tool, HTTP: env.HTTP} }

// A Request is one request. Header is not changed and may be shared.
type Request struct {
	Method string // empty: POST
	URL    string
	Header http.Header
	Type   string // Content-Type; empty: application/json where there is a body
	Body   []byte // belongs to the request from now on, also after its end
	Gzip   bool   // compress the body
}

// maxAnswer is as much of an answer as is read, in bytes. A longer one is cut, and then
// is no JSON any more.
const maxAnswer = 1 << 20

// Do makes the request and reads the answer. An error is one of the network, worth
// another try; whatever status came is in the answer.
func (c *Client) Do(ctx context.Context, r Request) (*Answer, error) {
	req, err := c.request(ctx, r)
	if err != nil { // which quotes what is wrong
		return nil, analytics.Permanent(fmt.Errorf("%s: method or address is not one of HTTP", c.Tool))
	}
	res, err := redirect.Hide(c.HTTP).Do(req)
	if err != nil {
		return nil, c.hide(err, req.URL)
	}
	defer res.Body.Close()
	// What breaks off behind the status is missing in the body, for whom it matters.
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: body, tool: c.Tool}, nil
}

func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	method := r.Method
	if method == "" {
		method = http.MethodPost
	}
	body := r.Body
	if r.Gzip && len(body) > 0 {
		body = compress(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		req.Header[name] = slices.Clip(values) // a transport may add to it
	}
	req.Header.Set("User-Agent", userAgent)
	if len(body) > 0 && req.Header.Get("Content-Type") == "" {
		kind := r.Type
		if kind == "" {
			kind = "application/json"
		}
		req.Header.Set("Content-Type", kind)
	}
	if r.Gzip && len(body) > 0 {
		req.Header.Set("Content-Encoding", "gzip")
	}
	return req, nil
}

const userAgent = "analytics-go/" + analytics.Version

func compress(b []byte) []byte {
	var w bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&w, gzip.BestSpeed) // the level exists
	_, _ = zw.Write(b)                               // into memory
	_ = zw.Close()
	return w.Bytes()
}

// hide takes the address out of an error.
func (c *Client) hide(err error, address *url.URL) error {
	for u := (*url.Error)(nil); errors.As(err, &u) && u.Err != nil; {
		err = u.Err
	}
	if quotes(err.Error(), address) {
		err = &silent{err}
	}
	return fmt.Errorf("%s: %w", c.Tool, err)
}

// quotes tells whether a part of the address that may be a key is in a text: transports
// of users may repeat the address in their own words.
func quotes(text string, address *url.URL) bool {
	const least = 8 // shorter parts are words such as track
	for _, part := range strings.FieldsFunc(address.String(), func(r rune) bool { return strings.ContainsRune("/?#&=:@", r) }) {
		if len(part) >= least && part != address.Hostname() && strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// silent is an error whose text quotes the address.
type silent struct{ err error }

func (*silent) Error() string   { return "the request failed" }
func (s *silent) Unwrap() error { return s.err }

// An Answer is what the tool said, its body read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	tool   string
}

// Err is the word that the contract has for the status, nil for a success.
func (a *Answer) Err() error {
	err := analytics.ResponseError(&http.Response{StatusCode: a.Status, Header: a.Header})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", a.tool, err)
}

// Decode reads the body as JSON into v. What is in v beside it stays.
func (a *Answer) Decode(v any) error {
	if err := json.Unmarshal(a.Body, v); err != nil {
		return fmt.Errorf("%s: answer of status %d: not the JSON that was expected", a.tool, a.Status)
	}
	return nil
}

// Fault is an error that quotes a code of the tool, for one of the words. What is not
// a plain code, such as a sentence, may hold content of events and is left out.
func (a *Answer) Fault(code string) error {
	if !isCode(code) {
		code = "no code"
	}
	return fmt.Errorf("%s: status %d: %s", a.tool, a.Status, code)
}

func isCode(s string) bool {
	const most = 64
	return s != "" && len(s) <= most && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}

// RetryAfter returns how long to wait: what Retry-After or another of the headers given
// says in seconds, the first that says something; zero if none does.
func (a *Answer) RetryAfter(headers ...string) time.Duration {
	for _, name := range append([]string{"Retry-After"}, headers...) {
		v := strings.TrimSpace(a.Header.Get(name))
		if secs, err := strconv.ParseFloat(v, 64); err == nil && secs > 0 {
			return time.Duration(min(secs, longest.Seconds()) * float64(time.Second))
		}
		if at, err := http.ParseTime(v); err == nil {
			return min(max(time.Until(at), 0), longest)
		}
	}
	return 0
}

// Until returns how long to wait until the Unix second that a header names, else what
// [Answer.RetryAfter] says.
func (a *Answer) Until(header string) time.Duration {
	if at, err := strconv.ParseInt(strings.TrimSpace(a.Header.Get(header)), 10, 64); err == nil {
		at = min(at, time.Now().Add(2*longest).Unix()) // the arithmetic of times has its bounds
		if wait := time.Until(time.Unix(at, 0)); wait > 0 {
			return min(wait, longest)
		}
	}
	return a.RetryAfter()
}

// longest bounds what a tool can ask for.
const longest = 30 * 24 * time.Hour

// AtOnce is the word for an item that did not arrive because of others in its request:
// it goes again with the next one. It is no failure of its own.
func AtOnce(err error) error { return analytics.RetryAfter(time.Millisecond, err) }

// Join makes the body of a batch: opening, the items with commas between them, closing.
func Join(opening string, items []analytics.Item, closing string) []byte {
	n := len(opening) + len(closing) + len(items)
	for i := range items {
		n += len(items[i].Body)
	}
	b := append(make([]byte, 0, n), opening...)
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, items[i].Body...)
	}
	return append(b, closing...)
}

// Sieve sends those items of a batch for which refuse has nothing to say, and answers
// for the others with what it said: rules that need the clock, such as an age that the
// tool does not take.
func Sieve(b *analytics.Batch, refuse func(*analytics.Item) error, send func([]analytics.Item) error) error {
	var refused analytics.BatchError
	kept := make([]int, 0, len(b.Items)) // their indexes
	for i := range b.Items {
		if err := refuse(&b.Items[i]); err != nil {
			refused.Set(i, analytics.Permanent(err))
		} else {
			kept = append(kept, i)
		}
	}
	if len(kept) == len(b.Items) {
		return send(b.Items)
	}
	if len(kept) == 0 {
		return &refused
	}
	items := make([]analytics.Item, len(kept))
	for n, i := range kept {
		items[n] = b.Items[i]
	}
	err := send(items)
	var each *analytics.BatchError
	for n, i := range kept {
		switch {
		case errors.As(err, &each):
			if each.Items[n] != nil {
				refused.Set(i, each.Items[n])
			}
		case err != nil:
			refused.Set(i, again(err, len(kept)))
		}
	}
	return &refused
}

// again is the word for one of n items of a request that is to be split: on a single
// item Split would mean that it is the bad one.
func again(err error, n int) error {
	if w, _ := analytics.Classify(err); w == analytics.WordSplit && n > 1 {
		return AtOnce(err)
	}
	return err
}
