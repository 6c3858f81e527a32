package metacapi

import (
	"net/http"
	"regexp"
	"strconv"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// graphError is the error of the Graph API.
type graphError struct {
	Code      int    `json:"code"`
	Transient bool   `json:"is_transient"`
	Message   string `json:"error_user_msg"`
}

// answerError reads an answer for n events.
func (d *Destination) answerError(answer *dest.Answer, n int) error {
	switch answer.Status {
	case http.StatusOK:
		d.count(answer, n)
		return nil
	case http.StatusBadRequest:
		var body struct {
			Error graphError `json:"error"`
		}
		if answer.Decode(&body) == nil {
			return body.Error.word(answer, n)
		}
	}
	return answer.Err()
}

// count tells the log if Meta took fewer events than it was sent. Which ones, it does
// not say.
func (d *Destination) count(answer *dest.Answer, n int) {
	var body struct {
		Received *int `json:"events_received"`
	}
	if answer.Decode(&body) == nil && body.Received != nil && *body.Received < n && d.logger != nil {
		d.logger.Warn("fewer events received than sent", "destination", name, "sent", n, "received", *body.Received)
	}
}

func (e *graphError) word(answer *dest.Answer, n int) error {
	err := answer.Fault("code_" + strconv.Itoa(e.Code))
	switch {
	case e.Transient, e.Code == 1, e.Code == 2:
		return err
	case e.throttles():
		return analytics.RetryAfter(answer.RetryAfter(), err)
	case e.Code == 190, e.Code == 102, e.Code == 10, e.Code >= 200 && e.Code <= 299:
		return analytics.Unauthorized(err)
	}
	if bad, ok := e.index(n); ok && n > 1 {
		failed := &analytics.BatchError{}
		failed.Set(bad, analytics.Permanent(err))
		for i := range n {
			failed.Set(i, dest.AtOnce(answer.Fault("others_refused")))
		}
		return failed
	}
	return analytics.Split(err)
}

func (e *graphError) throttles() bool {
	switch e.Code {
	case 4, 17, 32, 341, 368, 613, 80004:
		return true
	}
	return false
}

// eventIndex is how Meta names the event at fault; it has no field for that.
var eventIndex = regexp.MustCompile(`(?i)\bevent with index (\d{1,4})\b`)

func (e *graphError) index(n int) (int, bool) {
	found := eventIndex.FindStringSubmatch(e.Message)
	if found == nil {
		return 0, false
	}
	i, err := strconv.Atoi(found[1])
	return i, err == nil && i < n
}
