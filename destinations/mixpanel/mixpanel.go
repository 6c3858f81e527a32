// Package mixpanel sends events to Mixpanel: events through the import API in strict
// mode, profiles, groups and the joining of ids through their own endpoints.
//
// Each event has its messageId, or a hash of it, as $insert_id, by which Mixpanel
// dedupes. An order brings a Product Purchased for each of its products, a millisecond
// apart. Ids that Mixpanel refuses, such as "null", count as absent.
package mixpanel

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to Mixpanel. Its fields are its settings.
type Destination struct {
	// ProjectToken is the project's token. Mixpanel does not take it for a secret.
	ProjectToken string `json:"projectToken" required:"true"`

	// APISecret authorizes the import of events. Without it, and without a service
	// account, ProjectToken does.
	APISecret string `json:"apiSecret,omitempty" secret:"true"`

	// ServiceAccount, ServiceSecret and ProjectID authorize the import of events in place
	// of APISecret, all three together.
	ServiceAccount string `json:"serviceAccount,omitempty"`
	ServiceSecret  string `json:"serviceSecret,omitempty" secret:"true"`
	ProjectID      string `json:"projectId,omitempty"`

	// Region is where the project is stored.
	Region string `json:"region,omitempty" oneof:"us eu in" default:"us"`

	// GroupKey is the key of the groups of group calls and of context.groupId.
	GroupKey string `json:"groupKey,omitempty" default:"$group_id"`

	// OriginalIDMerge sends alias calls, for projects with the original ID merge. Without
	// it they are ignored.
	OriginalIDMerge bool `json:"originalIdMerge,omitempty"`

	// Gzip compresses the requests with events; the other endpoints do not take it.
	Gzip bool `json:"gzip,omitempty"`

	dest.Hooks

	client        dest.Client
	authorization http.Header
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

// The lanes, one for each endpoint.
const (
	laneEvents   = "events"
	laneIdentity = "identity"
	laneProfiles = "profiles"
	laneGroups   = "groups"
)

// Describe states what Mixpanel takes. Its older documents allow two megabytes, the
// newer ones ten.
func (d *Destination) Describe() analytics.Description {
	limits := analytics.Limits{
		MaxItems: 2000, MaxBytes: 2_000_000, MaxItemBytes: 1_000_000,
		Overhead: len("[]"), ItemOverhead: len(","), Linger: dest.Linger,
	}
	groups := limits
	groups.MaxItems = 200
	events := limits
	events.Rates = []analytics.Rate{{Items: 30_000}}
	description := analytics.Description{
		Name: "Mixpanel", Aliases: []string{"Mixpanel (Actions)", "Actions Mixpanel"},
		Calls: analytics.SixCalls &^ analytics.CallsOf(analytics.CallAlias),
		Lanes: map[string]analytics.Limits{laneEvents: events, laneIdentity: limits, laneProfiles: limits, laneGroups: groups},
	}
	if d.OriginalIDMerge {
		description.Calls = analytics.SixCalls
	}
	return description
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	faults := dest.Check(d)
	if d.ServiceAccount != "" || d.ServiceSecret != "" || d.ProjectID != "" {
		for _, s := range []struct{ field, value string }{
			{"ServiceAccount", d.ServiceAccount}, {"ServiceSecret", d.ServiceSecret}, {"ProjectID", d.ProjectID},
		} {
			if s.value == "" {
				faults.Add(s.field, "is required where one of ServiceAccount, ServiceSecret and ProjectID is set")
			}
		}
	}
	d.client = dest.NewClient("mixpanel", env)
	user := cmp.Or(d.APISecret, d.ProjectToken)
	if d.ServiceAccount != "" {
		user = d.ServiceAccount
	}
	d.authorization = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+d.ServiceSecret))}}
	return faults.Err()
}

// Deliver makes one request to the lane's endpoint.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	r := dest.Request{URL: d.host(), Body: dest.Join("[", b.Items, "]")}
	switch b.Lane {
	case laneEvents:
		r.URL += "/import?strict=1"
		if d.ProjectID != "" {
			r.URL += "&project_id=" + url.QueryEscape(d.ProjectID)
		}
		r.Header, r.Gzip = d.authorization, d.Gzip
	case laneIdentity:
		r.URL += "/track?verbose=1"
	case laneProfiles:
		r.URL += "/engage?verbose=1"
	case laneGroups:
		r.URL += "/groups?verbose=1"
	}
	answer, err := d.client.Do(ctx, r)
	switch {
	case err != nil:
		return err
	case b.Lane == laneEvents:
		return imported(answer, b)
	}
	return verbose(answer)
}

func (d *Destination) host() string {
	switch d.Region {
	case "eu", "in":
		return "https://api-" + d.Region + ".mixpanel.com"
	}
	return "https://api.mixpanel.com"
}

// imported reads an answer of the import API, where a 400 that lists records is a
// success for the others.
func imported(answer *dest.Answer, b *analytics.Batch) error {
	if answer.Status != http.StatusBadRequest {
		return answer.Err()
	}
	var body struct {
		Failed []struct {
			Index *int   `json:"index"`
			Field string `json:"field"`
		} `json:"failed_records"`
	}
	if answer.Decode(&body) != nil {
		return answer.Err()
	}
	var failed analytics.BatchError
	for _, record := range body.Failed {
		if i := record.Index; i != nil && *i >= 0 && *i < len(b.Items) {
			failed.Set(*i, analytics.Permanent(answer.Fault("field."+record.Field)))
		}
	}
	if len(failed.Items) == 0 {
		return answer.Err()
	}
	return &failed
}

// verbose reads an answer of the other endpoints, which refuse with status 200 and do
// not say which item is to blame.
func verbose(answer *dest.Answer) error {
	var body struct {
		Status *int `json:"status"`
	}
	if answer.Status == http.StatusOK && answer.Decode(&body) == nil && body.Status != nil && *body.Status == 0 {
		return analytics.Split(answer.Fault("refused"))
	}
	return answer.Err()
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
