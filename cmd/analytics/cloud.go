package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/tributary-dev/analytics"
)

// cloudAt are the flags of the cloud mode.
type cloudAt struct {
	WriteKey string `env:"SEGMENT_WRITE_KEY" help:"Write key of the source. Give it in the environment, where other users cannot see it."`
	Endpoint string `env:"SEGMENT_ENDPOINT" help:"Where to send to: scheme, host and an optional prefix of the path. Empty means Segment."`
	Region   string `help:"Region of Segment, us or eu, where there is no endpoint."`
}

// cloudName is the destination that the command knows how to make.
const cloudName = analytics.IntegrationSegment

var (
	errNoWriteKey   = fmt.Errorf("%w: give the write key in SEGMENT_WRITE_KEY, or with --write-key", errUsage)
	errUnauthorized = errors.New("the endpoint refuses the write key")
)

// where names the endpoint.
func (a *cloudAt) where() string {
	if a.Endpoint == "" {
		return "Segment, region " + cmp.Or(a.Region, "us")
	}
	u, err := url.Parse(a.Endpoint)
	if err != nil || u.Host == "" {
		return "the endpoint"
	}
	return u.Scheme + "://" + u.Host + u.Path // the user and the query may be secret, as a password is
}

// config is that of a client with nothing but the cloud mode, which waits in memory.
func (a *cloudAt) config(c *command) analytics.Config {
	return analytics.Config{
		WriteKey: a.WriteKey, Endpoint: a.Endpoint, Region: a.Region,
		WhenFull: analytics.Block, HTTPClient: c.httpClient(), Logger: slog.New(slog.DiscardHandler),
	}
}

// httpClient is the one of the library, or one over the transport of a test.
func (c *command) httpClient() *http.Client {
	if c.transport == nil {
		return nil
	}
	return &http.Client{Transport: c.transport}
}
