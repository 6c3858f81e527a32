package trackingapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tributary-dev/analytics"
)

// Code says why a message or a request was refused, by the names that Segment has for
// it.
type Code string

// The codes.
const (
	CodeNoID               Code = "no_user_anon_id"
	CodeIDNotString        Code = "id_not_string"
	CodeEventNotDefined    Code = "event_not_defined"
	CodeEventNotString     Code = "event_not_string"
	CodePropertiesNoObject Code = "properties_not_object"
	CodeTraitsNoObject     Code = "traits_not_object"
	CodeNameNotString      Code = "name_not_string"
	CodeCategoryNotString  Code = "category_not_string"
	CodeIDRequired         Code = "id_required" // groupId, or an id of alias
	CodeEmptyBatch         Code = "empty_batch" // no messages

	// Of the event "Segment Consent Preference Updated".
	CodeConsentMissing     Code = "consent_categorypreferences_should_exist"
	CodeConsentNoObject    Code = "consent_categorypreferences_fields_should_be_object"
	CodeConsentNoBool      Code = "consent_categorypreferences_fields_should_be_bool"
	CodeConsentVersion     Code = "consent_version_should_be_number"
	CodeConsentAdvertising Code = "device_advertisingid_should_be_string"

	CodeSourceDisabled  Code = "source_disabled"
	CodeUnknownSource   Code = "unknown_source"
	CodeBadRequest      Code = "bad_request"
	CodeTooManyRequests Code = "too_many_requests"
	CodeInternal        Code = "internal"
)

const codeBadRequest = CodeBadRequest

// Discard is a message that was not accepted because of what it is.
type Discard struct {
	Source    string // name of the source
	Code      Code
	Field     string // as in the JSON; empty if it is about the whole message
	MessageID string // empty if there is none that can be read
	Err       error
}

// answer is the body of the Tracking API.
type answer struct {
	Success bool   `json:"success"`
	Message string `json:"message,omitempty"`
	Code    Code   `json:"code,omitempty"`
}

var accepted = []byte(`{"success":true}`)

// ok says that everything valid was accepted.
func (c *exchange) ok() { c.write(http.StatusOK, accepted) }

// refuse says why not. The message is one of ours and quotes nothing.
func (c *exchange) refuse(status int, code Code, message string) {
	if c.route.kind == kindPixel && status != http.StatusMethodNotAllowed {
		if status != http.StatusBadRequest { // those are counted where they are found
			c.h.discard(Discard{Code: code, Err: errors.New(message)})
		}
		c.pixelAnswer()
		return
	}
	body, _ := json.Marshal(answer{Message: message, Code: code}) // strings
	c.write(status, body)
}

func (c *exchange) write(status int, body []byte) {
	c.status = status
	header := c.w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body) // a client that has gone learns nothing
	}
}

// retryAfter is how long a client has to wait while the queue is full or the server
// ends.
const retryAfter = 2 * time.Second

func (c *exchange) wait(status int, code Code, message string, after time.Duration) {
	seconds := strconv.Itoa(int((after + time.Second - 1) / time.Second))
	c.w.Header().Set("Retry-After", seconds)
	if status == http.StatusTooManyRequests {
		c.w.Header().Set("X-RateLimit-Reset", seconds)
	}
	c.refuse(status, code, message)
}

func (c *exchange) unavailable(message string) {
	c.wait(http.StatusServiceUnavailable, CodeInternal, message, retryAfter)
}

// codeOf is the code for a field of a message of that type; absent tells which fields are
// not there.
func codeOf(field string, call analytics.Call, absent func(field string) bool) Code {
	switch field {
	case "userId", "anonymousId":
		switch {
		case call == analytics.CallAlias && absent("userId"):
			return CodeIDRequired
		case absent("userId") && absent("anonymousId"):
			return CodeNoID
		}
		return CodeIDNotString
	case "groupId", "previousId":
		if absent(field) {
			return CodeIDRequired
		}
		return CodeIDNotString
	case "event":
		if absent(field) {
			return CodeEventNotDefined
		}
		return CodeEventNotString
	case "properties":
		return CodePropertiesNoObject
	case "traits":
		return CodeTraitsNoObject
	case "name":
		return CodeNameNotString
	case "category":
		return CodeCategoryNotString
	}
	return CodeBadRequest
}
