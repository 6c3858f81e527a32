package analytics

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/tributary-dev/analytics/internal/jsontext"
	"github.com/tributary-dev/analytics/internal/redirect"
)

// Cloud is the cloud mode: a destination that posts the events, as they are, to
// Segment or to any endpoint that speaks its HTTP Tracking API. Config.WriteKey
// makes one with defaults.
type Cloud struct {
	// WriteKey names the source. Required.
	WriteKey string `json:"writeKey" secret:"true"`

	// Region is "us" (default) or "eu". The regions do not stand in for each other:
	// a key is known in its own only.
	Region string `json:"region,omitempty"`

	// Endpoint replaces the region's host: scheme, host and an optional prefix of
	// the path.
	Endpoint string `json:"endpoint,omitempty"`

	// Path is where batches go below the endpoint. Empty means "/v1/batch".
	Path string `json:"path,omitempty"`

	// NoGzip sends bodies as they are. Without it they are compressed, until an
	// endpoint refuses the first compressed one with 400 or 415 and takes it plain.
	NoGzip bool `json:"noGzip,omitempty"`

	// MaxBatch is the most events in a request. Zero means 2,500, which is also the
	// most that may be set.
	MaxBatch int `json:"maxBatch,omitempty"`

	// Concurrency is the most requests at a time. Zero means 4.
	Concurrency int `json:"concurrency,omitempty"`

	// Timeout ends a request. Zero means 30 seconds.
	Timeout time.Duration `json:"timeout,omitempty"`

	// Tokens authorizes requests by bearer tokens, see [OAuth]. Nil means HTTP Basic
	// with the key.
	Tokens TokenSource `json:"-"`

	http     *http.Client
	url      string
	metadata []byte // `,"_metadata":{…}}`, in place of the last brace of an event
	zip      atomic.Int32
}

var (
	_ Destination   = (*Cloud)(nil)
	_ RawTranslator = (*Cloud)(nil)
	_ Opener        = (*Cloud)(nil)
)

// Limits of the batch endpoint (HTTP API: 500 KB and 2,500 messages a batch), the
// longest pause that it may ask for, and its hosts.
const (
	cloudBytes      = 500_000
	cloudItems      = 2_500
	cloudRetryAfter = 300 * time.Second
	cloudPath       = "/v1/batch"
)

var cloudHosts = map[string]string{
	"":   "https://api.segment.io",
	"us": "https://api.segment.io",
	"eu": "https://events.eu1.segmentapis.com",
}

// What is known of an endpoint and gzip.
const (
	zipUntried int32 = iota
	zipTaken
	zipRefused
)

// Describe returns the limits of the batch endpoint.
func (c *Cloud) Describe() Description {
	return Description{
		Name:      IntegrationSegment,
		Aliases:   []string{"Segment"},
		IgnoreAll: true,
		Lanes: map[string]Limits{"": {
			MaxItems: cmp.Or(c.MaxBatch, cloudItems), MaxBytes: cloudBytes, Overhead: len(c.appendEnvelope(nil, time.Time{})), ItemOverhead: len(","),
			Concurrency: c.Concurrency, Timeout: c.Timeout,
		}},
	}
}

// Open checks the settings.
func (c *Cloud) Open(env Env) error {
	var f faults
	if c.WriteKey == "" {
		f.add("WriteKey", "is required")
	}
	host, ok := cloudHosts[c.Region]
	if !ok {
		f.add("Region", "is neither us nor eu")
	}
	if c.Endpoint != "" && c.Region != "" {
		f.add("Endpoint", "excludes Region: set one of them")
	}
	endpoint, err := url.Parse(cmp.Or(c.Endpoint, host))
	switch {
	case !ok && c.Endpoint == "":
	case err != nil, endpoint.Host == "", endpoint.Scheme != "http" && endpoint.Scheme != "https":
		f.add("Endpoint", "is not an http or https URL")
	case endpoint.RawQuery != "" || endpoint.Fragment != "" || endpoint.User != nil:
		f.add("Endpoint", "has more than scheme, host and path")
	}
	path := cmp.Or(c.Path, cloudPath)
	if path[0] != '/' || strings.ContainsAny(path, "?#") {
		f.add("Path", "is not an absolute path")
	}
	if c.MaxBatch < 0 || c.MaxBatch > cloudItems {
		f.add("MaxBatch", "is %d, want 1 to %d", c.MaxBatch, cloudItems)
	}
	if c.Concurrency < 0 {
		f.add("Concurrency", "is negative")
	}
	if c.Timeout < 0 {
		f.add("Timeout", "is negative")
	}
	if o, ok := c.Tokens.(*OAuth); ok {
		if _, err := o.check(); err != nil {
			f = append(f, err)
		}
	}
	if err := f.err(); err != nil {
		return err
	}
	c.http, c.url = env.HTTP, strings.TrimSuffix(endpoint.String(), "/")+path
	c.metadata = nil
	if len(env.DeviceMode) > 0 {
		c.metadata, err = appendMap([]byte(`,"_metadata":`), map[string]any{"bundled": env.DeviceMode, "unbundled": []string{}, "bundledIds": []string{}}, 1)
		c.metadata = append(c.metadata, '}')
	}
	return err
}

// Translate encodes the event as it goes over the wire.
func (c *Cloud) Translate(e *Event) ([]Item, error) {
	raw, err := e.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	_, given := e.Extra["_metadata"]
	it, err := c.TranslateRaw(&Header{HasMetadata: given || e.Metadata != nil}, raw)
	return []Item{it}, err
}

// TranslateRaw takes the event as it is. Which destinations the process delivers to
// by itself is written into it when it is sent.
func (c *Cloud) TranslateRaw(h *Header, raw []byte) (Item, error) {
	it := Item{Body: raw, Size: len(raw)}
	if !h.HasMetadata && len(c.metadata) > 0 {
		it.Size += len(c.metadata) - len("}")
		it.Data = spliced
	}
	return it, nil
}

// spliced marks the items that get the metadata of this process.
var spliced any = true

// Deliver posts one batch.
func (c *Cloud) Deliver(ctx context.Context, b *Batch) error {
	body := c.appendBody(make([]byte, 0, c.size(b)), b)
	state := c.zip.Load()
	if c.NoGzip || state == zipRefused {
		return c.judge(c.post(ctx, b, body, false))
	}
	res, err := c.post(ctx, b, body, true)
	if err != nil || state == zipTaken || res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnsupportedMediaType {
		if err == nil && res.StatusCode < 300 {
			c.zip.CompareAndSwap(zipUntried, zipTaken)
		}
		return c.judge(res, err)
	}
	drain(res.Body)
	res, err = c.post(ctx, b, body, false)
	if err == nil && res.StatusCode < 300 {
		c.zip.CompareAndSwap(zipUntried, zipRefused)
	}
	return c.judge(res, err)
}

func (c *Cloud) size(b *Batch) int {
	n := len(c.appendEnvelope(nil, time.Time{}))
	for i := range b.Items {
		n += b.Items[i].Size + len(",")
	}
	return n
}

func (c *Cloud) appendBody(body []byte, b *Batch) []byte {
	body = append(body, `{"batch":[`...)
	for i := range b.Items {
		it := &b.Items[i]
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, it.Body...)
		if it.Data != nil {
			body = append(body[:len(body)-1], c.metadata...)
		}
	}
	return c.appendEnvelope(body, time.Now())
}

// appendEnvelope appends what follows the events, and is as long as the whole
// envelope where there are none.
func (c *Cloud) appendEnvelope(body []byte, sentAt time.Time) []byte {
	if len(body) == 0 {
		body = append(body, `{"batch":[`...)
	}
	body = append(body, `],"sentAt":`...)
	body = appendTime(body, sentAt.Truncate(time.Millisecond))
	body = append(body, `,"writeKey":`...)
	return append(jsontext.AppendString(body, c.WriteKey), '}')
}

// post sends a body. If the endpoint refuses the token, it tries once more with a
// new one.
func (c *Cloud) post(ctx context.Context, b *Batch, body []byte, zipped bool) (*http.Response, error) {
	if zipped {
		body = compress(body)
	}
	for renewed := false; ; renewed = true {
		token, err := c.token(ctx)
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
		if err != nil {
			return nil, Permanent(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("User-Agent", libraryName+"/"+Version)
		req.Header.Set("Authorization", c.authorization(token))
		if zipped {
			req.Header.Set("Content-Encoding", "gzip")
		}
		if b.Attempt > 0 {
			req.Header.Set("X-Retry-Count", strconv.Itoa(b.Attempt))
		}
		res, err := redirect.Hide(c.http).Do(req)
		if err != nil || c.Tokens == nil || renewed {
			return res, err
		}
		switch res.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNetworkAuthenticationRequired:
			drain(res.Body)
			c.Tokens.Invalidate(token)
		default:
			return res, nil
		}
	}
}

func (c *Cloud) token(ctx context.Context) (string, error) {
	if c.Tokens == nil {
		return "", nil
	}
	return c.Tokens.Token(ctx)
}

func (c *Cloud) authorization(token string) string {
	if c.Tokens != nil {
		return "Bearer " + token
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.WriteKey+":"))
}

// judge turns an answer into a word. To the common table the cloud mode adds that
// 410 and 460 are tried again, as Segment's own clients do, and that no pause is
// longer than five minutes.
func (c *Cloud) judge(res *http.Response, err error) error {
	if err != nil {
		return redact(err)
	}
	if res.StatusCode == http.StatusGone || res.StatusCode == 460 {
		drain(res.Body)
		return &StatusError{Status: res.StatusCode}
	}
	err = ResponseError(res)
	if w, ok := err.(*wordError); ok {
		w.after = min(w.after, cloudRetryAfter)
	}
	return err
}

// redact takes the URL out of an error of the HTTP client.
func redact(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}

var zippers = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return w
}}

// compress returns b as gzip, level 1: twice as fast as the standard library at a
// better ratio.
func compress(b []byte) []byte {
	out := bytes.NewBuffer(make([]byte, 0, len(b)/4+64))
	w := zippers.Get().(*gzip.Writer)
	w.Reset(out)
	_, _ = w.Write(b)
	_ = w.Close() // writing to memory does not fail
	zippers.Put(w)
	return out.Bytes()
}
