package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"strings"
	"time"
)

// input is what to send, and how. Keys that it does not know are for the libraries of
// other platforms.
type input struct {
	WriteKey  string     `json:"writeKey"`
	APIHost   string     `json:"apiHost"`
	Sequences []sequence `json:"sequences"`
	Config    settings   `json:"config"`
}

// sequence is sent after a pause.
type sequence struct {
	DelayMS float64           `json:"delayMs"`
	Events  []json.RawMessage `json:"events"`
}

// settings of the library. What is absent, or zero but for maxRetries, is the default.
type settings struct {
	FlushAt       int     `json:"flushAt"`       // most messages of a request
	FlushInterval float64 `json:"flushInterval"` // milliseconds
	MaxRetries    *int    `json:"maxRetries"`    // after the first try
	Timeout       float64 `json:"timeout"`       // of a request, in seconds
}

const (
	defaultRetries = 3
	defaultTimeout = 10 * time.Second
)

func (c *command) parse(text string) (in input, err error) {
	raw := []byte(text)
	if text == "-" {
		if raw, err = io.ReadAll(c.stdin); err != nil {
			return input{}, fmt.Errorf("input: %w", err)
		}
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return input{}, fmt.Errorf("input: %w", err)
	}
	return in, in.check()
}

func (in *input) check() error {
	s := in.Config
	switch {
	case s.FlushAt < 0:
		return fmt.Errorf("input: config.flushAt is negative")
	case s.FlushInterval < 0:
		return fmt.Errorf("input: config.flushInterval is negative")
	case s.MaxRetries != nil && *s.MaxRetries < 0:
		return fmt.Errorf("input: config.maxRetries is negative")
	case s.Timeout < 0:
		return fmt.Errorf("input: config.timeout is negative")
	}
	for i, seq := range in.Sequences {
		if seq.DelayMS < 0 {
			return fmt.Errorf("input: sequences[%d].delayMs is negative", i)
		}
	}
	return nil
}

// attempts is how often a request is tried.
func (s settings) attempts() int {
	if s.MaxRetries == nil {
		return defaultRetries + 1
	}
	return min(*s.MaxRetries, math.MaxInt-1) + 1
}

func (s settings) timeout() time.Duration {
	if s.Timeout == 0 {
		return defaultTimeout
	}
	return duration(s.Timeout, time.Second)
}

// duration of n units, as long as there is one.
func duration(n float64, unit time.Duration) time.Duration {
	if n >= float64(math.MaxInt64)/float64(unit) {
		return math.MaxInt64
	}
	return time.Duration(n * float64(unit))
}

// endpoint makes a base URL of what testers call an API host: with or without a
// scheme, with or without the path of the API. Without a scheme it is https, but for
// loopback hosts, which have no certificates.
func endpoint(host string) string {
	if host == "" {
		return ""
	}
	if !strings.Contains(host, "://") {
		scheme := "https://"
		if u, err := url.Parse("//" + host); err == nil && loopback(u.Hostname()) {
			scheme = "http://"
		}
		host = scheme + host
	}
	host = strings.TrimRight(host, "/")
	for _, path := range []string{"/batch", "/v1"} {
		host = strings.TrimRight(strings.TrimSuffix(host, path), "/")
	}
	return host
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
