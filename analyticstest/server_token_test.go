package analyticstest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/analyticstest"
)

var serverKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// serverOAuth knows both keys, as during a rotation.
func serverOAuth() analyticstest.OAuthRules {
	keys := serverKeys()
	return analyticstest.OAuthRules{
		Keys:  map[string]*rsa.PublicKey{"old": &keys[0].PublicKey, "new": &keys[1].PublicKey},
		AppID: "app", Audience: "https://auth.test",
	}
}

type object = map[string]any

// serverJWT signs with the second key.
func serverJWT(t testing.TB, header, claims object) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	signed := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, serverKeys()[1], crypto.SHA256, sum[:])
	require.NoError(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// serverAssertion is flawless but for the changes; a nil removes.
func serverAssertion(t testing.TB, jti string, header, claims object) string {
	h := object{"alg": "RS256", "typ": "JWT", "kid": "new"}
	now := time.Now().Unix()
	c := object{"sub": "app", "aud": "https://auth.test", "iat": now - 5, "exp": now + 55, "jti": jti}
	maps.Copy(h, header)
	maps.Copy(c, claims)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return serverJWT(t, h, c)
}

// serverAsk asks for a token with a form that is flawless but for the changes.
func serverAsk(t testing.TB, srv *analyticstest.Server, assertion string, edit ...func(url.Values, *http.Request)) (int, object, http.Header) {
	t.Helper()
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
		"scope":                 {"tracking_api:write"},
	}
	r := serverRequest(t.Context(), t, srv, "", serverPath("/token"), serverHeader("Content-Type", "application/x-www-form-urlencoded"))
	for _, e := range edit {
		e(form, r)
	}
	body := form.Encode()
	r.Body, r.ContentLength = http.NoBody, 0
	if r.Method == http.MethodPost {
		r.Body, r.ContentLength = &serverBody{Reader: strings.NewReader(body)}, int64(len(body))
	}
	res, err := srv.Transport().RoundTrip(r)
	require.NoError(t, err)
	defer res.Body.Close()
	var answer object
	require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
	return res.StatusCode, answer, res.Header
}

func TestServerIssuesTokens(t *testing.T) {
	keys := serverKeys() // costs time outside the bubble
	require.NotNil(t, keys[0])
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer(503) // not for the token endpoint
		oauth := serverOAuth()
		oauth.Life, oauth.Required = time.Hour, true
		srv.SetRules(analyticstest.Rules{OAuth: oauth})
		ingest := func(token string) int {
			status, _ := serverPost(t, srv, `{"writeKey":"key",`+serverBatch(serverTrack("m"))[1:], serverHeader("Authorization", "Bearer "+token))
			return status
		}
		require.Equal(t, 503, ingest("whatever"))

		status, answer, header := serverAsk(t, srv, serverAssertion(t, "1", nil, nil))
		require.Equal(t, 200, status)
		require.Equal(t, "Bearer", answer["token_type"])
		require.EqualValues(t, 3600, answer["expires_in"])
		require.Equal(t, "tracking_api:write", answer["scope"])
		require.Equal(t, "no-store", header.Get("Cache-Control"))
		first := answer["access_token"].(string)

		require.Equal(t, 200, ingest(first))
		time.Sleep(time.Hour - time.Second)
		require.Equal(t, 200, ingest(first))
		time.Sleep(time.Second)
		require.Equal(t, 401, ingest(first), "expired")

		_, answer, _ = serverAsk(t, srv, serverAssertion(t, "2", nil, nil))
		second := answer["access_token"].(string)
		require.NotEqual(t, first, second)
		require.Equal(t, 200, ingest(second))
		for _, status := range []int{401, 403, 511} {
			srv.RevokeTokens(status)
			require.Equal(t, status, ingest(second))
		}
		_, answer, _ = serverAsk(t, srv, serverAssertion(t, "3", nil, nil))
		require.Equal(t, 200, ingest(answer["access_token"].(string)))

		require.Equal(t, 3, srv.TokenRequests())
		require.Equal(t, "/token", srv.TokenLog()[0].Path)
		require.Empty(t, srv.Violations())
	})
}

func TestServerRevokesConfiguredTokens(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{OAuth: analyticstest.OAuthRules{Tokens: []string{"tok"}}})
	body := `{"writeKey":"key",` + serverBatch(serverTrack("m"))[1:]
	status, _ := serverPost(t, srv, body, serverHeader("Authorization", "Bearer tok"))
	require.Equal(t, 200, status)
	srv.RevokeTokens(511)
	status, _ = serverPost(t, srv, body, serverHeader("Authorization", "Bearer tok"))
	require.Equal(t, 511, status)
}

func TestServerChecksTokenScope(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{OAuth: serverOAuth()})
	_, answer, _ := serverAsk(t, srv, serverAssertion(t, "1", nil, nil), func(f url.Values, _ *http.Request) {
		f.Set("scope", "functions:write public_api:read_write")
	})
	status, _ := serverPost(t, srv, `{"writeKey":"key",`+serverBatch(serverTrack("m"))[1:],
		serverHeader("Authorization", "Bearer "+answer["access_token"].(string)))
	require.Equal(t, 403, status)
}

func TestServerChecksTokenForms(t *testing.T) {
	tests := []struct {
		name string
		edit func(url.Values, *http.Request)
		want int
		code string
	}{
		{"flawless", func(url.Values, *http.Request) {}, 200, ""},
		{"GET", func(_ url.Values, r *http.Request) { r.Method = http.MethodGet }, 405, "invalid_request"},
		{"JSON", func(_ url.Values, r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 415, "invalid_request"},
		{"too large", func(f url.Values, _ *http.Request) { f.Set("x", strings.Repeat("x", 64<<10)) }, 400, "invalid_request"},
		{"grant type", func(f url.Values, _ *http.Request) { f.Set("grant_type", "password") }, 400, "unsupported_grant_type"},
		{"assertion type", func(f url.Values, _ *http.Request) { f.Del("client_assertion_type") }, 400, "invalid_request"},
		{"no scope", func(f url.Values, _ *http.Request) { f.Del("scope") }, 400, "invalid_scope"},
		{"unknown scope", func(f url.Values, _ *http.Request) { f.Set("scope", "tracking_api:write x") }, 400, "invalid_scope"},
		{"no assertion", func(f url.Values, _ *http.Request) { f.Del("client_assertion") }, 401, "invalid_client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.SetRules(analyticstest.Rules{OAuth: serverOAuth()})
			status, answer, _ := serverAsk(t, srv, serverAssertion(t, "1", nil, nil), tt.edit)
			require.Equal(t, tt.want, status)
			require.Equal(t, tt.code, srv.TokenLog()[0].Code)
			if tt.code != "" {
				require.Equal(t, tt.code, answer["error"])
				require.Len(t, srv.Violations(), 1)
			}
		})
	}
}

func TestServerChecksAssertions(t *testing.T) {
	at := func(seconds int64) int64 { return time.Now().Unix() + seconds }
	tests := []struct {
		name           string
		header, claims func() object
		want           string // part of the description; empty: passes
	}{
		{name: "audience list", claims: func() object { return object{"aud": []string{"x", "https://auth.test"}} }},
		{name: "exp 60 s ahead", claims: func() object { return object{"exp": at(60)} }},
		{name: "fractional times", claims: func() object { return object{"exp": float64(at(50)) + 0.5} }},
		{name: "algorithm", header: func() object { return object{"alg": "none"} }, want: "alg is not RS256"},
		{name: "typ", header: func() object { return object{"typ": "at+jwt"} }, want: "typ is not JWT"},
		{name: "kid", header: func() object { return object{"kid": "lost"} }, want: "unknown kid"},
		{name: "other key", header: func() object { return object{"kid": "old"} }, want: "does not verify"},
		{name: "sub", claims: func() object { return object{"sub": "other"} }, want: "sub is not"},
		{name: "no sub", claims: func() object { return object{"sub": nil} }, want: "sub is not"},
		{name: "aud", claims: func() object { return object{"aud": "https://other.test"} }, want: "aud is not"},
		{name: "no aud", claims: func() object { return object{"aud": nil} }, want: "aud is not"},
		{name: "numeric aud", claims: func() object { return object{"aud": 7} }, want: "aud is not"},
		{name: "no jti", claims: func() object { return object{"jti": nil} }, want: "no jti"},
		{name: "no iat", claims: func() object { return object{"iat": nil} }, want: "no iat"},
		{name: "no exp", claims: func() object { return object{"exp": nil} }, want: "no exp"},
		{name: "iat ahead", claims: func() object { return object{"iat": at(10)} }, want: "iat lies in the future"},
		{name: "expired", claims: func() object { return object{"exp": at(-10)} }, want: "expired"},
		{name: "exp 70 s ahead", claims: func() object { return object{"exp": at(70)} }, want: "more than 60 s ahead"},
		{name: "exp is a string", claims: func() object { return object{"exp": "soon"} }, want: "JWT claims"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.SetRules(analyticstest.Rules{OAuth: serverOAuth()})
			var header, claims object
			if tt.header != nil {
				header = tt.header()
			}
			if tt.claims != nil {
				claims = tt.claims()
			}
			status, answer, _ := serverAsk(t, srv, serverAssertion(t, "1", header, claims))
			if tt.want == "" {
				require.Equal(t, 200, status, answer)
				return
			}
			require.Equal(t, 401, status)
			require.Equal(t, "invalid_client", answer["error"])
			require.Contains(t, answer["error_description"], tt.want)
		})
	}
}

func TestServerRefusesUsedAndBrokenAssertions(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{OAuth: serverOAuth()})
	good := serverAssertion(t, "1", nil, nil)
	parts := strings.Split(good, ".")
	status, _, _ := serverAsk(t, srv, good)
	require.Equal(t, 200, status)
	for _, bad := range []string{
		good, // jti used before
		"", "a.b", "a.b.c.d", "%.%.%", parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[1] + ".%",
		parts[0] + "." + parts[2] + "." + parts[2], "e30." + parts[1] + "." + parts[2],
	} {
		status, answer, _ := serverAsk(t, srv, bad)
		require.Equal(t, 401, status, bad)
		require.Equal(t, "invalid_client", answer["error"])
	}
}

func TestServerScriptsTheTokenEndpoint(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{OAuth: serverOAuth()})
	srv.TokenScript(analyticstest.Reply{Status: 429, RetryAfter: "5"})
	srv.TokenScript(analyticstest.Statuses(500, 200)...)
	assertion := serverAssertion(t, "1", nil, nil)
	status, _, header := serverAsk(t, srv, assertion)
	require.Equal(t, 429, status)
	require.Equal(t, "5", header.Get("Retry-After"))
	for _, want := range []int{500, 200} {
		status, _, _ = serverAsk(t, srv, assertion) // scripted failures do not use up the jti
		require.Equal(t, want, status)
	}
	require.Zero(t, srv.Requests())
	require.Empty(t, srv.Violations())
}

func TestServerHasASkewedClock(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{OAuth: serverOAuth(), ClockSkew: -time.Hour})
	status, _, header := serverAsk(t, srv, serverAssertion(t, "1", nil, nil))
	require.Equal(t, 401, status)
	date, err := http.ParseTime(header.Get("Date"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(-time.Hour), date, time.Minute)

	corrected := object{"iat": date.Unix() - 5, "exp": date.Unix() + 55}
	status, _, _ = serverAsk(t, srv, serverAssertion(t, "2", nil, corrected))
	require.Equal(t, 200, status)
}
