package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// newHubspot refuses companies until their property was made, and answers 207 for the
// objects that it does not take. A contact stands for all events that were merged into
// it, each of which has a mark of its own.
func newHubspot() vendor {
	made := false
	return func(r *request, bad func(string) bool) ([]piece, answer) {
		switch {
		case r.url.Path == "/crm/v3/properties/companies":
			made = true
			return nil, answer{status: http.StatusCreated}
		case strings.Contains(r.url.Path, "/companies/") && !made:
			return nil, answer{status: 400, body: `{"status":"error","category":"VALIDATION_ERROR","message":"no property segment_group_id"}`}
		}
		inputs := elements(r.body, "inputs")
		var good []piece
		var errs []any
		for i, in := range inputs {
			if bad(string(marks.Find(in))) {
				errs = append(errs, map[string]any{
					"status": "error", "category": "VALIDATION_ERROR",
					"context": map[string]any{"objectWriteTraceId": []string{strconv.Itoa(i)}, "ids": []string{text(in, "id")}},
				})
				continue
			}
			for _, mark := range marks.FindAll(in, -1) {
				p := pieceOf(in, r.url.Path+" "+string(mark))
				p.mark = string(mark)
				good = appendNew(good, p)
			}
		}
		switch {
		case r.url.Path == "/events/v3/send/batch":
			return good, answer{status: http.StatusNoContent}
		case len(errs) > 0:
			return good, answer{status: http.StatusMultiStatus, body: encode(map[string]any{
				"status": "COMPLETE", "results": make([]struct{}, len(inputs)-len(errs)), "numErrors": len(errs), "errors": errs,
			})}
		}
		return good, answer{body: encode(map[string]any{"status": "COMPLETE", "results": make([]struct{}, len(inputs))})}
	}
}

// appendNew leaves out what stands in the same object twice.
func appendNew(list []piece, p piece) []piece {
	if n := len(list); n > 0 && list[n-1].key == p.key {
		return list
	}
	return append(list, p)
}

// newIntercom knows contacts by their external_id, and no event of anybody else.
func newIntercom() vendor {
	ids := map[string]string{}
	return func(r *request, _ func(string) bool) ([]piece, answer) {
		keep := func() []piece { return []piece{pieceOf(r.body, r.url.Path+" "+string(marks.Find(r.body)))} }
		switch {
		case r.url.Path == "/contacts/search":
			found := []any{}
			if id, ok := ids[text(r.body, "query", "value")]; ok {
				found = append(found, map[string]any{"id": id})
			}
			return nil, answer{body: encode(map[string]any{"total_count": len(found), "data": found})}
		case r.url.Path == "/contacts":
			id := fmt.Sprintf("c-%d", len(ids))
			ids[text(r.body, "external_id")] = id
			return keep(), answer{body: encode(map[string]any{"id": id})}
		case r.url.Path == "/events":
			if _, ok := ids[text(r.body, "user_id")]; !ok {
				return nil, answer{status: http.StatusNotFound, body: `{"errors":[{"code":"not_found","message":"User Not Found"}]}`}
			}
			return keep(), answer{status: http.StatusAccepted}
		case strings.HasSuffix(r.url.Path, "/companies") && r.url.Path != "/companies":
			return nil, answer{} // the contact belongs to a company that was kept before
		}
		return keep(), answer{body: `{"id":"co-1"}`}
	}
}

// lines are the events in a file, as pieces.
func lines(file []byte) (list []piece) {
	for line := range strings.Lines(string(file)) {
		raw := json.RawMessage(line)
		list = append(list, pieceOf(raw, text(raw, "messageId")))
	}
	return list
}
