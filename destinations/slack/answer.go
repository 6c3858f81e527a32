package slack

import (
	"net/http"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// quiet is how long Slack wants a channel to be quiet where it does not say.
const quiet = 30 * time.Second

// The codes with which Slack refuses a bot. What is not among them is about the message.
var (
	settings = dest.Keys("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "missing_scope",
		"no_permission", "not_in_channel", "is_archived", "channel_not_found", "access_denied", "ekm_access_denied",
		"team_access_not_granted")
	passing = dest.Keys("internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org",
		"message_limit_exceeded")
)

// answerError reads an answer to n messages: a webhook that is gone answers 403, 404 or
// 410, and the API for bots refuses with status 200.
func answerError(answer *dest.Answer, bot bool, n int) error {
	switch answer.Status {
	case http.StatusOK:
		if !bot {
			return nil
		}
		return botError(answer, n)
	case http.StatusTooManyRequests:
		return tooFast(answer)
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return analytics.Unauthorized(answer.Fault(strings.TrimSpace(string(answer.Body[:min(len(answer.Body), 100)]))))
	}
	return answer.Err()
}

func botError(answer *dest.Answer, n int) error {
	var body map[string]any
	if err := answer.Decode(&body); err != nil {
		return err // somebody else has answered
	}
	if body["ok"] == true {
		return nil
	}
	code, _ := body["error"].(string)
	err := answer.Fault(code)
	switch {
	case code == "ratelimited" || code == "rate_limited":
		return tooFast(answer)
	case settings(code):
		return analytics.Unauthorized(err)
	case passing(code):
		return err
	case n > 1:
		return analytics.Split(err) // one of them
	}
	return analytics.Permanent(err)
}

func tooFast(answer *dest.Answer) error {
	after := answer.RetryAfter()
	if after == 0 {
		after = quiet
	}
	return analytics.RetryAfter(after, answer.Fault("ratelimited"))
}
