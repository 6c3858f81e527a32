package analyticstest

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// OAuthRules say how the token endpoint judges, which is POST /token on the
// same server. It takes the client credentials flow with a signed JWT.
type OAuthRules struct {
	// Keys are the public keys of the OAuth app by key id. An app has up to
	// two, for rotation. Without any, every assertion is refused.
	Keys map[string]*rsa.PublicKey

	// AppID is the subject an assertion must have. Empty accepts any that is
	// not empty.
	AppID string

	// Audience is the auth host an assertion must name. Empty accepts any that
	// is not empty.
	Audience string

	// Life is how long a token is valid. Zero means 24 hours; real apps choose
	// from one day to 30 days.
	Life time.Duration

	// Tokens are accepted at ingestion besides those issued; they do not expire.
	Tokens []string

	// Required makes ingestion refuse requests without a token, as a source
	// with OAuth enabled does.
	Required bool
}

func (o OAuthRules) withDefaults() OAuthRules {
	if o.Life == 0 {
		o.Life = 24 * time.Hour
	}
	return o
}

const (
	tokenPath     = "/token"
	tokenBodySize = 64 << 10
	ingestScope   = "tracking_api:write"
)

// tokenScopes are the documented scopes.
var tokenScopes = []string{ingestScope, "functions:write", "public_api:read_write"}

// tokens is the memory of the token endpoint. Server.mu guards it.
type tokens struct {
	script  script
	count   int
	issued  map[string]issuedToken
	revoked map[string]int // answered status by token
	jtis    map[string]bool
}

type issuedToken struct {
	expires time.Time
	scopes  []string
}

func (t *tokens) init() {
	t.issued, t.revoked, t.jtis = map[string]issuedToken{}, map[string]int{}, map[string]bool{}
}

// TokenScript appends steps for the token endpoint, which has a script of its
// own. A 2xx judges the request.
func (s *Server) TokenScript(replies ...Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens.script.add(replies)
}

// RevokeTokens makes ingestion answer with the status, such as 401, 403 or 511,
// to every token known by now, those of OAuthRules.Tokens included.
func (s *Server) RevokeTokens(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token := range s.tokens.issued {
		s.tokens.revoked[token] = status
	}
	for _, token := range s.rules.OAuth.Tokens {
		s.tokens.revoked[token] = status
	}
}

// checkToken judges a bearer token at ingestion.
func (s *Server) checkToken(token string, rules Rules) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status, ok := s.tokens.revoked[token]; ok {
		return &fault{status, "access token revoked"}
	}
	if slices.Contains(rules.OAuth.Tokens, token) {
		return nil
	}
	t, ok := s.tokens.issued[token]
	switch {
	case !ok:
		return &fault{http.StatusUnauthorized, "unknown access token"}
	case !rules.now().Before(t.expires):
		return &fault{http.StatusUnauthorized, "access token expired"}
	case !slices.Contains(t.scopes, ingestScope):
		return &fault{http.StatusForbidden, "access token without " + ingestScope}
	}
	return nil
}

// receiveToken answers a request for a token.
func (s *Server) receiveToken(r *http.Request, rules Rules) (answer, error) {
	s.mu.Lock()
	e := newRequest(r, len(s.records.tokenLog)+1, rules)
	s.records.tokenLog = append(s.records.tokenLog, e)
	reply, _ := s.tokens.script.next()
	s.mu.Unlock()

	p, err := readPayload(r.Body, false, tokenBodySize)
	s.mu.Lock()
	e.WireBytes, e.BodyBytes = p.wire, p.size
	if !rules.IDsOnly {
		e.Body = p.data
	}
	s.mu.Unlock()
	if err != nil {
		return answer{}, err
	}
	if !reply.judges() {
		return reply.answer(e, reply.Status, refuseToken(reply.Status, "scripted", "").body(), rules.now()), nil
	}
	granted := s.grant(r, p, rules)
	s.mu.Lock()
	if e.Code = granted.Error; e.Code != "" {
		s.records.violate(e, "token: "+granted.Description)
	}
	s.mu.Unlock()
	if granted.status == http.StatusOK && reply.Status != 0 {
		granted.status = reply.Status
	}
	a := reply.answer(e, granted.status, granted.body(), rules.now())
	a.header.Set("Cache-Control", "no-store")
	return a, nil
}

// tokenAnswer is the endpoint's JSON, in the shape of RFC 6749.
type tokenAnswer struct {
	status      int
	Token       string `json:"access_token,omitempty"`
	Type        string `json:"token_type,omitempty"`
	ExpiresIn   int64  `json:"expires_in,omitempty"` // seconds
	Scope       string `json:"scope,omitempty"`
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
}

func (t tokenAnswer) body() []byte {
	b, err := json.Marshal(t)
	if err != nil {
		panic(err) // strings and a number always encode
	}
	return b
}

func refuseToken(status int, code, description string) tokenAnswer {
	return tokenAnswer{status: status, Error: code, Description: description}
}

// assertionType is the documented client_assertion_type.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// grant judges the form and issues a token. The documents do not give the
// statuses; clients take 400, 401 and 415 as fatal.
func (s *Server) grant(r *http.Request, p payload, rules Rules) tokenAnswer {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		return refuseToken(http.StatusMethodNotAllowed, "invalid_request", "method is not POST")
	case err != nil || media != "application/x-www-form-urlencoded":
		return refuseToken(http.StatusUnsupportedMediaType, "invalid_request", "body is no form")
	case p.size > tokenBodySize:
		return refuseToken(http.StatusBadRequest, "invalid_request", "body too large")
	}
	form, err := url.ParseQuery(string(p.data))
	if err != nil {
		return refuseToken(http.StatusBadRequest, "invalid_request", "form does not parse")
	}
	scopes := strings.Fields(form.Get("scope"))
	switch {
	case form.Get("grant_type") != "client_credentials":
		return refuseToken(http.StatusBadRequest, "unsupported_grant_type", "grant_type is not client_credentials")
	case form.Get("client_assertion_type") != assertionType:
		return refuseToken(http.StatusBadRequest, "invalid_request", "client_assertion_type is not jwt-bearer")
	case len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(tokenScopes, s) }):
		return refuseToken(http.StatusBadRequest, "invalid_scope", "scope is missing or unknown")
	}
	jti, err := rules.OAuth.verify(form.Get("client_assertion"), rules.now())
	if err != nil {
		return refuseToken(http.StatusUnauthorized, "invalid_client", err.Error())
	}
	return s.issue(jti, scopes, rules)
}

// issue hands out a token for an assertion not used before.
func (s *Server) issue(jti string, scopes []string, rules Rules) tokenAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.tokens
	if t.jtis[jti] {
		return refuseToken(http.StatusUnauthorized, "invalid_client", "jti was used before")
	}
	t.jtis[jti] = true
	t.count++
	token := fmt.Sprintf("test-token-%d", t.count)
	t.issued[token] = issuedToken{rules.now().Add(rules.OAuth.Life), scopes}
	return tokenAnswer{
		status: http.StatusOK, Token: token, Type: "Bearer",
		ExpiresIn: int64(rules.OAuth.Life / time.Second), Scope: strings.Join(scopes, " "),
	}
}
