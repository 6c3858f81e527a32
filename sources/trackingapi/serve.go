package trackingapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// maxQuery is the longest query that is looked at, in bytes.
const maxQuery = 16 << 10

// pixel takes the message in a query. The answer is the image, whatever came of it.
func (c *exchange) pixel() {
	if c.r.Method == http.MethodHead { // a scanner of mails, nobody's opening
		c.pixelAnswer()
		return
	}
	query, err := c.query()
	if err == nil {
		err = c.h.cfg.Pixels.Verify(c.r.URL)
	}
	if err != nil {
		c.h.discard(Discard{Code: CodeBadRequest, Err: err})
		c.pixelAnswer()
		return
	}
	message, writeKey, err := pixelMessage(query, c.route.call)
	if err != nil {
		c.h.discard(Discard{Code: CodeBadRequest, Err: err})
		c.pixelAnswer()
		return
	}
	source, err := c.source(writeKey)
	if c.refused(source, err) {
		return
	}
	d := c.delivery(source)
	d.in.Call = c.route.call
	facts := c.h.cfg.Facts.Context(c.r)
	d.in.Context = &analytics.Context{UserAgent: facts.UserAgent, Page: analytics.PageInfo{Referrer: facts.Page.Referrer}}
	d.take(text(message))
	d.answer()
}

func (c *exchange) query() (url.Values, error) {
	if len(c.r.URL.RawQuery) > maxQuery {
		return nil, errTooLarge
	}
	return url.ParseQuery(c.r.URL.RawQuery)
}

func (c *exchange) pixelAnswer() {
	header := c.w.Header()
	header.Set("Content-Type", "image/gif")
	header.Set("Cache-Control", "no-store")
	c.status = http.StatusOK
	c.w.WriteHeader(c.status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(gif)
	}
}

// settings serves the document of the source whose key is in the path.
func (c *exchange) settings() {
	source, err := c.h.cfg.Keys.Source(c.r.Context(), c.route.param)
	switch {
	case errors.Is(err, ErrUnknownKey), errors.Is(err, ErrDisabled):
		c.refuse(http.StatusNotFound, CodeUnknownSource, "unknown write key")
		return
	case err != nil:
		c.unavailable("write keys cannot be checked")
		return
	}
	settings := &Settings{}
	if source.Settings != nil {
		if settings, err = source.Settings(c.r.Context(), c.r); err != nil || settings == nil {
			c.h.cfg.Logger.Warn("settings cannot be made", "source", source.Name, "error", err)
			c.unavailable("settings cannot be made")
			return
		}
	}
	doc, err := settings.document(c.route.param, c.apiHost())
	if err != nil {
		c.h.cfg.Logger.Warn("settings cannot be encoded", "source", source.Name, "error", err)
		c.unavailable("settings cannot be encoded")
		return
	}
	c.status = serveDocument(c.w, c.r, doc)
}

// apiHost is where libraries shall send to: this host, and the prefix under which the
// handler is mounted.
func (c *exchange) apiHost() string {
	path := strings.TrimSuffix(c.r.URL.Path, "/")
	prefix := path[:max(strings.LastIndex(path, "/projects/"), 0)]
	return c.r.Host + strings.TrimSuffix(prefix, "/v1") + "/v1"
}

// isLink tells whether a request is for the Querystring API.
func (h *Handler) isLink(r *http.Request) bool {
	return h.cfg.Links != nil && r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "ajs_")
}

// link makes the calls that a query asks for, as far as the patterns allow.
func (c *exchange) link() {
	if !c.h.begin() {
		c.unavailable("shutting down")
		return
	}
	defer c.h.serving.Done()
	query, err := c.query()
	if err != nil {
		c.refuse(http.StatusBadRequest, CodeBadRequest, "the query cannot be read")
		return
	}
	source, err := c.source(query.Get("writeKey"))
	if c.refused(source, err) {
		return
	}
	ctx := analytics.NewContext(c.r.Context(), c.h.cfg.Facts.Context(withoutKey(c.r, query)))
	ctx = analytics.NewIdentity(ctx, c.h.cfg.Facts.Identity(c.r))
	for _, m := range c.h.cfg.Links.Calls(c.r.URL) {
		if !c.enqueue(source, func() error { return source.Client.Enqueue(ctx, m) }) {
			return
		}
	}
	c.status = http.StatusNoContent
	c.w.WriteHeader(c.status)
}

// withoutKey is the request as it becomes part of an event: without its write key.
func withoutKey(r *http.Request, query url.Values) *http.Request {
	clean := r.Clone(r.Context())
	query.Del("writeKey")
	clean.URL.RawQuery = query.Encode()
	return clean
}

// enqueue makes a call of the client and answers if that ends the request.
func (c *exchange) enqueue(source *Source, call func() error) (ok bool) {
	err := call()
	var invalid *analytics.InvalidError
	switch {
	case err == nil:
		c.h.metrics.events.Add(1)
		return true
	case errors.As(err, &invalid):
		c.h.discard(Discard{Source: source.Name, Code: CodeBadRequest, Field: invalid.Field, Err: err})
		if c.h.cfg.Strict {
			c.refuse(http.StatusBadRequest, CodeBadRequest, "message refused: "+invalid.Error())
			return false
		}
		return true
	}
	d := &delivery{c: c, source: source, err: err}
	d.answer()
	return false
}

// set takes objects.
func (c *exchange) set() {
	buf, err := c.readBody(c.h.limits.BodyBytes)
	if err != nil {
		c.refuseBody(err)
		return
	}
	defer release(buf)
	var keys struct {
		WriteKey  string `json:"writeKey"`
		WriteKey2 string `json:"write_key"` // as objects-go has it
	}
	if err := json.Unmarshal(bytes.TrimPrefix(buf.Bytes(), byteOrderMark), &keys); err != nil {
		c.refuse(http.StatusBadRequest, CodeBadRequest, "malformed JSON")
		return
	}
	key := keys.WriteKey
	if key == "" {
		key = keys.WriteKey2
	}
	source, err := c.source(key)
	if c.refused(source, err) {
		return
	}
	objects, err := parseSet(buf.Bytes())
	if err != nil {
		c.h.discard(Discard{Source: source.Name, Code: CodeBadRequest, Err: err})
		c.refuse(http.StatusBadRequest, CodeBadRequest, err.Error())
		return
	}
	for _, o := range objects {
		if !c.enqueue(source, func() error { return source.Client.Enqueue(c.r.Context(), c.object(o)) }) {
			return
		}
	}
	c.ok()
}

// object is an object with the time when it came.
func (c *exchange) object(o analytics.Object) analytics.Event {
	properties, _ := o.Properties.(map[string]any)
	return analytics.Event{
		Type: analytics.CallObject, MessageID: o.MessageID, Collection: o.Collection, ObjectID: o.ID, Properties: properties,
		Timestamp: o.Timestamp, Integrations: o.Integrations, ReceivedAt: c.received.Truncate(time.Millisecond),
	}
}

// bulk is one step of a bulk upload.
func (c *exchange) bulk() {
	source, err := c.source("")
	if c.refused(source, err) {
		return
	}
	switch c.route.kind {
	case kindBulkStart:
		id, err := c.h.bulk.start()
		c.bulkAnswer(http.StatusCreated, "sync_id", id, err)
	case kindBulkUpload:
		c.upload(source)
	case kindKeepAlive:
		c.bulkAnswer(http.StatusOK, "", "", c.h.bulk.keepAlive(c.route.param))
	case kindBulkFinish:
		c.bulkAnswer(http.StatusAccepted, "", "", c.h.bulk.finish(c.route.param))
	}
}

func (c *exchange) upload(source *Source) {
	var ended bool
	from := &steady{r: c.r.Body, control: http.NewResponseController(c.w), within: c.h.limits.ReadTimeout, count: &c.h.metrics.bytes}
	part, err := c.h.bulk.upload(c.route.param, from, func(o analytics.Object) error {
		if !c.enqueue(source, func() error { return source.Client.Enqueue(c.r.Context(), c.object(o)) }) {
			ended = true
			return errBroken
		}
		return nil
	})
	if !ended {
		c.bulkAnswer(http.StatusCreated, "part_id", part, err)
	}
}

func (c *exchange) bulkAnswer(status int, key, id string, err error) {
	switch {
	case errors.Is(err, errSessions):
		c.wait(http.StatusTooManyRequests, CodeTooManyRequests, err.Error(), retryAfter)
	case errors.Is(err, errSlow):
		c.refuse(http.StatusRequestTimeout, CodeBadRequest, err.Error())
	case errors.Is(err, errTooLarge):
		c.refuse(http.StatusRequestEntityTooLarge, CodeBadRequest, err.Error())
	case err != nil:
		c.refuse(http.StatusBadRequest, CodeBadRequest, err.Error())
	case key == "":
		c.write(status, accepted)
	default:
		body, _ := json.Marshal(map[string]string{key: id})
		c.write(status, body)
	}
}
