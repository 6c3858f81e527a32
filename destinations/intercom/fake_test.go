package intercom_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	token = "ic_token"
)

// fake plays Intercom: contacts, events and companies, with the state that they have.
type fake struct {
	host    string // empty: that of the US
	version string // empty: 2.11
	maxText int    // characters of a text in metadata; zero: 255
	anyUser bool   // takes events of users that it does not know
	lag     int    // so many searches do not find what is there

	mu         sync.Mutex
	queue      []answer
	violations []string
	contacts   []contact
	companies  map[string]string // company_id to id
	links      []string          // "contact company", by id
	events     []map[string]any  // as accepted
	log        []string          // method and path of each request
	times      []time.Time       // when each request came
	made       int               // contacts so far
}

// contact is what the contact with the id has.
type contact struct {
	id     string
	fields map[string]any
}

type answer struct {
	route  string // "POST /events"; empty: any
	status int
	header http.Header
	body   string
}

// next makes Intercom answer the next request of a route so, whatever it holds.
func (f *fake) next(route string, status int, header http.Header, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, answer{route, status, header, body})
}

// add makes a contact and returns its id.
func (f *fake) add(fields map[string]any) string {
	f.made++
	id := fmt.Sprintf("ic_contact_%d", f.made)
	f.contacts = append(f.contacts, contact{id, fields})
	return id
}

// forget takes the contact away.
func (f *fake) forget(id string) {
	f.contacts = slices.DeleteFunc(f.contacts, func(c contact) bool { return c.id == id })
}

// requests returns the methods and paths so far and begins anew.
func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

// ServeHTTP checks the request and answers it.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log, f.times = append(f.log, r.Method+" "+r.URL.Path), append(f.times, time.Now())
	raw, _ := io.ReadAll(r.Body)
	a := f.answer(r, raw)
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func (f *fake) answer(r *http.Request, raw []byte) answer {
	fields, code := f.read(r, raw)
	route, id := routeOf(r)
	if code == "" {
		code = f.broken(route, fields)
	}
	if code != "" {
		f.violations = append(f.violations, route+": "+code)
		return failure(400, "parameter_invalid", code)
	}
	i := slices.IndexFunc(f.queue, func(a answer) bool { return a.route == "" || a.route == route })
	if i >= 0 {
		a := f.queue[i]
		f.queue = slices.Delete(f.queue, i, i+1)
		return a
	}
	switch route {
	case "POST /contacts/search":
		return f.search(fields)
	case "POST /contacts":
		return f.create(fields)
	case "PUT /contacts/{id}":
		return f.update(id, fields)
	case "POST /contacts/{id}/companies":
		return f.link(id, fields)
	case "POST /companies":
		return f.company(fields)
	}
	return f.event(fields)
}

// routeOf names the route of a request, and the contact in its path.
func routeOf(r *http.Request) (route, id string) {
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/contacts/"); ok && rest != "search" {
		var more string
		id, more, _ = strings.Cut(rest, "/")
		path = "/contacts/{id}"
		if more != "" {
			path += "/" + more
		}
	}
	return r.Method + " " + path, id
}

func failure(status int, code, message string) answer {
	body, _ := json.Marshal(map[string]any{
		"type": "error.list", "request_id": "r-1", "errors": []any{map[string]any{"code": code, "message": message}},
	})
	return answer{status: status, body: string(body)}
}

func success(status int, v any) answer {
	body, _ := json.Marshal(v)
	return answer{status: status, body: string(body)}
}

// read checks what all requests have. sheet: Settings.
func (f *fake) read(r *http.Request, raw []byte) (fields map[string]any, code string) {
	host, version := f.host, f.version
	if host == "" {
		host = "https://api.intercom.io"
	}
	if version == "" {
		version = "2.11"
	}
	switch {
	case !strings.HasPrefix(r.URL.String(), host+"/") || r.URL.RawQuery != "":
		return nil, "another address"
	case r.Header.Get("Authorization") != "Bearer "+token:
		return nil, "another token"
	case r.Header.Get("Intercom-Version") != version:
		return nil, "another version"
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return nil, "another Content-Type"
	case len(raw) > 1_000_000: // sheet: Limits, request ≤ 1 MB
		return nil, "too large"
	case !utf8.Valid(raw):
		return nil, "no UTF-8"
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if dec.Decode(&fields) != nil || fields == nil {
		return nil, "no object"
	}
	return fields, ""
}

func (f *fake) find(field, value any) []contact {
	var found []contact
	for _, c := range f.contacts {
		if c.fields[field.(string)] == value {
			found = append(found, c)
		}
	}
	return found
}

func (f *fake) search(fields map[string]any) answer {
	query := fields["query"].(map[string]any)
	found := f.find(query["field"], query["value"])
	if f.lag > 0 {
		f.lag--
		found = nil
	}
	data := []any{}
	for _, c := range found {
		data = append(data, map[string]any{"type": "contact", "id": c.id})
	}
	return success(200, map[string]any{"type": "list", "data": data, "total_count": len(data)})
}

func (f *fake) create(fields map[string]any) answer {
	for _, field := range []string{"external_id", "email"} {
		if v, ok := fields[field]; ok {
			if same := f.find(field, v); len(same) > 0 {
				return failure(409, "conflict", "A contact matching those details already exists with id="+same[0].id)
			}
		}
	}
	return success(200, map[string]any{"type": "contact", "id": f.add(fields)})
}

func (f *fake) update(id string, fields map[string]any) answer {
	i := slices.IndexFunc(f.contacts, func(c contact) bool { return c.id == id })
	if i < 0 {
		return failure(404, "not_found", "User Not Found")
	}
	for name, v := range fields {
		f.contacts[i].fields[name] = v
	}
	return success(200, map[string]any{"type": "contact", "id": id})
}

func (f *fake) company(fields map[string]any) answer {
	if f.companies == nil {
		f.companies = map[string]string{}
	}
	key := fields["company_id"].(string)
	if f.companies[key] == "" {
		f.companies[key] = fmt.Sprintf("ic_company_%d", len(f.companies)+1)
	}
	return success(200, map[string]any{"type": "company", "id": f.companies[key], "company_id": key})
}

func (f *fake) link(id string, fields map[string]any) answer {
	known := slices.ContainsFunc(f.contacts, func(c contact) bool { return c.id == id })
	company, _ := fields["id"].(string)
	exists := false
	for _, c := range f.companies {
		exists = exists || c == company
	}
	if !known || !exists {
		return failure(404, "not_found", "Not Found")
	}
	if pair := id + " " + company; !slices.Contains(f.links, pair) {
		f.links = append(f.links, pair)
	}
	return success(200, map[string]any{"type": "company", "id": company})
}

func (f *fake) event(fields map[string]any) answer {
	known := f.anyUser
	if id, ok := fields["id"]; ok {
		known = known || slices.ContainsFunc(f.contacts, func(c contact) bool { return c.id == id })
	} else if user, ok := fields["user_id"]; ok {
		known = known || len(f.find("external_id", user)) > 0
	}
	if !known {
		return failure(404, "user_not_found", "User Not Found")
	}
	f.events = append(f.events, fields)
	return answer{status: 202}
}
