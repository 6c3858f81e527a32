package archive

import (
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// A Query selects events. What is empty selects all; what is given has to be met by each
// event, of a list by one of its elements.
type Query struct {
	// From and To bound receivedAt, To not included. An event whose receivedAt is no time
	// is selected where its file may have others in the range.
	From, To time.Time

	// Sources are those of the files.
	Sources []string

	// Events are names of track calls, Types calls.
	Events []string
	Types  []analytics.Call

	// UserIDs, AnonymousIDs and MessageIDs are ids of the events.
	UserIDs, AnonymousIDs, MessageIDs []string
}

// file tells whether a file may have events of the query.
func (q *Query) file(m *Manifest) bool {
	within := m.FirstReceived.IsZero() ||
		(q.From.IsZero() || !m.LastReceived.Before(q.From)) && (q.To.IsZero() || m.FirstReceived.Before(q.To))
	return within &&
		anyOf(q.Sources, func(name string) bool { return shortSource(name) == m.Source }) &&
		anyOf(q.Events, func(name string) bool { return m.MoreEvents || m.Events[jsontext.Plain(name)] > 0 }) &&
		anyOf(q.UserIDs, func(id string) bool { return m.IDs.HasUser(jsontext.Plain(id)) }) &&
		anyOf(q.AnonymousIDs, func(id string) bool { return m.IDs.HasAnonymous(jsontext.Plain(id)) })
}

// anyOf tells whether one of a list will do; an empty list asks for nothing.
func anyOf(list []string, f func(string) bool) bool {
	return len(list) == 0 || slices.ContainsFunc(list, f)
}

// selector is a query that is asked of each event.
type selector struct {
	from, to                                 time.Time
	types, events, users, visitors, messages map[string]bool
}

func (q *Query) selector() *selector {
	return &selector{
		from: q.From, to: q.To, types: setOf(q.Types), events: setOf(q.Events),
		users: setOf(q.UserIDs), visitors: setOf(q.AnonymousIDs), messages: setOf(q.MessageIDs),
	}
}

func setOf[T ~string](list []T) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[jsontext.Plain(string(s))] = true
	}
	return set
}

func (s *selector) selects(f *fields) bool {
	within := f.received.IsZero() ||
		(s.from.IsZero() || !f.received.Before(s.from)) && (s.to.IsZero() || f.received.Before(s.to))
	return within && of(s.types, string(f.call)) && of(s.events, f.event) &&
		of(s.users, f.user) && of(s.visitors, f.anonymous) && of(s.messages, f.id)
}

// of tells whether a set allows a value; one that is empty allows all.
func of(set map[string]bool, v string) bool { return len(set) == 0 || set[v] }
