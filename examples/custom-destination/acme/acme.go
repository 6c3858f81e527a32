// Package acme is a destination for Acme, an imaginary tool with an HTTP API:
//
//	POST /v2/events
//	X-Acme-Key: the key
//	{"events":[{"id":"…","kind":"action","user":"u-42","name":"Order Completed","at":1764000000000,"data":{…}}]}
//
// It takes up to 50 events a request and answers 200; or 207 with
// {"errors":[{"index":3,"code":"invalid"}]} where it could not take all of them.
//
// This file talks, mapping.go translates. Neither queues, waits, retries or counts:
// that is what the library does around them.
package acme

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tributary-dev/analytics"
)

// Destination sends events to Acme. Its fields are its settings.
type Destination struct {
	// APIKey is the key of the project. Required.
	APIKey string `json:"apiKey" secret:"true"`

	// Endpoint replaces Acme's host.
	Endpoint string `json:"endpoint,omitempty"`

	http *http.Client
	url  string
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

const (
	host    = "https://api.acme.example"
	path    = "/v2/events"
	opening = `{"events":[`
	closing = `]}`
)

// Describe states what Acme takes, and how fast.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:  "Acme",
		Calls: analytics.CallsOf(analytics.CallTrack, analytics.CallIdentify),
		Order: analytics.PerKey, // the last profile of a user wins
		Lanes: map[string]analytics.Limits{"": {
			MaxItems:     50,
			MaxBytes:     200_000,
			Overhead:     len(opening) + len(closing),
			ItemOverhead: len(","),
			Rates:        []analytics.Rate{{Requests: 20, Per: time.Second}},
			Timeout:      10 * time.Second,
		}},
	}
}

// Open checks the settings, all of them, before the first event comes.
func (d *Destination) Open(env analytics.Env) error {
	var errs []error
	if d.APIKey == "" {
		errs = append(errs, &analytics.InvalidError{Field: "APIKey", Reason: "is required"})
	}
	base, err := url.Parse(cmp.Or(d.Endpoint, host))
	if err != nil || base.Host == "" {
		errs = append(errs, &analytics.InvalidError{Field: "Endpoint", Reason: "is not a URL"})
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	d.http, d.url = env.HTTP, base.JoinPath(path).String()
	return nil
}

// Deliver sends one batch in one request.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	body := []byte(opening)
	for i, it := range b.Items {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, it.Body...)
	}
	body = append(body, closing...)

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return analytics.Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Acme-Key", d.APIKey)
	res, err := d.http.Do(req)
	if err != nil {
		return err // the network is worth another try
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusMultiStatus {
		return partly(res)
	}
	return analytics.ResponseError(res)
}

// partly takes a 207 apart: a word for each event that Acme did not take.
func partly(res *http.Response) error {
	var answer struct {
		Errors []struct {
			Index int    `json:"index"`
			Code  string `json:"code"`
		} `json:"errors"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&answer); err != nil {
		return fmt.Errorf("acme: answer 207: %w", err)
	}
	var failed analytics.BatchError
	for _, e := range answer.Errors {
		err := fmt.Errorf("acme: %s", e.Code)
		if e.Code != "busy" { // which passes; the others are about the event
			err = analytics.Permanent(err)
		}
		failed.Set(e.Index, err)
	}
	return failed.OrNil()
}
