package trackingapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// exchange is one request and its answer.
type exchange struct {
	h        *Handler
	w        http.ResponseWriter
	r        *http.Request
	route    route
	received time.Time
	status   int // that was answered
}

func (c *exchange) serve() {
	switch c.route.kind {
	case kindCall, kindBatch:
		c.messages()
	case kindMetrics:
		c.telemetry()
	case kindPixel:
		c.pixel()
	case kindSettings:
		c.settings()
	case kindSet:
		c.set()
	default:
		c.bulk()
	}
}

// byteOrderMark is what some clients begin with.
var byteOrderMark = []byte("\xef\xbb\xbf")

// messages takes one message or a batch.
func (c *exchange) messages() {
	most := c.h.limits.BodyBytes
	if c.route.kind == kindCall {
		most = min(most, c.h.limits.MessageBytes)
	}
	buf, err := c.readBody(most)
	if err != nil {
		c.refuseBody(err)
		return
	}
	defer release(buf)
	body := text(bytes.TrimPrefix(buf.Bytes(), byteOrderMark))
	if strings.TrimSpace(body) == "" {
		c.refuse(http.StatusBadRequest, CodeBadRequest, errEmptyBody.Error())
		return
	}
	env := newEnvelope(c.h.limits.Messages)
	defer env.release()
	if err := env.read(body); err != nil {
		c.refuse(http.StatusBadRequest, CodeBadRequest, err.Error())
		return
	}
	source, err := c.source(env.writeKey)
	if c.refused(source, err) {
		return
	}
	d := c.delivery(source)
	if c.route.kind == kindCall {
		d.in.Call = c.route.call
		d.take(body)
	} else if err := d.batch(env); err != nil {
		c.refuse(http.StatusBadRequest, CodeBadRequest, err.Error())
		return
	}
	d.answer()
}

// refused answers where there is no source, or too much of it.
func (c *exchange) refused(source *Source, err error) bool {
	switch {
	case err == nil:
	case errors.Is(err, ErrUnknownKey):
		if c.route.kind != kindPixel {
			c.w.Header().Set("WWW-Authenticate", `Basic realm="write key"`)
		}
		c.refuse(http.StatusUnauthorized, CodeUnknownSource, "unknown or missing write key")
		return true
	case errors.Is(err, ErrDisabled):
		c.h.discard(Discard{Code: CodeSourceDisabled, Err: err})
		if c.h.cfg.Strict {
			c.refuse(http.StatusBadRequest, CodeSourceDisabled, "the source is disabled")
		} else {
			c.done()
		}
		return true
	default:
		c.h.cfg.Logger.Warn("write keys cannot be checked", "error", err)
		c.unavailable("write keys cannot be checked")
		return true
	}
	if after := c.h.rates.wait(source, c.received); after > 0 {
		c.wait(http.StatusTooManyRequests, CodeTooManyRequests, "too many requests for this source", after)
		return true
	}
	return false
}

// done is the success of whatever was asked for.
func (c *exchange) done() {
	if c.route.kind == kindPixel {
		c.pixelAnswer()
		return
	}
	c.ok()
}

// delivery hands the messages of one request to the client of its source.
type delivery struct {
	c        *exchange
	source   *Source
	in       analytics.Inbound
	context  string // of the batch, as it stands in the body
	accepted int
	claimed  bool // the window has the id of the message at hand for this request
	discards int
	first    Discard // of those
	err      error   // that ended it: nothing about a message
}

func (c *exchange) delivery(source *Source) *delivery {
	d := &delivery{c: c, source: source}
	d.in.ReceivedAt, d.in.NoWait = c.received, true
	d.in.IP = c.address()
	if w := c.h.window; w != nil {
		d.in.Claim = func(id string) bool {
			d.claimed = w.Claim(source.Name, id)
			return d.claimed
		}
	}
	return d
}

// address is that of the client. The request that it is taken from has nothing else, so
// that no other fact is looked for.
func (c *exchange) address() string {
	from := &http.Request{RemoteAddr: c.r.RemoteAddr}
	if len(c.h.cfg.Facts.TrustedProxies) > 0 {
		from.Header = c.r.Header
	}
	return c.h.cfg.Facts.Context(from).IP
}

// batch takes the messages of an envelope. An error refuses it as a whole.
func (d *delivery) batch(env *envelope) error {
	if !env.list {
		return errNoList
	}
	if env.count > len(env.messages) { // all of them, as at Segment
		d.note(Discard{Code: CodeBadRequest, Field: "batch", Err: errTooMany})
		return nil
	}
	if err := d.shared(env); err != nil {
		return err
	}
	d.context = env.context
	for _, message := range env.messages {
		if d.take(message); d.err != nil {
			break
		}
	}
	if env.count == 0 {
		d.note(Discard{Code: CodeEmptyBatch, Field: "batch"})
	}
	return nil
}

// shared reads what the envelope says for all of its messages. What is not of the kind
// that it should be says nothing; what cannot be read at all refuses the batch, since its
// messages are not meant without it.
func (d *delivery) shared(env *envelope) error {
	for _, part := range []struct {
		key, value string
		kind       byte
	}{{"context", env.context, '{'}, {"integrations", env.integrations, '{'}, {"sentAt", env.sentAt, '"'}, {"timestamp", env.timestamp, '"'}} {
		if part.value == "" || part.value[0] != part.kind {
			continue
		}
		var e analytics.Event
		if e.UnmarshalJSON([]byte(`{"`+part.key+`":`+part.value+`}`)) != nil {
			return errShared
		}
		switch part.key {
		case "context":
			d.in.Context = e.Context
		case "integrations":
			d.in.Integrations = e.Integrations
		case "sentAt":
			d.in.SentAt = e.SentAt
		case "timestamp":
			d.in.Timestamp = e.Timestamp
		}
	}
	return nil
}

// take hands one message to the client.
func (d *delivery) take(message string) {
	if len(message) > d.c.h.limits.MessageBytes {
		d.discard(message, CodeBadRequest, &analytics.InvalidError{Field: "message", Reason: "is too large"})
		return
	}
	if code := consentCode(message, d.context); code != "" {
		d.discard(message, code, &analytics.InvalidError{Field: "context.consent", Reason: "is not what a change of consent has to have"})
		return
	}
	d.claimed = false
	switch err := d.source.Client.EnqueueJSON(d.c.r.Context(), raw(message), &d.in); {
	case err == nil:
		d.accepted++
	case errors.Is(err, analytics.ErrDuplicate):
		d.c.h.metrics.duplicates.Add(1)
	default:
		d.failed(message, err)
	}
}

// failed handles a message that the client has not accepted.
func (d *delivery) failed(message string, err error) {
	d.forget(message)
	var invalid *analytics.InvalidError
	if errors.As(err, &invalid) {
		d.discard(message, codeFor(message, d.call(message), invalid), err)
		return
	}
	d.err = err
}

// forget releases the id of a message that was claimed and then not accepted.
func (d *delivery) forget(message string) {
	if w := d.c.h.window; w != nil && d.claimed {
		if id := str(member(message, "messageId")); id != "" {
			w.Release(d.source.Name, id)
		}
	}
}

// call is the type of a message.
func (d *delivery) call(message string) analytics.Call {
	if message[0] == '{' {
		if own := str(member(message, "type")); own != "" {
			return analytics.Call(own)
		}
	}
	return d.in.Call
}

// codeFor is the code for what is wrong with a message.
func codeFor(message string, call analytics.Call, e *analytics.InvalidError) Code {
	if message[0] != '{' {
		return CodeBadRequest
	}
	return codeOf(e.Field, call, func(field string) bool {
		value := member(message, field)
		return value == "" || value == "null" || value == `""` && field == "event"
	})
}

func (d *delivery) discard(message string, code Code, err error) {
	out := Discard{Source: d.source.Name, Code: code, Err: err}
	var invalid *analytics.InvalidError
	if errors.As(err, &invalid) {
		out.Field = invalid.Field
	}
	if message[0] == '{' {
		out.MessageID = str(member(message, "messageId"))
	}
	d.note(out)
}

func (d *delivery) note(out Discard) {
	if d.discards++; d.discards == 1 {
		d.first = out
	}
	out.Source, out.MessageID = d.source.Name, strings.Clone(out.MessageID)
	d.c.h.discard(out)
}

// answer says what came of it. A request that ended early can be sent again as a whole:
// what was accepted is not accepted twice.
func (d *delivery) answer() {
	c := d.c
	c.h.metrics.events.Add(uint64(d.accepted))
	if d.err == nil {
		d.err = d.settle()
	}
	switch {
	case d.err == nil && c.h.cfg.Strict && d.discards > 0:
		c.refuse(http.StatusBadRequest, d.first.Code, "message refused: "+string(d.first.Code))
	case d.err == nil:
		c.done()
	case errors.Is(d.err, analytics.ErrQueueFull):
		c.wait(http.StatusTooManyRequests, CodeTooManyRequests, "the queue is full", retryAfter)
	case errors.Is(d.err, analytics.ErrClosed):
		c.unavailable("shutting down")
	default:
		c.unavailable("not stored")
	}
}

// settle waits for the disk where calls of the client do.
func (d *delivery) settle() error {
	ctx := context.WithoutCancel(d.c.r.Context()) // a client that has gone does not make it less durable
	return d.source.Client.Settle(ctx)
}

// telemetry is what libraries tell about themselves: nobody's business here.
func (c *exchange) telemetry() {
	buf, err := c.readBody(c.h.limits.BodyBytes)
	if err != nil {
		c.refuseBody(err)
		return
	}
	release(buf)
	c.ok()
}
