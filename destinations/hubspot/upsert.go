package hubspot

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// object is what Deliver knows of the object that an item is about.
type object struct{ id string }

// input is one element of a request: an object of CRM, and the items that it stands
// for. HubSpot refuses a request in which an object occurs twice.
type input struct {
	id    string
	body  []byte
	items []int
}

// inputs merges items about one object into the last of them.
func inputs(items []analytics.Item) ([]input, error) {
	list := make([]input, 0, len(items))
	for i := range items {
		of := items[i].Data.(object)
		in := input{id: of.id, body: items[i].Body, items: []int{i}}
		if at := slices.IndexFunc(list, func(other input) bool { return other.id == of.id }); at >= 0 {
			merged, err := merge(list[at].body, in.body)
			if err != nil {
				return nil, err
			}
			in.body, in.items = merged, append(list[at].items, i)
			list = slices.Delete(list, at, at+1)
		}
		list = append(list, in)
	}
	return list, nil
}

// merge lays the properties of the later body over those of the earlier one.
func merge(earlier, later []byte) ([]byte, error) {
	type body map[string]json.RawMessage
	var first, second body
	if err := json.Unmarshal(earlier, &first); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(later, &second); err != nil {
		return nil, err
	}
	var properties, over body
	if err := json.Unmarshal(first["properties"], &properties); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(second["properties"], &over); err != nil {
		return nil, err
	}
	for name, value := range over {
		properties[name] = value
	}
	raw, err := dest.Marshal(properties)
	if err != nil {
		return nil, err
	}
	second["properties"] = raw
	return dest.Marshal(second)
}

// upsert writes objects. prepare is asked once what can be done about a 400, nil for
// nothing.
func (d *Destination) upsert(ctx context.Context, path string, b *analytics.Batch, prepare func(context.Context, *dest.Answer) (bool, error)) error {
	list, err := inputs(b.Items)
	if err != nil {
		return analytics.Split(err) // a hook has made something else of a body
	}
	body := requestBody(list)
	answer, err := d.post(ctx, path, body)
	if err != nil {
		return err
	}
	if answer.Status == http.StatusBadRequest && prepare != nil {
		again, err := prepare(ctx, answer)
		if err != nil {
			return err
		}
		if again {
			if answer, err = d.post(ctx, path, body); err != nil {
				return err
			}
		}
	}
	if answer.Status >= 200 && answer.Status < 300 {
		return upserted(answer, list)
	}
	return word(answer)
}

// requestBody numbers the inputs where there are several, so that the answer can name
// them.
func requestBody(list []input) []byte {
	b := []byte(opening)
	for i, in := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if len(list) > 1 {
			b = append(b, `{"objectWriteTraceId":"`+strconv.Itoa(i)+`",`...)
			b = append(b, in.body[1:]...)
			continue
		}
		b = append(b, in.body...)
	}
	return append(b, closing...)
}

// upserted reads which objects were not taken.
func upserted(answer *dest.Answer, list []input) error {
	var body struct {
		Results []json.RawMessage `json:"results"`
		Errors  []struct {
			Category string              `json:"category"`
			Context  map[string][]string `json:"context"`
		} `json:"errors"`
	}
	if answer.Decode(&body) != nil || len(body.Results)+len(body.Errors) == 0 {
		return analytics.RetryAtMost(1, 0, answer.Fault("silent_failure"))
	}
	var failed analytics.BatchError
	for _, e := range body.Errors {
		of := named(e.Context, list)
		if len(of) == 0 { // somebody has failed: writing an object again does no harm
			return analytics.Split(answer.Fault(e.Category))
		}
		for _, in := range of {
			for _, i := range in.items {
				failed.Set(i, analytics.Permanent(answer.Fault(e.Category)))
			}
		}
	}
	return failed.OrNil()
}

// named are the inputs that the context of an error names, by id or by number.
func named(context map[string][]string, list []input) []input {
	var found []input
	for i, in := range list {
		if slices.Contains(context["ids"], in.id) || slices.Contains(context["objectWriteTraceId"], strconv.Itoa(i)) {
			found = append(found, in)
		}
	}
	return found
}

// groupProperty finds companies by the id of their group. HubSpot shows its definition
// to nobody.
const (
	groupProperty = "segment_group_id"
	definition    = `{"name":"segment_group_id","label":"Segment Group ID","groupName":"companyinformation",` +
		`"type":"string","fieldType":"text","hasUniqueValue":true,"hidden":true}`
)

// makeProperty makes the property if the answer says that it is missing, once in the
// life of the destination. It tells whether to try again.
func (d *Destination) makeProperty(ctx context.Context, answer *dest.Answer) (bool, error) {
	if d.prepared.Load() || !bytes.Contains(answer.Body, []byte(groupProperty)) {
		return false, nil
	}
	made, err := d.post(ctx, "/crm/v3/properties/companies", []byte(definition))
	if err != nil {
		return false, err
	}
	if made.Status != http.StatusConflict && made.Err() != nil { // a conflict: it is there by now
		return false, word(made)
	}
	d.prepared.Store(true)
	return true, nil
}

// Pauses where HubSpot names none.
const (
	aWhile    = 10 * time.Second
	forTheDay = time.Hour // until it is another day, in steps
)

// word finds what an answer means where nothing else is known.
func word(answer *dest.Answer) error {
	switch answer.Status {
	case http.StatusConflict:
		return analytics.RetryAtMost(1, 0, answer.Fault("conflict"))
	case http.StatusLocked, http.StatusTooManyRequests:
		var body struct {
			Policy string `json:"policyName"`
		}
		_ = answer.Decode(&body) // without a body it is the short one
		pause := aWhile
		if body.Policy == "DAILY" {
			pause = forTheDay
		}
		return analytics.RetryAfter(max(answer.RetryAfter(), pause), answer.Fault(body.Policy))
	}
	return answer.Err()
}
