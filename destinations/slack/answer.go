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

// answerError reads an answer: the bot's API refuses with status 200, a webhook that is
// gone answers 403, 404 or 410.
func answerError(answer *dest.Answer) error {
	switch answer.Status {
	case http.StatusOK:
		return botError(answer)
	case http.StatusTooManyRequests:
		return tooFast(answer)
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return analytics.Unauthorized(answer.Fault(strings.TrimSpace(string(answer.Body[:min(len(answer.Body), 100)]))))
	}
	return answer.Err()
}

func botError(answer *dest.Answer) error {
	var body struct {
		OK    *bool  `json:"ok"`
		Error string `json:"error"`
	}
	if answer.Decode(&body) != nil || body.OK == nil || *body.OK {
		return nil // a webhook answers with a plain "ok"
	}
	err := answer.Fault(body.Error)
	switch {
	case body.Error == "ratelimited" || body.Error == "rate_limited":
		return tooFast(answer)
	case settings(body.Error):
		return analytics.Unauthorized(err)
	case passing(body.Error):
		return err
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
