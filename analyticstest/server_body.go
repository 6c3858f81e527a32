package analyticstest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// call is one ingestion request as far as the server could understand it.
type call struct {
	kind      string // a message type, kindBatch, or empty for an unknown path
	fault     *fault // why the rest could not be understood
	wire      int64  // body bytes as received
	size      int64  // body bytes after decompression
	data      []byte
	top       map[string]json.RawMessage // the outermost object
	messages  []message
	noBatch   bool // the envelope has no batch member
	basicKey  string
	bodyKey   string
	token     string
	hasColon  bool // in the Basic credentials
	badHeader bool // an Authorization header that is neither Basic nor Bearer
}

// message is one message, still encoded.
type message struct {
	raw    json.RawMessage
	fields map[string]json.RawMessage // nil if it is no object
	kind   string
	id     string // empty if it has none
}

// fault is an answer other than 200.
type fault struct {
	status  int
	message string
}

const kindBatch = "batch"

// routes are the documented paths, the short forms of the web SDK and the
// batch paths of the web, mobile and import clients.
var routes = map[string]string{
	"/v1/identify": "identify", "/v1/i": "identify",
	"/v1/track": "track", "/v1/t": "track",
	"/v1/page": "page", "/v1/p": "page",
	"/v1/screen": "screen", "/v1/s": "screen",
	"/v1/group": "group", "/v1/g": "group",
	"/v1/alias": "alias", "/v1/a": "alias",
	"/v1/batch": kindBatch, "/v1/b": kindBatch, "/v1/import": kindBatch,
}

// readCall reads and understands a request. The error is for a body that
// cannot be read at all: the client went away.
func readCall(r *http.Request, rules Rules) (*call, error) {
	c := &call{kind: routes[route(r, rules)]}
	limit := rules.MaxBatch
	if c.kind != kindBatch {
		limit = rules.MaxMessage
	}
	encoding := strings.ToLower(r.Header.Get("Content-Encoding"))
	p, err := readPayload(r.Body, encoding == "gzip", int64(limit))
	c.wire, c.size, c.data = p.wire, p.size, p.data
	if err != nil {
		return c, err
	}
	c.credentials(r.Header.Get("Authorization"))
	switch {
	case c.kind == "":
		c.fault = &fault{http.StatusNotFound, "no such path"}
	case r.Method != http.MethodPost:
		c.fault = &fault{http.StatusMethodNotAllowed, "method not allowed"}
	case !knownType(r.Header.Get("Content-Type")):
		c.fault = &fault{http.StatusBadRequest, "unsupported content type"}
	case encoding != "" && encoding != "identity" && encoding != "gzip":
		c.fault = &fault{http.StatusBadRequest, "unsupported content encoding"}
	case p.size > int64(limit):
		c.fault = &fault{http.StatusBadRequest, "body too large"}
	case p.broken:
		c.fault = malformed
	default:
		c.fault = c.parse()
	}
	return c, nil
}

// malformed is the answer to a body that is no JSON object, as in the fixtures
// of Segment's open client code.
var malformed = &fault{http.StatusBadRequest, "malformed JSON"}

// route is the path without the prefix of the proxy, or empty outside of it.
func route(r *http.Request, rules Rules) string {
	path, ok := strings.CutPrefix(r.URL.Path, strings.TrimSuffix(rules.Prefix, "/"))
	if !ok {
		return ""
	}
	return path
}

// knownType: the documents require application/json; web and mobile SDKs send
// text/plain.
func knownType(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/plain")
}

// parse takes the body apart: an envelope with its messages, or one message.
func (c *call) parse() *fault {
	if !json.Valid(c.data) {
		return malformed
	}
	start := space(c.data, 0)
	c.data = c.data[start:]
	if !isObject(c.data) {
		return malformed
	}
	c.data = c.data[:skip(c.data, 0)]
	c.top = members(c.data)
	c.bodyKey, _ = text(c.top["writeKey"])
	if c.kind != kindBatch {
		c.messages = []message{newMessage(c.data, c.top)}
		c.messages[0].kind = c.kind // implied by the path
		return nil
	}
	batch := c.top["batch"]
	if absent(batch) {
		c.noBatch = true
		return nil
	}
	if !isArray(batch) {
		return malformed
	}
	for _, raw := range elements(batch) {
		var fields map[string]json.RawMessage
		if isObject(raw) {
			fields = members(raw)
		}
		c.messages = append(c.messages, newMessage(raw, fields))
	}
	return nil
}

func newMessage(raw json.RawMessage, fields map[string]json.RawMessage) message {
	m := message{raw: raw, fields: fields}
	m.kind, _ = text(fields["type"])
	m.id, _ = text(fields["messageId"])
	return m
}

// payload is a body, cut off one byte above the limit.
type payload struct {
	data   []byte
	wire   int64
	size   int64
	broken bool // announced as gzip, and is not
}

// readPayload keeps at most limit+1 bytes. What follows is counted up to a
// bound and thrown away, so neither a huge body nor a small one that inflates
// hugely costs memory.
func readPayload(body io.Reader, gzipped bool, limit int64) (payload, error) {
	bound := max(8<<20, 2*limit)
	wire := &meter{r: io.LimitReader(body, bound)}
	var p payload
	var src io.Reader = wire
	if gzipped {
		z, err := gzip.NewReader(wire)
		if err != nil {
			p.broken = true
		} else {
			src = io.LimitReader(z, bound)
		}
	}
	if !p.broken {
		var err, restErr error
		var rest int64
		p.data, err = io.ReadAll(io.LimitReader(src, limit+1))
		if err == nil {
			rest, restErr = io.Copy(io.Discard, src)
		}
		p.size = int64(len(p.data)) + rest
		p.broken = err != nil || restErr != nil
	}
	_, _ = io.Copy(io.Discard, wire) // the error is kept in wire
	p.wire = wire.n
	if wire.err != nil {
		return p, fmt.Errorf("read the request's body: %w", wire.err)
	}
	return p, nil
}

// meter counts what is read and keeps the error that ended it.
type meter struct {
	r   io.Reader
	n   int64
	err error
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}
