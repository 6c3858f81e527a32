package slack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	hookURL  = "https://hooks.slack.com/services/T000/B000/XXXX"
	otherURL = "https://hooks.slack.com/services/T000/B111/YYYY"
	postURL  = "https://slack.com/api/chat.postMessage"
	botToken = "xoxb-token-1"
)

// fake plays Slack: incoming webhooks and chat.postMessage.
type fake struct {
	most int    // characters of a text; zero: the 4,000 that Slack advises
	raw  bool   // templates switch escaping off
	bad  string // a text that makes Slack refuse the message, if it holds it

	mu         sync.Mutex
	queue      []answer
	violations []string
	accepted   []message
}

// message is one that was posted.
type message struct {
	URL      string `json:"-"`
	Text     string `json:"text"`
	Channel  string `json:"channel"`
	Username string `json:"username"`
	IconURL  string `json:"icon_url"`
	Blocks   []any  `json:"blocks"`
}

type answer struct {
	status int
	header http.Header
	body   string
}

// next makes Slack answer one of the next requests so, whatever it holds.
func (f *fake) next(status int, header http.Header, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, answer{status, header, body})
}

// texts returns what was posted, oldest first.
func (f *fake) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]string, len(f.accepted))
	for i, m := range f.accepted {
		list[i] = m.Text
	}
	return list
}

// ServeHTTP checks the request and answers it.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	bot := r.URL.Host == "slack.com"
	m := message{URL: r.URL.String()}
	broken := f.check(r, bot, &m)
	if broken != "" {
		f.violations = append(f.violations, fmt.Sprintf("%s: %.80q", broken, m.Text))
	}
	a := refusal(bot, broken)
	if broken == "" && f.bad != "" && strings.Contains(m.Text, f.bad) {
		a = refusal(bot, map[bool]string{true: "invalid_arguments", false: "invalid_payload"}[bot])
	}
	if broken == "" && len(f.queue) > 0 {
		a, f.queue = f.queue[0], f.queue[1:]
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
	if a.body == "ok" || a.body == `{"ok":true}` {
		f.accepted = append(f.accepted, m)
	}
}

// statuses of the codes by which webhooks refuse. sheet: Responses.
var statuses = map[string]int{
	"": 200, "invalid_payload": 400, "no_text": 400, "invalid_blocks": 400, "invalid_token": 403, "no_service": 404, "channel_not_found": 404,
}

// refusal is how a webhook and the Web API say a code; none is success.
func refusal(bot bool, code string) answer {
	switch {
	case !bot && code == "":
		return answer{status: 200, body: "ok"}
	case !bot:
		status, ok := statuses[code]
		if !ok {
			status = 400
		}
		return answer{status: status, body: code}
	case code == "":
		return answer{status: 200, body: `{"ok":true}`}
	}
	return answer{status: 200, body: fmt.Sprintf(`{"ok":false,"error":%q}`, code)}
}

// known are the fields of a message. sheet: Request.
var known = map[string]bool{"text": true, "channel": true, "username": true, "icon_url": true, "blocks": true}

// check reads the message and returns the code of the rule that it breaks.
func (f *fake) check(r *http.Request, bot bool, m *message) string {
	body, err := io.ReadAll(r.Body)
	var fields map[string]json.RawMessage
	switch {
	case err != nil, r.Method != http.MethodPost, !utf8.Valid(body):
		return "invalid_payload"
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return "invalid_payload"
	case json.Unmarshal(body, &fields) != nil, json.Unmarshal(body, m) != nil:
		return "invalid_payload"
	}
	for name := range fields {
		if !known[name] {
			return "invalid_arguments"
		}
	}
	switch {
	case bot && r.URL.String() != postURL:
		return "unknown_method"
	case bot && r.Header.Get("Authorization") == "":
		return "not_authed"
	case bot && r.Header.Get("Authorization") != "Bearer "+botToken:
		return "invalid_auth"
	case bot && m.Channel == "":
		return "channel_not_found"
	case !bot && r.Header.Get("Authorization") != "":
		return "invalid_token" // the token is not for webhooks
	case !bot && m.URL != hookURL && m.URL != otherURL:
		return "no_service"
	}
	return f.checkText(m)
}

var entity = regexp.MustCompile(`&(amp|lt|gt);`)

// checkText checks length and escapes. sheet: Limits and Mapping.
func (f *fake) checkText(m *message) string {
	most := f.most
	if most == 0 {
		most = 4000
	}
	switch {
	case strings.TrimSpace(m.Text) == "" && len(m.Blocks) == 0:
		return "no_text"
	case utf8.RuneCountInString(m.Text) > most:
		return "msg_too_long"
	case len(m.Blocks) > 50:
		return "invalid_blocks"
	case !f.raw && strings.Contains(entity.ReplaceAllString(m.Text, ""), "&"):
		return "invalid_escape"
	}
	return ""
}
