package trackingapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
)

var (
	// ErrUnknownKey is what a [KeyStore] returns for a write key that it does not know.
	ErrUnknownKey = errors.New("trackingapi: unknown write key")

	// ErrBadToken is what a [TokenVerifier] returns for a token that it refuses.
	ErrBadToken = errors.New("trackingapi: the token is refused")

	// ErrDisabled is what a [KeyStore] returns for a source that is switched off: its
	// messages are answered like those of any other, and discarded.
	ErrDisabled = errors.New("trackingapi: the source is disabled")
)

// A KeyStore knows the write keys.
type KeyStore interface {
	// Source returns whose write key that is, [ErrUnknownKey] or [ErrDisabled]. Any other
	// error is answered with 503, so that clients try again. It is asked for every
	// request, and may be asked by several at a time.
	Source(ctx context.Context, writeKey string) (*Source, error)
}

// A Source is where messages come from: a website, an app, a service.
type Source struct {
	// Name is the source's in Stats and discards.
	Name string

	// Client gets its events. Required.
	Client *analytics.Client

	// Requests is how many requests a second are answered, with bursts of as many; more
	// are told to wait. Zero: no limit.
	Requests int

	// Settings makes the document that browser and mobile libraries ask for. Nil means
	// one with nothing but this endpoint.
	Settings SettingsFunc
}

// Keys is a [KeyStore] of fixed keys. They are compared in constant time.
type Keys map[string]*Source

// Source finds a key.
func (k Keys) Source(_ context.Context, writeKey string) (*Source, error) {
	given := sha256.Sum256([]byte(writeKey))
	var found *Source
	for key, source := range k {
		if want := sha256.Sum256([]byte(key)); subtle.ConstantTimeCompare(want[:], given[:]) == 1 {
			found = source
		}
	}
	if found == nil {
		return nil, ErrUnknownKey
	}
	return found, nil
}

// faults never quotes a key.
func (k Keys) faults() (errs []error) {
	for i, key := range slices.Sorted(maps.Keys(k)) {
		switch {
		case strings.TrimSpace(key) == "":
			errs = append(errs, &analytics.InvalidError{Field: "Keys", Reason: "has an empty key"})
		case k[key] == nil || k[key].Client == nil:
			errs = append(errs, &analytics.InvalidError{Field: "Keys", Reason: fmt.Sprintf("has no client for key %d of %d, in the order of the keys", i+1, len(k))})
		case k[key].Requests < 0:
			errs = append(errs, &analytics.InvalidError{Field: "Keys", Reason: fmt.Sprintf("has a negative rate for %q", k[key].Name)})
		}
	}
	return errs
}

// A TokenVerifier checks the Bearer tokens of sources that have OAuth.
type TokenVerifier interface {
	// Verify returns the write keys that the token is good for, none for any, or
	// [ErrBadToken]. Any other error is answered with 503, so that clients try again.
	Verify(ctx context.Context, token string) (writeKeys []string, err error)
}

// credentials are what a request's header says about who sends it.
type credentials struct {
	key   string // of Basic
	token string // of Bearer
	bad   bool   // there is a header, and it cannot be read
}

// maxCredentials bounds the header, in bytes.
const maxCredentials = 8 << 10

func credentialsOf(r *http.Request) credentials {
	header := r.Header.Get("Authorization")
	if header == "" {
		return credentials{}
	}
	scheme, value, _ := strings.Cut(header, " ")
	value = strings.TrimSpace(value)
	switch {
	case value == "" || len(header) > maxCredentials:
	case strings.EqualFold(scheme, "Basic"):
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			raw, err = base64.RawStdEncoding.DecodeString(value)
		}
		// The key is the user; clients of old leave out the colon.
		if key, _, _ := strings.Cut(string(raw), ":"); err == nil && key != "" {
			return credentials{key: strings.TrimRight(key, "\r\n")}
		}
	case strings.EqualFold(scheme, "Bearer"):
		return credentials{token: value}
	}
	return credentials{bad: true}
}

// source finds out whose request it is. inBody is the write key of the body or of the
// query, which has precedence over that of the header: proxies may add a header of
// their own.
func (c *exchange) source(inBody string) (*Source, error) {
	given := credentialsOf(c.r)
	key := inBody
	if key == "" {
		key = given.key
	}
	switch {
	case key == "":
		return nil, ErrUnknownKey
	case given.bad, given.key != "" && given.key != key:
		return nil, ErrUnknownKey
	}
	if given.token != "" {
		if err := c.checkToken(given.token, key); err != nil {
			return nil, err
		}
	}
	return c.h.cfg.Keys.Source(c.r.Context(), key)
}

func (c *exchange) checkToken(token, key string) error {
	if c.h.cfg.Tokens == nil {
		return ErrUnknownKey
	}
	keys, err := c.h.cfg.Tokens.Verify(c.r.Context(), token)
	switch {
	case errors.Is(err, ErrBadToken):
		return ErrUnknownKey
	case err != nil:
		return err
	case keys != nil && !slices.Contains(keys, key):
		return ErrUnknownKey
	}
	return nil
}
