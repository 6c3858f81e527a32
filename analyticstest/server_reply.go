package analyticstest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Reply is one step of a script. The zero Reply judges the request as the real
// API does and answers at once.
type Reply struct {
	// Status is the answer's status; zero means 200. With a 2xx the request is
	// judged, and a 400 or 401 it deserves wins over Status. With any other
	// status nothing in the request is accepted.
	Status int

	// RetryAfter, if set, is sent verbatim in the Retry-After header.
	RetryAfter string

	// Header is added to the answer's header and wins over the server's own.
	Header http.Header

	// Body replaces the answer's body.
	Body []byte

	// BodySize fills the body up with padding to so many bytes; negative makes
	// it endless.
	BodySize int64

	// BodyDelay makes the body dribble: one byte after each such pause.
	BodyDelay time.Duration

	// Delay passes before the answer, or before the reset. The request has
	// been judged and recorded by then, so a client that gives up meanwhile
	// and sends again produces duplicates, as it would in the field.
	Delay time.Duration

	// Reset breaks the connection instead of judging the request.
	Reset bool

	// LoseAnswer judges and records the request, then breaks the connection
	// instead of answering.
	LoseAnswer bool

	// Hang never answers; it ends when the client goes away or the server is
	// closed. The request is not judged, unless LoseAnswer is set too.
	Hang bool

	// Times is how many requests in a row take this step. Zero means one,
	// negative means all from here on.
	Times int
}

// Statuses makes a step of each status, for [Server.Script] and
// [Server.TokenScript].
func Statuses(statuses ...int) []Reply {
	replies := make([]Reply, len(statuses))
	for i, status := range statuses {
		replies[i].Status = status
	}
	return replies
}

// judges reports whether the request of this step is judged and recorded.
func (r Reply) judges() bool {
	return r.LoseAnswer || !r.Reset && !r.Hang && (r.Status == 0 || r.Status/100 == 2)
}

// script is the steps not yet taken.
type script struct{ steps []Reply }

func (q *script) add(replies []Reply) { q.steps = append(q.steps, replies...) }

// next takes a step; ok is false when none is left.
func (q *script) next() (r Reply, ok bool) {
	if len(q.steps) == 0 {
		return Reply{}, false
	}
	r = q.steps[0]
	switch {
	case r.Times < 0:
	case r.Times > 1:
		q.steps[0].Times--
	default:
		q.steps = q.steps[1:]
	}
	return r, true
}

// answer is what goes back to the client, and how.
type answer struct {
	entry     *Request // told the status when the answer leaves
	delay     time.Duration
	hang      bool
	reset     bool
	status    int
	header    http.Header
	body      []byte
	size      int64 // negative is endless
	bodyDelay time.Duration
}

// answer dresses a status and JSON body in what the step asks for.
func (r Reply) answer(e *Request, status int, body []byte, now time.Time) answer {
	if r.Body != nil {
		body = r.Body
	}
	a := answer{
		entry: e, delay: r.Delay, hang: r.Hang, reset: r.Reset || r.LoseAnswer,
		status: status, body: body, size: int64(len(body)), bodyDelay: r.BodyDelay,
		header: http.Header{
			"Content-Type": {"application/json"},
			"Date":         {now.UTC().Format(http.TimeFormat)},
		},
	}
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified:
		a.body, a.size = nil, 0
	case r.BodySize < 0:
		a.size = -1
	case r.BodySize > a.size:
		a.size = r.BodySize
	}
	if a.size >= 0 {
		a.header.Set("Content-Length", strconv.FormatInt(a.size, 10))
	}
	if r.RetryAfter != "" {
		a.header.Set("Retry-After", r.RetryAfter)
	}
	for name, values := range r.Header {
		a.header[http.CanonicalHeaderKey(name)] = values
	}
	return a
}

// reportBody is the body of ingestion answers. The documents are silent about
// it; this is the shape in the fixtures of Segment's open client code.
func reportBody(status int, message string) []byte {
	type report struct {
		Success bool   `json:"success"`
		Message string `json:"message,omitempty"`
		Code    string `json:"code,omitempty"`
	}
	r := report{Success: status/100 == 2}
	if !r.Success {
		r.Message, r.Code = message, "invalid_request"
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // two strings and a bool always encode
	}
	return b
}
