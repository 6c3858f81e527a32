package intercom

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// plan is what Deliver has to know of a message beside what it sends.
type plan struct {
	call analytics.Call
	who  contact
}

// contact is how a contact is looked for; without a value nobody is.
type contact struct {
	field string // "external_id" or "email"
	value string
}

// find returns the id of a contact, empty if there is none or more than one. cached
// tells that it was known from before.
func (d *Destination) find(ctx context.Context, who contact) (id string, cached bool, err error) {
	if id, ok := d.known.get(who, time.Now()); ok {
		return id, true, nil
	}
	j := dest.NewJSON()
	j.Open()
	j.OpenAt("query")
	j.Text("field", who.field)
	j.Text("operator", "=")
	j.Text("value", who.value)
	j.Close()
	j.Close()
	body, _ := j.Bytes() // texts only
	answer, err := d.do(ctx, http.MethodPost, "/contacts/search", body)
	if err != nil {
		return "", false, err
	}
	if err := word(answer); err != nil {
		return "", false, err
	}
	var found struct {
		Total int `json:"total_count"`
		Data  []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := answer.Decode(&found); err != nil {
		return "", false, err
	}
	if found.Total != 1 || len(found.Data) == 0 || found.Data[0].ID == "" {
		return "", false, nil
	}
	d.known.put(who, found.Data[0].ID, time.Now())
	return found.Data[0].ID, false, nil
}

// withContact finds a contact and does something with its id. Where an id that was
// known from before is gone, it looks again, once.
func (d *Destination) withContact(ctx context.Context, who contact, do func(id string) (*dest.Answer, error)) (*dest.Answer, error) {
	for {
		id, cached, err := d.find(ctx, who)
		if err != nil {
			return nil, err
		}
		answer, err := do(id)
		if err != nil || answer == nil || answer.Status != http.StatusNotFound || !cached {
			return answer, err
		}
		d.known.drop(who)
	}
}

// contact updates the contact or makes one.
func (d *Destination) contact(ctx context.Context, p plan, body []byte) error {
	answer, err := d.withContact(ctx, p.who, func(id string) (*dest.Answer, error) {
		if id != "" {
			return d.put(ctx, id, body)
		}
		return d.make(ctx, p.who, body)
	})
	if err != nil {
		return err
	}
	return word(answer)
}

// make makes a contact, or updates it where the search does not know it yet.
func (d *Destination) make(ctx context.Context, who contact, body []byte) (*dest.Answer, error) {
	answer, err := d.do(ctx, http.MethodPost, "/contacts", body)
	switch {
	case err != nil:
		return nil, err
	case answer.Status == http.StatusConflict:
		id := existingID(answer)
		if id == "" {
			return nil, answer.Fault("conflict")
		}
		if answer, err = d.put(ctx, id, body); err == nil && answer.Err() == nil {
			d.known.put(who, id, time.Now())
		}
		return answer, err
	case answer.Err() == nil:
		var made struct {
			ID string `json:"id"`
		}
		if answer.Decode(&made) == nil && made.ID != "" {
			d.known.put(who, made.ID, time.Now())
		}
	}
	return answer, nil
}

func (d *Destination) put(ctx context.Context, id string, body []byte) (*dest.Answer, error) {
	return d.do(ctx, http.MethodPut, "/contacts/"+url.PathEscape(id), body)
}

// inText finds the id in "A contact matching those details already exists with id=…":
// Intercom has no field for it.
var inText = regexp.MustCompile(`\bid=([0-9A-Za-z_-]{1,64})(?:[\s.,;)"']|$)`)

func existingID(answer *dest.Answer) string {
	var body failure
	if answer.Decode(&body) != nil {
		return ""
	}
	for _, e := range body.Errors {
		if found := inText.FindStringSubmatch(e.Message); found != nil {
			return found[1]
		}
	}
	return ""
}

// failure is the body of an answer that is no success.
type failure struct {
	Errors []struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
}

// Intercom may learn of a contact a little later than of its events.
const (
	userTries = 3
	userPause = time.Minute
)

// event records an event. Without a userId it needs the id of the contact.
func (d *Destination) event(ctx context.Context, p plan, body []byte) error {
	if p.who.value == "" {
		answer, err := d.do(ctx, http.MethodPost, "/events", body)
		if err != nil {
			return err
		}
		return recorded(answer)
	}
	answer, err := d.withContact(ctx, p.who, func(id string) (*dest.Answer, error) {
		if id == "" {
			return nil, nil
		}
		return d.do(ctx, http.MethodPost, "/events", withID(body, id))
	})
	switch {
	case err != nil:
		return err
	case answer == nil:
		return analytics.Permanent(errNoContact)
	}
	return recorded(answer)
}

// withID puts the id of the contact into an event.
func withID(body []byte, id string) []byte {
	b := dest.AppendText([]byte(`{"id":`), id)
	if rest := body[1:]; string(rest) != "}" { // Edit may leave nothing
		return append(append(b, ','), rest...)
	}
	return append(b, '}')
}

func recorded(answer *dest.Answer) error {
	if answer.Status == http.StatusNotFound {
		return analytics.RetryAtMost(userTries, userPause, answer.Fault("user_not_found"))
	}
	return word(answer)
}

// company writes the company, and puts the contact into it if there is one.
func (d *Destination) company(ctx context.Context, p plan, body []byte) error {
	known := ""
	if p.who.value != "" {
		id, _, err := d.find(ctx, p.who)
		if err != nil {
			return err
		}
		known = id
	}
	answer, err := d.do(ctx, http.MethodPost, "/companies", body)
	if err != nil {
		return err
	}
	if err := word(answer); err != nil || known == "" {
		return err
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := answer.Decode(&made); err != nil {
		return err
	}
	attach := append(dest.AppendText([]byte(`{"id":`), made.ID), '}')
	answer, err = d.withContact(ctx, p.who, func(id string) (*dest.Answer, error) {
		if id == "" {
			return nil, nil
		}
		return d.do(ctx, http.MethodPost, "/contacts/"+url.PathEscape(id)+"/companies", attach)
	})
	if err != nil || answer == nil {
		return err
	}
	return word(answer)
}
