package trackingapi

import (
	"errors"
	"strings"
	"sync"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// What can be wrong with the JSON of a body. The texts are answers.
var (
	errMalformed = errors.New("malformed JSON")
	errNoObject  = errors.New("the body is not a JSON object")
)

// envelope is what a body says beside its messages, and where those are. All of it are
// parts of the body.
type envelope struct {
	writeKey, context, integrations, sentAt, timestamp string

	list     bool     // batch is one
	count    int      // of its elements
	messages []string // those elements, up to a limit
	most     int      // that limit
}

var envelopes = sync.Pool{New: func() any { return new(envelope) }}

// newEnvelope is for bodies with that many messages at the most. It goes back by release.
func newEnvelope(most int) *envelope {
	e := envelopes.Get().(*envelope)
	e.most = most
	return e
}

func (e *envelope) release() {
	clear(e.messages)
	*e = envelope{messages: e.messages[:0]}
	envelopes.Put(e)
}

// read takes the members of a body and sees that all of it is JSON, in one pass. Of equal
// keys the last counts, as everywhere.
func (e *envelope) read(body string) error {
	i, object := jsontext.SkipSpace(body, 0), false
	if object = i < len(body) && body[i] == '{'; object {
		i = e.members(body, i)
	} else {
		i = value(body, i)
	}
	switch {
	case i < 0 || jsontext.SkipSpace(body, i) < len(body):
		return errMalformed
	case !object:
		return errNoObject
	}
	return nil
}

// members reads the object at i and returns its end or -1.
func (e *envelope) members(s string, i int) int {
	if i = jsontext.SkipSpace(s, i+1); i < len(s) && s[i] == '}' {
		return i + 1
	}
	for {
		begin := i
		if i = key(s, begin); i < 0 {
			return -1
		}
		name := jsontext.Unquote(s[begin:jsontext.SkipString(s, begin)])
		begin = i
		if name == "batch" {
			i = e.batch(s, i)
		} else {
			i = value(s, i)
		}
		if i < 0 {
			return -1
		}
		e.member(name, s[begin:i])
		switch i = jsontext.SkipSpace(s, i); {
		case i < len(s) && s[i] == '}':
			return i + 1
		case i == len(s) || s[i] != ',':
			return -1
		}
		i = jsontext.SkipSpace(s, i+1)
	}
}

func (e *envelope) member(name, value string) {
	switch name {
	case "writeKey":
		e.writeKey = strings.Clone(str(value)) // a KeyStore may keep it longer than the body lives
	case "context":
		e.context = value
	case "integrations":
		e.integrations = value
	case "sentAt":
		e.sentAt = value
	case "timestamp":
		e.timestamp = value
	}
}

// batch reads the list of messages at i and returns its end or -1.
func (e *envelope) batch(s string, i int) int {
	e.count, e.messages = 0, e.messages[:0]
	if e.list = i < len(s) && s[i] == '['; !e.list {
		return value(s, i)
	}
	if i = jsontext.SkipSpace(s, i+1); i < len(s) && s[i] == ']' {
		return i + 1
	}
	for {
		begin := i
		if i = value(s, i); i < 0 {
			return -1
		}
		if e.count++; e.count <= e.most {
			e.messages = append(e.messages, s[begin:i])
		}
		switch i = jsontext.SkipSpace(s, i); {
		case i < len(s) && s[i] == ']':
			return i + 1
		case i == len(s) || s[i] != ',':
			return -1
		}
		i = jsontext.SkipSpace(s, i+1)
	}
}
