package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// at finds what stands at a path of JSON; nil if nothing does.
func at(raw []byte, path ...any) any {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

// text is at, printed.
func text(raw []byte, path ...any) string { return fmt.Sprint(at(raw, path...)) }

// elements are those of the list at a path.
func elements(raw []byte, path ...string) (list []json.RawMessage) {
	for _, key := range path {
		var m map[string]json.RawMessage
		_ = json.Unmarshal(raw, &m)
		raw = m[key]
	}
	_ = json.Unmarshal(raw, &list)
	return list
}

func encode(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// sift sorts elements into those that are kept and the indexes of those that are refused.
func sift(list []json.RawMessage, bad func(string) bool, key func(json.RawMessage) string) (good []piece, refused []int) {
	for i, raw := range list {
		p := pieceOf(raw, key(raw))
		if bad(p.mark) {
			refused = append(refused, i)
		} else {
			good = append(good, p)
		}
	}
	return good, refused
}

// amplitude dedupes by insert_id, and takes a request whole or not at all.
func amplitude(r *request, bad func(string) bool) ([]piece, answer) {
	good, refused := sift(elements(r.body, "events"), bad, func(e json.RawMessage) string { return text(e, "insert_id") })
	if len(refused) > 0 {
		return nil, answer{status: 400, body: encode(map[string]any{
			"code": 400, "error": "Invalid events", "events_with_invalid_fields": map[string]any{"event_properties": refused},
		})}
	}
	for i := range good {
		good[i].group = text(r.body, "api_key")
	}
	return good, answer{}
}

// posthog dedupes by uuid.
func posthog(r *request, bad func(string) bool) ([]piece, answer) {
	good, _ := sift(elements(r.body, "batch"), bad, func(e json.RawMessage) string { return text(e, "uuid") })
	return good, answer{body: `{"status":1}`}
}

// mixpanel dedupes events by four of their fields, and answers 400 where it has taken
// the others. Profiles and groups are overwritten.
func mixpanel(r *request, bad func(string) bool) ([]piece, answer) {
	var list []json.RawMessage
	_ = json.Unmarshal(r.body, &list)
	if r.url.Path != "/import" {
		good, _ := sift(list, bad, func(e json.RawMessage) string { return r.url.Path + " " + string(marks.Find(e)) })
		return good, answer{body: `{"status":1,"error":null}`}
	}
	good, refused := sift(list, bad, func(e json.RawMessage) string {
		return fmt.Sprint(at(e, "event"), at(e, "properties", "distinct_id"), at(e, "properties", "time"), at(e, "properties", "$insert_id"))
	})
	if len(refused) == 0 {
		return good, answer{body: `{"code":200,"num_records_imported":1,"status":"OK"}`}
	}
	var records []any
	for _, i := range refused {
		records = append(records, map[string]any{"index": i, "field": "properties", "message": "some data points in the request failed validation"})
	}
	return good, answer{status: 400, body: encode(map[string]any{"code": 400, "num_records_imported": len(good), "failed_records": records})}
}

// customerio dedupes actions by their id; the rest is overwritten.
func customerio(r *request, bad func(string) bool) ([]piece, answer) {
	good, refused := sift(elements(r.body, "batch"), bad, func(e json.RawMessage) string {
		if id, ok := at(e, "id").(string); ok {
			return id
		}
		return text(e, "type") + " " + text(e, "action") + " " + string(marks.Find(e))
	})
	if len(refused) == 0 {
		return good, answer{}
	}
	var errs []any
	for _, i := range refused {
		errs = append(errs, map[string]any{"batch_index": i, "reason": "invalid", "field": "attributes", "message": "is not valid"})
	}
	return good, answer{status: http.StatusMultiStatus, body: encode(map[string]any{"errors": errs})}
}

// braze has three lists, and counts what it refuses within each. A test knows a purchase
// by its product.
func braze(r *request, bad func(string) bool) ([]piece, answer) {
	var all []piece
	var errs []any
	for _, array := range []string{"attributes", "events", "purchases"} {
		good, refused := sift(elements(r.body, array), bad, func(o json.RawMessage) string {
			return array + " " + text(o, "product_id") + " " + string(marks.Find(o))
		})
		all = append(all, good...)
		for _, i := range refused {
			errs = append(errs, map[string]any{"type": "this object is not valid", "input_array": array, "index": i})
		}
	}
	slices.SortStableFunc(all, func(a, b piece) int { return strings.Compare(a.mark, b.mark) }) // between its lists there is no order
	a := answer{status: http.StatusCreated, body: `{"message":"success"}`}
	if len(errs) > 0 {
		a.body = encode(map[string]any{"message": "success", "errors": errs})
	}
	return all, a
}

// ga4 has one client in a request and no key.
func ga4(r *request, bad func(string) bool) ([]piece, answer) {
	good, _ := sift(elements(r.body, "events"), bad, func(e json.RawMessage) string { return text(e, "name") + " " + string(marks.Find(e)) })
	for i := range good {
		good[i].group = text(r.body, "client_id")
	}
	return good, answer{status: http.StatusNoContent}
}

// meta dedupes by event_id.
func meta(r *request, bad func(string) bool) ([]piece, answer) {
	good, _ := sift(elements(r.body, "data"), bad, func(e json.RawMessage) string { return text(e, "event_id") })
	return good, answer{body: fmt.Sprintf(`{"events_received":%d}`, len(good))}
}

// klaviyo dedupes events by unique_id and metric, overwrites profiles, and refuses jobs
// as a whole.
func klaviyo(r *request, bad func(string) bool) ([]piece, answer) {
	var list []json.RawMessage
	var key func(json.RawMessage) string
	pointer := ""
	event := func(e json.RawMessage, path ...any) string {
		return text(e, append(path, "unique_id")...) + " " + text(e, append(path, "metric", "data", "attributes", "name")...)
	}
	profile := func(e json.RawMessage) string { return "profile " + string(marks.Find(e)) }
	switch r.url.Path {
	case "/api/event-bulk-create-jobs/":
		list, pointer = elements(r.body, "data", "attributes", "events-bulk-create", "data"), "/data/attributes/events-bulk-create/data/"
		key = func(e json.RawMessage) string { return event(e, "attributes", "events", "data", 0, "attributes") }
	case "/api/events/":
		list = []json.RawMessage{r.body}
		key = func(e json.RawMessage) string { return event(e, "data", "attributes") }
	case "/api/profile-bulk-import-jobs/":
		list, pointer = elements(r.body, "data", "attributes", "profiles", "data"), "/data/attributes/profiles/data/"
		key = profile
	default:
		list, key = []json.RawMessage{r.body}, profile
	}
	good, refused := sift(list, bad, key)
	if len(refused) == 0 {
		return good, answer{status: http.StatusAccepted, body: `{"data":{"id":"p-1"}}`}
	}
	var errs []any
	for _, i := range refused {
		errs = append(errs, map[string]any{
			"code": "invalid", "detail": "Invalid input.", "source": map[string]any{"pointer": pointer + fmt.Sprint(i) + "/attributes"},
		})
	}
	return nil, answer{status: http.StatusBadRequest, body: encode(map[string]any{"errors": errs})}
}

// hook keeps lists of events. It stands for a receiver that remembers messageIds.
func hook(r *request, bad func(string) bool) ([]piece, answer) {
	var list []json.RawMessage
	_ = json.Unmarshal(r.body, &list)
	good, _ := sift(list, bad, func(e json.RawMessage) string { return text(e, "messageId") })
	return good, answer{}
}

// slack posts one message; a webhook is a channel.
func slack(r *request, _ func(string) bool) ([]piece, answer) {
	p := pieceOf(r.body, string(marks.Find(r.body)))
	p.group = r.url.Path
	return []piece{p}, answer{body: "ok"}
}
