package analytics

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A TokenSource gives bearer tokens to the cloud mode (Cloud.Tokens). Its methods
// are called from any goroutine, at the same time.
type TokenSource interface {
	// Token returns a token that is valid now. It is called for every request, so it
	// keeps what it has. Its errors are words of Deliver; ctx ends the wait for an
	// answer.
	Token(ctx context.Context) (string, error)

	// Invalidate says that the endpoint refused the token: Token is not to return
	// it again.
	Invalidate(token string)
}

// OAuth is the [TokenSource] of Segment's OAuth 2.0: client credentials, with a
// signed JWT (RS256) in place of a secret. Its methods may be called from any
// goroutine; its fields must not change after the first call.
//
// A token is fetched when it is first asked for, and again after half of its life,
// by the goroutine that asks; nobody else waits while the old one is valid, and it
// stays in use if the endpoint fails. Where there is none, all that ask share one
// request. The local clock may be wrong: the Date of the endpoint's answers counts.
type OAuth struct {
	// ClientID is the id of the OAuth app. Required.
	ClientID string `json:"clientId"`

	// KeyID is the id under which the public key was uploaded. Required.
	KeyID string `json:"keyId"`

	// PrivateKey belongs to that public key; see [ParsePrivateKey]. Required.
	PrivateKey *rsa.PrivateKey `json:"-"`

	// Endpoint is the auth host, scheme included, and the audience of the JWT. Empty
	// means that of the region "us", https://oauth2.segment.io; that of "eu" is
	// https://oauth2.eu1.segmentapis.com. A token is valid in its own region only.
	Endpoint string `json:"endpoint,omitempty"`

	// Scope is what the token may be used for. Empty means "tracking_api:write".
	Scope string `json:"scope,omitempty"`

	// HTTP sends the requests for tokens, but follows no redirect. Nil means a client
	// of its own with a time-out of 10 seconds.
	HTTP *http.Client `json:"-"`

	mu      sync.Mutex
	grant   *grant       // nil: none yet, or refused
	flight  *tokenFlight // nil: nobody is fetching
	blocked time.Time    // by a 429: no request before
	blocker error        // that 429

	skew time.Duration // the endpoint's clock minus ours; belongs to who is fetching
}

var _ TokenSource = (*OAuth)(nil)

// grant is a token and its life.
type grant struct {
	token            string
	refresh, expires time.Time
}

// tokenFlight is a request under way and, once done is closed, its end.
type tokenFlight struct {
	done  chan struct{}
	token string
	err   error
	lost  bool // the ctx of the one who asked ended it: the others ask again
}

const (
	oauthEndpoint      = "https://oauth2.segment.io"
	oauthScope         = "tracking_api:write"
	oauthTimeout       = 10 * time.Second
	oauthAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	// An assertion is valid for a minute, of which a few seconds have passed already.
	assertionPast  = 5 * time.Second
	assertionAhead = 55 * time.Second

	// Skews that differ by less may be the same: Date tells whole seconds.
	skewPrecision = 2 * time.Second

	maxTokenBody       = 64 << 10
	maxTokenLife       = 365 * 24 * time.Hour
	defaultTokenPause  = 5 * time.Second   // of a 429 that names none
	maxTokenPause      = 300 * time.Second // of a 429
	tokenRefreshPause  = time.Minute       // after a refresh failed
	shortestTokenPause = time.Second
)

// Token returns the token at hand, or fetches one. A refused key and settings that
// cannot be right are [Unauthorized], 429 is [RetryAfter] with the endpoint's pause,
// 5 seconds if it names none and 5 minutes at the most; anything else is worth
// another try. No error holds a token, an assertion or a key.
func (o *OAuth) Token(ctx context.Context) (string, error) {
	for {
		token, flight, mine, err := o.board(time.Now())
		if flight == nil {
			return token, err
		}
		if mine {
			return o.fly(ctx, flight)
		}
		select {
		case <-flight.done:
			if !flight.lost {
				return flight.token, flight.err
			}
		case <-ctx.Done():
			return "", fmt.Errorf("oauth: wait for a token: %w", ctx.Err())
		}
	}
}

// Invalidate drops the token if it is the one at hand: the next Token fetches
// another.
func (o *OAuth) Invalidate(token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.grant != nil && o.grant.token == token {
		o.grant = nil
	}
}

// board decides what a caller does: it takes what there is, waits for the flight
// of another, or is to fly itself.
func (o *OAuth) board(now time.Time) (token string, flight *tokenFlight, mine bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	valid := o.grant.valid(now)
	switch {
	case valid && (now.Before(o.grant.refresh) || now.Before(o.blocked) || o.flight != nil):
		return o.grant.token, nil, false, nil
	case o.flight != nil:
		return "", o.flight, false, nil
	case now.Before(o.blocked):
		return "", nil, false, RetryAfter(o.blocked.Sub(now), o.blocker)
	}
	o.flight = &tokenFlight{done: make(chan struct{}), lost: true}
	return "", o.flight, true, nil
}

func (g *grant) valid(now time.Time) bool { return g != nil && now.Before(g.expires) }

// fly fetches a token, for everyone who waits for the flight.
func (o *OAuth) fly(ctx context.Context, f *tokenFlight) (string, error) {
	defer o.land(f)
	fresh, err := o.fetch(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch now := time.Now(); {
	case err == nil:
		o.grant = fresh
		f.token = fresh.token
	case o.grant.valid(now):
		o.postpone(now, err)
		f.token = o.grant.token
	default:
		o.postpone(now, err)
		f.err = err
	}
	f.lost = f.err != nil && ctx.Err() != nil
	return f.token, f.err
}

// land runs even if the transport panics, so that nobody waits forever.
func (o *OAuth) land(f *tokenFlight) {
	o.mu.Lock()
	o.flight = nil
	o.mu.Unlock()
	close(f.done)
}

// postpone says when to ask again: not before a 429 allows it, and with a token in
// hand only now and then, up to its end. Without one, the backoff of the caller
// decides.
func (o *OAuth) postpone(now time.Time, err error) {
	if word, after := Classify(err); word == WordRetryAfter {
		o.blocked, o.blocker = now.Add(after), errors.Unwrap(err)
	}
	if o.grant != nil {
		left := o.grant.expires.Sub(now)
		o.grant.refresh = now.Add(max(min(tokenRefreshPause, left/4), shortestTokenPause))
	}
}

// fetch asks for a token, and once more if the refusal told that our clock is
// wrong.
func (o *OAuth) fetch(ctx context.Context) (*grant, error) {
	at, err := o.check()
	if err != nil {
		return nil, Unauthorized(err)
	}
	used := o.skew
	g, status, err := o.request(ctx, at)
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		if (o.skew - used).Abs() >= skewPrecision {
			g, _, err = o.request(ctx, at)
		}
	}
	return g, err
}

// check returns the URL of the endpoint, or everything that is wrong with the
// settings.
func (o *OAuth) check() (at *url.URL, err error) {
	var f faults
	if o.ClientID == "" {
		f.add("ClientID", "is required")
	}
	if o.KeyID == "" {
		f.add("KeyID", "is required")
	}
	if o.PrivateKey == nil || o.PrivateKey.N == nil || o.PrivateKey.D == nil {
		f.add("PrivateKey", "is required")
	}
	at, err = url.Parse(o.audience())
	switch {
	case err != nil, at.Host == "", at.Scheme != "http" && at.Scheme != "https":
		f.add("Endpoint", "is not an http or https URL")
	case at.RawQuery != "" || at.Fragment != "" || at.User != nil:
		f.add("Endpoint", "has more than scheme, host and path")
	}
	if err := f.err(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	return at.JoinPath("token"), nil
}

func (o *OAuth) audience() string {
	return strings.TrimSuffix(cmp.Or(o.Endpoint, oauthEndpoint), "/")
}

// request makes one request. The status is 0 where there was no answer.
func (o *OAuth) request(ctx context.Context, at *url.URL) (*grant, int, error) {
	sent := time.Now()
	assertion, err := o.assertion(sent.Add(o.skew))
	if err != nil {
		return nil, 0, Unauthorized(errors.New("oauth: PrivateKey does not sign"))
	}
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {oauthAssertionType},
		"client_assertion":      {assertion},
		"scope":                 {cmp.Or(o.Scope, oauthScope)},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0, Unauthorized(fmt.Errorf("oauth: %w", err))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", libraryName+"/"+Version)
	res, err := o.client().Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("oauth: %s: %w", at, redact(err))
	}
	defer drain(res.Body)
	o.learn(res.Header, time.Now())
	g, err := readGrant(res, sent)
	if err != nil {
		err = tokenError(res, time.Now().Add(o.skew), fmt.Errorf("oauth: %s: %w", at, err))
	}
	return g, res.StatusCode, err
}

// client never follows a redirect: the assertion is for the endpoint alone.
func (o *OAuth) client() *http.Client {
	c := http.Client{Timeout: oauthTimeout}
	if o.HTTP != nil {
		c = *o.HTTP
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// learn takes the time from an answer, whatever else it says. An answer that was
// long under way makes later assertions older, which they can bear, and not newer.
func (o *OAuth) learn(h http.Header, now time.Time) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		o.skew = date.Sub(now)
	}
}

// assertion returns the signed JWT, as of the endpoint's time.
func (o *OAuth) assertion(now time.Time) (string, error) {
	jwt := encodePart(map[string]any{"alg": "RS256", "typ": "JWT", "kid": o.KeyID}) + "." + encodePart(map[string]any{
		"iss": o.ClientID,
		"sub": o.ClientID,
		"aud": o.audience(),
		"iat": now.Add(-assertionPast).Unix(),
		"exp": now.Add(assertionAhead).Unix(),
		"jti": string(appendUUID(nil, time.Now())),
	})
	sum := sha256.Sum256([]byte(jwt))
	signature, err := rsa.SignPKCS1v15(rand.Reader, o.PrivateKey, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return jwt + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func encodePart(m map[string]any) string {
	b, _ := json.Marshal(m) // strings and integers always encode
	return base64.RawURLEncoding.EncodeToString(b)
}

// readGrant reads an answer to a request that was sent then.
func readGrant(res *http.Response, sent time.Time) (*grant, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBody+1))
	var answer struct {
		Token     string  `json:"access_token"`
		ExpiresIn float64 `json:"expires_in"` // seconds
		Error     string  `json:"error"`
	}
	malformed := len(body) > maxTokenBody || json.Unmarshal(body, &answer) != nil
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		return nil, tokenRefusal(res.StatusCode, answer.Error)
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case malformed || !isToken(answer.Token) || answer.ExpiresIn <= 0:
		return nil, errors.New("the answer has no access_token with expires_in")
	}
	life := time.Duration(min(answer.ExpiresIn, maxTokenLife.Seconds()) * float64(time.Second))
	return &grant{token: answer.Token, refresh: sent.Add(life / 2), expires: sent.Add(life)}, nil
}

// isToken tells whether a token can stand in a header.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// tokenRefusal names the status and, where it is one of RFC 6749, the endpoint's code.
// Nothing else of the answer is quoted.
func tokenRefusal(status int, code string) error {
	err := &StatusError{Status: status}
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
		return fmt.Errorf("%w: %s", err, code)
	}
	return err
}

// tokenError turns an answer that is no token into a word. A redirect, a server
// that fails and an answer that does not parse may all be better next time.
func tokenError(res *http.Response, now time.Time, err error) error {
	switch res.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnsupportedMediaType:
		return Unauthorized(err)
	case http.StatusTooManyRequests:
		after, ok := parseRetryAfter(res.Header, now)
		if !ok {
			after = defaultTokenPause
		}
		return RetryAfter(min(after, maxTokenPause), err)
	}
	return err
}

// ParsePrivateKey reads an RSA key in PEM, PKCS#8 ("PRIVATE KEY") or PKCS#1 ("RSA
// PRIVATE KEY"), for [OAuth]. Other blocks before it are skipped. The error says
// what the text holds instead and quotes none of it.
func ParsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	found := "no PEM block; are its line breaks real ones?"
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("private key: the text holds " + found)
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			found = "a key that is encrypted; decrypt it first"
		case block.Type == "RSA PRIVATE KEY":
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("private key: malformed PKCS#1")
			}
			return key, nil
		case block.Type == "PRIVATE KEY":
			return parsePKCS8(block.Bytes)
		case block.Type == "EC PRIVATE KEY":
			found = "a key that is not RSA"
		case strings.HasSuffix(block.Type, "PUBLIC KEY"):
			found = "a public key"
		case block.Type == "CERTIFICATE":
			found = "a certificate"
		default:
			found = "no private key"
		}
	}
}

func parsePKCS8(der []byte) (*rsa.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("private key: malformed PKCS#8")
	}
	k, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("private key: the text holds a key that is not RSA")
	}
	return k, nil
}
