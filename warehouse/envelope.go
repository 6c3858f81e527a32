package warehouse

import (
	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// envelope is what stands at the top of an event. Strings are parts of it.
type envelope struct {
	call                        analytics.Call
	id, userID, anonymousID     string
	groupID, previousID         string
	event, name, category       string
	collection, objectID        string
	timestamp, original         int64
	sent, received              int64
	properties, traits, context int // where they begin; 0: absent
	nuls                        int
}

// open reads the top of an event; false if it is no JSON object, or has no messageId.
func (e *envelope) open(s string, acceptedAt int64) bool {
	*e = envelope{}
	var times [4]int64
	i := jsontext.SkipSpace(s, 0)
	if i >= len(s) || s[i] != '{' {
		return false
	}
	for first := true; ; first = false {
		if i = jsontext.SkipSpace(s, i+1); i >= len(s) {
			return false
		}
		if s[i] == '}' && first {
			break
		}
		key, at := memberKey(s, i)
		if at < 0 {
			return false
		}
		if i = e.member(plainKey(key), s, at, &times); i < 0 {
			return false
		}
		if i = jsontext.SkipSpace(s, i); i >= len(s) {
			return false
		}
		if s[i] == '}' {
			break
		}
		if s[i] != ',' {
			return false
		}
	}
	e.stamp(times, acceptedAt)
	return e.id != ""
}

// The times of an event, as indices.
const (
	atTimestamp = iota
	atOriginal
	atSent
	atReceived
)

// missing is no moment.
const missing = firstMicro - 1

// stamp fills in the four times: what is missing comes from the others.
func (e *envelope) stamp(given [4]int64, acceptedAt int64) {
	or := func(a, b int64) int64 {
		if a == 0 {
			return b
		}
		return a + missing
	}
	e.received = or(given[atReceived], acceptedAt)
	e.timestamp = or(given[atTimestamp], e.received)
	e.original = or(given[atOriginal], e.timestamp)
	e.sent = min(or(given[atSent], e.received), e.received)
}

// member reads the value at i and returns its end.
func (e *envelope) member(key, s string, i int, times *[4]int64) int {
	var text *string
	switch key {
	case "type":
		text = (*string)(&e.call)
	case "messageId":
		text = &e.id
	case "userId":
		text = &e.userID
	case "anonymousId":
		text = &e.anonymousID
	case "groupId":
		text = &e.groupID
	case "previousId":
		text = &e.previousID
	case "event":
		text = &e.event
	case "name":
		text = &e.name
	case "category":
		text = &e.category
	case "collection":
		text = &e.collection
	case "id":
		text = &e.objectID
	case "timestamp":
		return moment(s, i, &times[atTimestamp])
	case "originalTimestamp":
		return moment(s, i, &times[atOriginal])
	case "sentAt":
		return moment(s, i, &times[atSent])
	case "receivedAt":
		return moment(s, i, &times[atReceived])
	case "properties":
		e.properties = i
	case "traits":
		e.traits = i
	case "context":
		e.context = i
	}
	end := jsontext.SkipValue(s, i, 0)
	if end < 0 || text == nil {
		return end
	}
	switch {
	case s[i] == '"':
		plain, nul := replaceNUL(s[i:end])
		*text = plain
		if nul {
			e.nuls++
		}
	case s[i] == '-', s[i] >= '0' && s[i] <= '9':
		*text = s[i:end] // an id that is a number
	}
	return end
}

// moment reads a time; to is how long after missing it is, 0 if it is none.
func moment(s string, i int, to *int64) int {
	end := jsontext.SkipValue(s, i, 0)
	if end > 0 && s[i] == '"' {
		if micros, ok := anyTime(jsontext.Unquote(s[i:end])); ok {
			*to = micros - missing
		}
	}
	return end
}
