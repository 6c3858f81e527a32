package analyticstest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// verdict is what the real API would have made of a request.
type verdict struct {
	status   int
	message  string // for a status other than 200
	code     string // for the request as a whole; empty if all is well
	accepted []message
	rejected []Rejection
}

// judge decides on an understood request. A 200 says nothing about the
// messages: tracking API, most invalid ones are rejected behind a 200 and
// surface in the delivery overview only.
func (s *Server) judge(c *call, rules Rules) verdict {
	if c.fault != nil {
		return verdict{status: c.fault.status, message: c.fault.message, code: "bad_request"}
	}
	if f := s.authorize(c, rules); f != nil {
		return verdict{status: f.status, message: f.message, code: "unknown_source"}
	}
	if large := c.oversized(rules); large >= 0 && !rules.DropLargeMessage {
		return verdict{
			status: http.StatusBadRequest, code: "bad_request",
			message: fmt.Sprintf("message %d too large", large),
		}
	}
	v := verdict{status: http.StatusOK}
	for _, m := range c.messages {
		code, reason := c.reject(m, rules)
		if code == "" {
			v.accepted = append(v.accepted, m)
			continue
		}
		v.rejected = append(v.rejected, Rejection{
			MessageID: m.id, Code: code, Reason: reason, Message: m.raw,
		})
	}
	v.code = v.summary(c)
	return v
}

// summary is the code of the whole request: one message hands on its own, a
// batch says whether anything was left of it.
func (v verdict) summary(c *call) string {
	switch {
	case len(c.messages) == 0:
		return "empty_batch"
	case len(v.rejected) == 0:
		return ""
	case c.kind != kindBatch:
		return v.rejected[0].Code
	case len(v.accepted) == 0:
		return "empty_batch_result"
	}
	return "multi_user_error" // only the valid ones are published
}

// reject judges one message in its request; the code is empty if it passes.
func (c *call) reject(m message, rules Rules) (code, reason string) {
	switch {
	case rules.RejectAll != "":
		return rules.RejectAll, "all messages are rejected by rule"
	case len(c.messages) > rules.MaxMessages:
		return "bad_request", fmt.Sprintf("batch of %d messages, at most %d", len(c.messages), rules.MaxMessages)
	case len(m.raw) > rules.MaxMessage:
		return "bad_request", fmt.Sprintf("message of %d bytes, at most %d", len(m.raw), rules.MaxMessage)
	}
	return m.reject(c.top["context"])
}

// oversized returns the index of the first message above the limit, or -1.
func (c *call) oversized(rules Rules) int {
	return slices.IndexFunc(c.messages, func(m message) bool { return len(m.raw) > rules.MaxMessage })
}

// credentials reads the Authorization header. Basic carries "key:" with an
// empty password; without the colon it works by backward compatibility.
func (c *call) credentials(header string) {
	scheme, value, _ := strings.Cut(header, " ")
	switch {
	case header == "":
	case strings.EqualFold(scheme, "Basic"):
		plain, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			c.badHeader = true
			return
		}
		c.basicKey, _, c.hasColon = strings.Cut(string(plain), ":")
	case strings.EqualFold(scheme, "Bearer") && value != "":
		c.token = value
	default:
		c.badHeader = true
	}
}

// authorize checks write key and token. The key may stand in the header, at
// the top of the body, or both; a token needs it in the body. The documents do
// not say with which status a bad key is refused; 401 is the common choice.
func (s *Server) authorize(c *call, rules Rules) *fault {
	if c.badHeader {
		return &fault{http.StatusUnauthorized, "unreadable Authorization header"}
	}
	if c.basicKey == "" && c.bodyKey == "" {
		return &fault{http.StatusUnauthorized, "no write key"}
	}
	for _, key := range []string{c.basicKey, c.bodyKey} {
		if key != "" && len(rules.WriteKeys) > 0 && !slices.Contains(rules.WriteKeys, key) {
			return &fault{http.StatusUnauthorized, "unknown write key"}
		}
	}
	if c.token != "" {
		return s.checkToken(c.token, rules)
	}
	if rules.OAuth.Required {
		return &fault{http.StatusUnauthorized, "no access token"}
	}
	return nil
}
