package analyticstest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Request is one entry of the server's log.
type Request struct {
	Number    int // counts from 1, since the start or the last Reset
	Time      time.Time
	Method    string
	Host      string // as the client addressed it
	Path      string
	Header    http.Header // do not change; nil with Rules.IDsOnly
	Status    int         // answered status; 0 while unanswered, and after a reset
	Code      string      // what the judged request as a whole failed with, or empty
	WireBytes int64       // body as received
	BodyBytes int64       // body after decompression
	Body      []byte      // decompressed, cut off above the limit; nil with Rules.IDsOnly
	Messages  int         // messages in the body, whatever became of them
	Accepted  int
	Rejected  int
}

// Rejection is one message the real API would have dropped behind a 200.
type Rejection struct {
	Request   int // Request.Number
	MessageID string
	Code      string // as in the delivery overview's "failed on ingest"
	Reason    string
	Message   json.RawMessage // as received; nil with Rules.IDsOnly
}

// records is everything the server remembers. Server.mu guards it.
type records struct {
	log        []*Request
	tokenLog   []*Request
	messages   []json.RawMessage
	rejected   []Rejection
	accepted   int
	nameless   int               // accepted without a messageId
	duplicates int               // accepted again
	copies     map[idHash]uint32 // accepted copies; 0 if only seen
	violations []string
	unlisted   int // violations beyond the bound
}

// idHash stands for a messageId of any length.
type idHash [16]byte

func hashID(id string) idHash {
	sum := sha256.Sum256([]byte(id))
	return idHash(sum[:16])
}

func (rec *records) reset() {
	*rec = records{copies: map[idHash]uint32{}}
}

// newRequest makes the log entry for an arriving request.
func newRequest(r *http.Request, number int, rules Rules) *Request {
	e := &Request{Number: number, Time: time.Now(), Method: r.Method, Host: r.Host, Path: r.URL.Path}
	if !rules.IDsOnly {
		e.Header = r.Header.Clone()
	}
	return e
}

// see notes which ids came by, accepted or not, and checks X-Retry-Count: it is
// the number of earlier attempts and absent on the first. A request counts as a
// first try if none of its ids was ever seen.
func (rec *records) see(e *Request, c *call, counted bool) {
	first, ids := true, 0
	for _, m := range c.messages {
		if m.id == "" {
			continue
		}
		ids++
		h := hashID(m.id)
		if _, seen := rec.copies[h]; seen {
			first = false
			continue
		}
		rec.copies[h] = 0
	}
	if counted && first && ids > 0 {
		rec.violate(e, "X-Retry-Count on a first try")
	}
}

// keep stores what was decided on a judged request.
func (rec *records) keep(e *Request, v verdict, rules Rules) {
	e.Code, e.Accepted, e.Rejected = v.code, len(v.accepted), len(v.rejected)
	rec.accepted += len(v.accepted)
	for _, m := range v.accepted {
		if !rules.IDsOnly {
			rec.messages = append(rec.messages, m.raw)
		}
		if m.id == "" {
			rec.nameless++
			continue
		}
		h := hashID(m.id)
		if rec.copies[h]++; rec.copies[h] > 1 {
			rec.duplicates++
		}
	}
	for _, r := range v.rejected {
		r.Request = e.Number
		if rules.IDsOnly {
			r.Message = nil
		}
		rec.rejected = append(rec.rejected, r)
	}
}

// maxViolations bounds the list; a broken client would fill it without end.
const maxViolations = 1000

// violate lists a breach of a client's duties.
func (rec *records) violate(e *Request, what string) {
	if len(rec.violations) >= maxViolations {
		rec.unlisted++
		return
	}
	rec.violations = append(rec.violations, fmt.Sprintf("request %d: %s", e.Number, what))
}
