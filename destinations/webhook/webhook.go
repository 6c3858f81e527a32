// Package webhook posts events to any HTTP endpoint, as the JSON that the library sends
// to a Segment-compatible server, one by one or as a list.
//
// # What a receiver should know
//
// With a SharedSecret, X-Signature is the HMAC-SHA1 of the body in lower-case hex, as
// Segment's receivers expect it, and X-Signature-256 the same with SHA-256. Both are
// over the bytes of the JSON, before compression: check them before parsing.
// Idempotency-Key is the messageId, or of a list the first 32 hex digits of the SHA-256
// of its joined messageIds; it is the same when a request is sent again.
//
// A receiver of lists may refuse some of the events: with status 200 or 207 and
//
//	{"errors":[{"index":0,"message":"…","retry":false}]}
//
// those are dropped, or sent again where retry is true; the others are delivered.
package webhook

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination posts events to an HTTP endpoint. Its fields are its settings.
type Destination struct {
	// URL is where events go, http or https. It may hold a token, so that only its host
	// is ever printed. Redirects are not followed.
	URL string `json:"url" required:"true" secret:"true"`

	// Method is that of the requests.
	Method string `json:"method,omitempty" oneof:"POST PUT PATCH" default:"POST"`

	// Headers are sent with each request.
	Headers map[string]string `json:"headers,omitempty" secret:"true"`

	// SharedSecret signs the requests.
	SharedSecret string `json:"sharedSecret,omitempty" secret:"true"`

	// Batch sends lists of events; otherwise each has a request of its own.
	Batch bool `json:"batch,omitempty"`

	// BatchSize is the most events in a list, BatchBytes the largest list.
	BatchSize  int `json:"batchSize,omitempty" default:"100"`
	BatchBytes int `json:"batchBytes,omitempty" default:"512000"`

	// Gzip compresses the requests.
	Gzip bool `json:"gzip,omitempty"`

	// Ordered keeps the events in the order in which they were accepted: one request at
	// a time.
	Ordered bool `json:"ordered,omitempty"`

	// DenyPrivate refuses addresses that are loopback, link-local or private, after the
	// host was resolved. For URLs that users of the program can set.
	DenyPrivate bool `json:"denyPrivate,omitempty"`

	// Transform makes another body of an event, anything that encoding/json takes; nil
	// ignores the event. It has to be deterministic and must not change the event.
	Transform func(*analytics.Event) (any, error) `json:"-"`

	dest.Hooks

	client dest.Client
	header http.Header
}

var (
	_ analytics.Destination   = (*Destination)(nil)
	_ analytics.Opener        = (*Destination)(nil)
	_ analytics.RawTranslator = (*Destination)(nil)
)

const (
	maxRequest = 1_000_000 // bytes of a request with one event
	maxWait    = 10 * time.Minute
)

// Describe states the limits that the settings choose.
func (d *Destination) Describe() analytics.Description {
	limits := analytics.Limits{MaxItems: 1, MaxBytes: maxRequest, Linger: -1, Timeout: 10 * time.Second}
	if d.Batch {
		limits = analytics.Limits{
			MaxItems: cmp.Or(d.BatchSize, 100), MaxBytes: cmp.Or(d.BatchBytes, 512_000),
			Overhead: len("[]"), ItemOverhead: len(","), Linger: dest.Linger, Timeout: limits.Timeout,
		}
	}
	description := analytics.Description{
		Name: "Webhook", Aliases: []string{"Webhooks", "Webhook (Actions)"}, Calls: analytics.SixCalls,
	}
	if d.Ordered {
		description.Order, limits.Concurrency = analytics.Total, 1
	}
	description.Lanes = map[string]analytics.Limits{"": limits}
	return description
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	faults := dest.Check(d)
	faults.URL("URL", d.URL)
	d.checkHeaders(faults)
	d.client = dest.NewClient("webhook", env)
	if d.DenyPrivate {
		guarded, err := guard(env.HTTP)
		if err != nil {
			faults.Add("DenyPrivate", "%v", err)
		}
		d.client.HTTP = guarded
	}
	d.header = make(http.Header, len(d.Headers))
	for name, value := range d.Headers {
		d.header.Set(name, value)
	}
	return faults.Err()
}

// Deliver makes one request.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	body := d.body(b)
	header := d.header.Clone()
	header.Set("Idempotency-Key", d.idempotencyKey(b))
	d.sign(header, body)
	answer, err := d.client.Do(ctx, dest.Request{
		Method: cmp.Or(d.Method, http.MethodPost), URL: d.URL, Header: header, Body: body, Gzip: d.Gzip,
	})
	if err != nil {
		return networkError(err)
	}
	return answerError(answer, b)
}

func (d *Destination) body(b *analytics.Batch) []byte {
	if d.Batch {
		return dest.Join("[", b.Items, "]")
	}
	return dest.Join("", b.Items, "")
}

func answerError(answer *dest.Answer, b *analytics.Batch) error {
	switch answer.Status {
	case http.StatusOK, http.StatusMultiStatus:
		return partly(answer, b)
	case http.StatusGone: // the receiver is no more: a matter of settings
		return analytics.Unauthorized(answer.Fault("gone"))
	}
	if answer.RetryAfter() > maxWait {
		answer.Header.Set("Retry-After", fmt.Sprint(maxWait.Seconds()))
	}
	return answer.Err()
}

// partly reads which events the receiver refused. Any other body means none.
func partly(answer *dest.Answer, b *analytics.Batch) error {
	var body struct {
		Errors []struct {
			Index *int `json:"index"`
			Retry bool `json:"retry"`
		} `json:"errors"`
	}
	if answer.Decode(&body) != nil {
		return nil
	}
	var failed analytics.BatchError
	for _, e := range body.Errors {
		if e.Index == nil || *e.Index < 0 || *e.Index >= len(b.Items) {
			continue
		}
		if e.Retry {
			failed.Set(*e.Index, answer.Fault("retry"))
		} else {
			failed.Set(*e.Index, analytics.Permanent(answer.Fault("refused")))
		}
	}
	return failed.OrNil()
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
