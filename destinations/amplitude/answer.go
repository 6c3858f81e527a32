package amplitude

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// throttled is how long Amplitude wants an id to be quiet that sent too much.
const throttled = 30 * time.Second

// ids are those of an event, which answers name.
type ids struct{ user, device string }

func answerError(answer *dest.Answer, b *analytics.Batch) error {
	switch answer.Status {
	case http.StatusBadRequest:
		return refused(answer, b)
	case http.StatusTooManyRequests:
		return tooMany(answer, b)
	}
	return answer.Err()
}

// refused reads which events are bad. Amplitude stores none of the request then.
func refused(answer *dest.Answer, b *analytics.Batch) error {
	var body struct {
		Error          string           `json:"error"`
		MissingField   string           `json:"missing_field"`
		InvalidFields  map[string][]int `json:"events_with_invalid_fields"`
		MissingFields  map[string][]int `json:"events_with_missing_fields"`
		InvalidLengths map[string][]int `json:"events_with_invalid_id_lengths"`
		Silenced       []int            `json:"silenced_events"`
	}
	if answer.Decode(&body) != nil {
		return answer.Err()
	}
	if body.MissingField != "" || strings.HasPrefix(body.Error, "Invalid API key") {
		return analytics.Unauthorized(answer.Fault("invalid_request"))
	}
	var failed analytics.BatchError
	reject := func(code string, indexes []int) {
		for _, i := range indexes {
			if i >= 0 && i < len(b.Items) {
				failed.Set(i, analytics.Permanent(answer.Fault(code)))
			}
		}
	}
	for _, fields := range []map[string][]int{body.InvalidFields, body.MissingFields, body.InvalidLengths} {
		for field, indexes := range fields {
			reject("field."+field, indexes)
		}
	}
	reject("silenced", body.Silenced)
	if len(failed.Items) == 0 {
		return answer.Err()
	}
	for i := range b.Items {
		failed.Set(i, dest.AtOnce(answer.Fault("others_refused")))
	}
	return &failed
}

// tooMany reads whose events are too many.
func tooMany(answer *dest.Answer, b *analytics.Batch) error {
	var body struct {
		Events       []int          `json:"throttled_events"`
		Users        map[string]any `json:"throttled_users"`
		Devices      map[string]any `json:"throttled_devices"`
		DailyUsers   map[string]any `json:"exceeded_daily_quota_users"`
		DailyDevices map[string]any `json:"exceeded_daily_quota_devices"`
	}
	if answer.Decode(&body) != nil {
		return answer.Err()
	}
	if len(body.Events)+len(body.Users)+len(body.Devices)+len(body.DailyUsers)+len(body.DailyDevices) == 0 {
		return answer.Err()
	}
	var failed analytics.BatchError
	for i := range b.Items {
		id, _ := b.Items[i].Data.(ids)
		switch {
		case in(body.DailyUsers, id.user) || in(body.DailyDevices, id.device):
			failed.Set(i, analytics.Permanent(answer.Fault("daily_quota")))
		case slices.Contains(body.Events, i) || in(body.Users, id.user) || in(body.Devices, id.device):
			failed.Set(i, analytics.RetryAfter(throttled, answer.Fault("throttled")))
		default:
			failed.Set(i, dest.AtOnce(answer.Fault("others_throttled")))
		}
	}
	return &failed
}

func in(m map[string]any, id string) bool {
	_, ok := m[id]
	return ok && id != ""
}
