package clients_test

import (
	"encoding/json"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// expect demands that each message of the list has arrived once: with what its client has
// sent, and with what it was asked to send. meant makes a message of the list what the
// client is known to make of it.
func (r *receiver) expect(list []object, meant func(object)) {
	r.t.Helper()
	arrived, sent := r.arrived(), r.sent()
	require.Equal(r.t, len(list), len(arrived))
	for _, m := range list {
		event := arrived[id(m)]
		require.True(r.t, event != nil, "%s is lost", id(m))
		m = maps.Clone(m)
		if meant != nil {
			meant(m)
		}
		require.Equal(r.t, fields(m), fields(event), id(m))
		if m["timestamp"] != nil {
			require.Equal(r.t, instant(r.t, m["timestamp"]), instant(r.t, event["originalTimestamp"]), id(m))
		}
		w := sent[id(m)]
		require.Equal(r.t, w.received(r.t), untimed(event), id(m))
		w.checkTimes(r.t, event)
	}
	stats := r.handler.Stats()
	require.EqualValues(r.t, len(list), stats.Events)
	require.EqualValues(r.t, len(list), r.client.Stats().Accepted)
	require.Empty(r.t, stats.Discards)
}

// expectTrouble demands that there was some, and that a message was sent again which had
// been taken.
func (r *receiver) expectTrouble() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(r.t, r.planned)
	require.Positive(r.t, r.handler.Stats().Duplicates)
}

var listed = []string{"type", "messageId", "userId", "anonymousId", "event", "name", "category", "groupId", "previousId", "properties", "traits", "integrations", "context"}

// fields are those that the list has, without what clients and the handler add to the
// context. What is empty is as good as absent.
func fields(m object) object {
	out := object{}
	for _, key := range listed {
		switch v := m[key].(type) {
		case nil:
		case object:
			v = maps.Clone(v)
			if key == "context" {
				delete(v, "library")
				if v["direct"] == true {
					delete(v, "ip")
				}
			}
			if len(v) > 0 {
				out[key] = v
			}
		default:
			out[key] = v
		}
	}
	return out
}

// received is what the handler has to make of a message, but for the times: the context
// of the envelope goes in where it has none, and the address where it is asked for.
func (w wire) received(t *testing.T) object {
	t.Helper()
	want := untimed(w.message)
	shared, _ := w.envelope["context"].(object)
	if context := under(want["context"], shared); context != nil {
		if context["direct"] == true {
			context["ip"] = net.IPv4(127, 0, 0, 1).String()
		}
		want["context"] = context
	}
	return want
}

// under is top over bottom, member by member.
func under(top any, bottom object) object {
	over, ok := top.(object)
	if !ok && bottom == nil {
		return nil
	}
	out := maps.Clone(over)
	if out == nil {
		out = object{}
	}
	for key, v := range bottom {
		inner, isObject := v.(object)
		switch _, given := over[key]; {
		case !given:
			out[key] = v
		case isObject:
			out[key] = under(over[key], inner)
		}
	}
	return out
}

var times = []string{"timestamp", "originalTimestamp", "sentAt", "receivedAt"}

func untimed(m object) object {
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(key string, _ any) bool { return slices.Contains(times, key) })
	return m
}

// checkTimes: the client's own time is kept, and corrected by the way from it to here.
func (w wire) checkTimes(t *testing.T, event object) {
	t.Helper()
	sentAt := w.envelope["sentAt"]
	if own := w.message["sentAt"]; own != nil {
		sentAt = own
	}
	original, sent := instant(t, event["originalTimestamp"]), instant(t, event["sentAt"])
	require.Equal(t, instant(t, w.message["timestamp"]), original)
	require.Equal(t, instant(t, sentAt), sent)
	received := instant(t, event["receivedAt"])
	require.WithinDuration(t, time.Now(), received, time.Minute)
	require.Equal(t, received.Add(-sent.Sub(original)), instant(t, event["timestamp"]))
}

// rounded has the numbers that JavaScript has.
func rounded(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64()
		text, _ := json.Marshal(f) // Go writes them as JavaScript does
		return json.Number(text)
	case object:
		out := object{}
		for key, inner := range v {
			out[key] = rounded(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = rounded(inner)
		}
		return out
	}
	return v
}
