// Package beacon is a destination for Beacon, an imaginary tool with an HTTP API, written
// with the helpers of destinations/dest:
//
//	POST https://us.beacon.example/v1/signals
//	Authorization: Bearer token
//	{"signals":[{"id":"…","name":"order.completed","who":"u-42","at":"2026-11-20T12:00:00.000Z","plan":"pro","data":{…}}]}
//
// It takes up to 100 signals a request, none of them older than a week, and answers 200;
// or 207 with {"refused":[{"index":3,"code":"bad_name"}]} where it could not take all of
// them.
package beacon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to Beacon. Its fields are its settings.
type Destination struct {
	// Token is that of the account.
	Token string `json:"token" required:"true" secret:"true"`

	// Region is where the account is stored.
	Region string `json:"region,omitempty" oneof:"us eu" default:"us"`

	// KeepOld sends signals that are older than a week, for accounts that may.
	KeepOld bool `json:"keepOld,omitempty"`

	dest.Hooks

	client dest.Client
	header http.Header
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

const (
	opening = `{"signals":[`
	closing = `]}`
)

// Describe states what Beacon takes.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:  "Beacon",
		Calls: analytics.CallsOf(analytics.CallTrack, analytics.CallPage),
		Lanes: map[string]analytics.Limits{"": {
			MaxItems: 100, MaxBytes: 500_000,
			Overhead: len(opening) + len(closing), ItemOverhead: len(","),
			Linger: dest.Linger,
		}},
	}
}

// Open checks the settings by what their tags say.
func (d *Destination) Open(env analytics.Env) error {
	d.client = dest.NewClient("beacon", env)
	d.header = http.Header{"Authorization": {"Bearer " + d.Token}}
	return dest.Check(d).Err()
}

const maxAge = 7 * 24 * time.Hour

var errOld = errors.New("beacon: older than a week")

// Deliver sends what is not too old in one request.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	oldest := time.Now().Add(-maxAge)
	return dest.Sieve(b, func(it *analytics.Item) error {
		if at, ok := it.Data.(time.Time); ok && at.Before(oldest) && !d.KeepOld {
			return errOld
		}
		return nil
	}, func(items []analytics.Item) error { return d.send(ctx, items) })
}

func (d *Destination) send(ctx context.Context, items []analytics.Item) error {
	host := "https://us.beacon.example"
	if d.Region == "eu" {
		host = "https://eu.beacon.example"
	}
	answer, err := d.client.Do(ctx, dest.Request{
		URL: host + "/v1/signals", Header: d.header, Body: dest.Join(opening, items, closing),
	})
	if err != nil {
		return err
	}
	if answer.Status == http.StatusMultiStatus {
		return refused(answer)
	}
	return answer.Err()
}

// refused reads which signals were not taken. Those that are not named were.
func refused(answer *dest.Answer) error {
	var body struct {
		Refused []struct {
			Index int    `json:"index"`
			Code  string `json:"code"`
		} `json:"refused"`
	}
	if err := answer.Decode(&body); err != nil {
		return err // worth another try
	}
	var failed analytics.BatchError
	for _, r := range body.Refused {
		failed.Set(r.Index, analytics.Permanent(answer.Fault(r.Code)))
	}
	return failed.OrNil()
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
