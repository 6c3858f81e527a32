package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// The tools as the library names them, where they are, and our accounts there.
const (
	amplitudeName, amplitudeHost   = "Amplitude", "api2.amplitude.com"
	posthogName, posthogHost       = "PostHog", "us.i.posthog.com"
	customerioName, customerioHost = "Customer.io", "track.customer.io"

	amplitudeKey                  = "amplitude-key"
	posthogKey                    = "phc_key"
	customerioSite, customerioKey = "site", "customerio-key"
)

// posted reads a request as the JSON that it has to be.
func posted(r *http.Request, path string, body []byte, into any) *verdict {
	switch {
	case r.Method != http.MethodPost || r.URL.Path != path:
		return &verdict{status: http.StatusNotFound, answer: "no such place"}
	case r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, into) != nil:
		return &verdict{status: http.StatusBadRequest, answer: "not the JSON that was expected"}
	}
	return nil
}

// judgeAmplitude has the rules of HTTP V2: all events of a request are taken, or none.
func judgeAmplitude(r *http.Request, body []byte) verdict {
	var in struct {
		APIKey string `json:"api_key"`
		Events []struct {
			User    string `json:"user_id"`
			Device  string `json:"device_id"`
			Type    string `json:"event_type"`
			Key     string `json:"insert_id"`
			Time    int64  `json:"time"`
			Session int64  `json:"session_id"`
		} `json:"events"`
	}
	if v := posted(r, "/2/httpapi", body, &in); v != nil {
		return *v
	}
	if in.APIKey != amplitudeKey {
		return verdict{status: http.StatusBadRequest, answer: `{"code":400,"error":"Invalid API key"}`}
	}
	var stored []record
	for i, e := range in.Events {
		switch {
		case e.Type == "" || e.Key == "" || e.Time == 0 || e.User == "" && e.Device == "":
			return verdict{status: http.StatusBadRequest, answer: fmt.Sprintf(`{"code":400,"events_with_missing_fields":{"event":[%d]}}`, i)}
		case len(e.User) < 5:
			return verdict{status: http.StatusBadRequest, answer: fmt.Sprintf(`{"code":400,"events_with_invalid_id_lengths":{"user_id":[%d]}}`, i)}
		}
		if e.Session != 0 {
			e.Type += fmt.Sprintf(" in session %d", e.Session)
		}
		stored = append(stored, record{e.User, e.Key, e.Type})
	}
	return verdict{http.StatusOK, fmt.Sprintf(`{"code":200,"events_ingested":%d}`, len(stored)), stored}
}

var isUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// judgePostHog has the rules of /batch/: the key, and of each event a name, a person, a
// time and a UUID.
func judgePostHog(r *http.Request, body []byte) verdict {
	var in struct {
		APIKey string `json:"api_key"`
		Batch  []struct {
			Event, Timestamp, UUID string
			Properties             struct {
				Person string `json:"distinct_id"`
			}
		}
	}
	if v := posted(r, "/batch/", body, &in); v != nil {
		return *v
	}
	if in.APIKey != posthogKey {
		return verdict{status: http.StatusUnauthorized, answer: `{"code":"invalid_api_key"}`}
	}
	var stored []record
	for _, e := range in.Batch {
		_, err := time.Parse(time.RFC3339Nano, e.Timestamp)
		if e.Event == "" || e.Properties.Person == "" || err != nil || !isUUID.MatchString(e.UUID) {
			return verdict{status: http.StatusBadRequest, answer: `{"code":"invalid_payload"}`}
		}
		stored = append(stored, record{e.Properties.Person, e.UUID, e.Event})
	}
	return verdict{http.StatusOK, `{"status":"Ok"}`, stored}
}

// judgeCustomerio has the rules of the batches of Track v2: what is wrong with an item is
// told for that item, with a 207, and the others are taken.
func judgeCustomerio(r *http.Request, body []byte) verdict {
	var in struct {
		Batch []struct {
			Type, Action, Name, ID string
			Identifiers            struct{ ID string }
		}
	}
	if site, key, _ := r.BasicAuth(); site != customerioSite || key != customerioKey {
		return verdict{status: http.StatusUnauthorized, answer: `{"meta":{"error":"Unauthorized request"}}`}
	}
	if v := posted(r, "/api/v2/batch", body, &in); v != nil {
		return *v
	}
	var stored []record
	var faults []string
	for i, item := range in.Batch {
		one := record{person: item.Identifiers.ID, key: item.ID, name: item.Name}
		if item.Action == "identify" {
			one.key, one.name = one.person, item.Action
		}
		if item.Type != "person" || one.person == "" || one.key == "" || one.name == "" {
			faults = append(faults, fmt.Sprintf(`{"batch_index":%d,"reason":"required"}`, i))
			continue
		}
		stored = append(stored, one)
	}
	if faults != nil {
		return verdict{http.StatusMultiStatus, `{"errors":[` + strings.Join(faults, ",") + `]}`, stored}
	}
	return verdict{http.StatusOK, `{}`, stored}
}
