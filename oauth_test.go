package analytics_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
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
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

func ExampleOAuth() {
	key, err := analytics.ParsePrivateKey(pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(oauthKey())))) // as read from a file
	if err != nil {
		panic(err)
	}
	tokens := &analytics.OAuth{
		ClientID:   "app-1",
		KeyID:      "key-1",
		PrivateKey: key,
		HTTP:       &http.Client{Transport: &tokenHost{}}, // leave it out to ask Segment
	}
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{
		&analytics.Cloud{WriteKey: "key of the source", Tokens: tokens},
	}})
	if err != nil {
		panic(err)
	}
	defer client.Close(context.Background())

	token, err := tokens.Token(context.Background()) // what the cloud mode does before each request
	fmt.Println(token, err)
	// Output: token-1 <nil>
}

var oauthKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// tokenHost is a token endpoint in memory. Answers play in order, the last one
// again and again; without any, each request gets the next token, for an hour.
type tokenHost struct {
	answers []func(*http.Request) (*http.Response, error)
	skew    time.Duration // its clock minus ours, told by Date; a negative year for no Date

	mu    sync.Mutex
	forms []url.Values
	reqs  []*http.Request
}

func (h *tokenHost) RoundTrip(r *http.Request) (*http.Response, error) {
	form := must(url.ParseQuery(string(must(io.ReadAll(r.Body)))))
	h.mu.Lock()
	h.forms, h.reqs = append(h.forms, form), append(h.reqs, r)
	n := len(h.reqs)
	answer := grantFor(fmt.Sprintf("token-%d", n), time.Hour)
	if len(h.answers) > 0 {
		answer = h.answers[min(n, len(h.answers))-1]
	}
	h.mu.Unlock()
	res, err := answer(r)
	if err == nil {
		res.Request = r
		if h.skew > -year {
			res.Header.Set("Date", time.Now().Add(h.skew).UTC().Format(http.TimeFormat))
		}
	}
	return res, err
}

const year = 365 * 24 * time.Hour

func (h *tokenHost) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.reqs)
}

// claims verifies the nth assertion and returns its header and claims.
func (h *tokenHost) claims(t *testing.T, n int) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(h.forms[n].Get("client_assertion"), ".")
	require.Len(t, parts, 3)
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature := must(base64.RawURLEncoding.DecodeString(parts[2]))
	require.NoError(t, rsa.VerifyPKCS1v15(&oauthKey().PublicKey, crypto.SHA256, sum[:], signature))
	require.NoError(t, json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[0])), &header))
	require.NoError(t, json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[1])), &claims))
	return header, claims
}

func reply(status int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		res := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		for i := 0; i < len(headers); i += 2 {
			res.Header.Set(headers[i], headers[i+1])
		}
		return res, nil
	}
}

func grantFor(token string, life time.Duration) func(*http.Request) (*http.Response, error) {
	return reply(200, fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":%g,"scope":"tracking_api:write"}`, token, life.Seconds()))
}

func slowly(d time.Duration, answer func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return answer(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

func noNetwork(*http.Request) (*http.Response, error) { return nil, errors.New("no route to host") }

func newOAuth(h *tokenHost) *analytics.OAuth {
	return &analytics.OAuth{ClientID: "app-1", KeyID: "key-1", PrivateKey: oauthKey(), HTTP: &http.Client{Transport: h}}
}

func requireToken(t *testing.T, want string, o *analytics.OAuth) {
	t.Helper()
	token, err := o.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, token)
}

func TestOAuthRequest(t *testing.T) {
	t.Run("form, header and claims are those of the documents", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{}
			o := newOAuth(h)
			requireToken(t, "token-1", o)

			r, form := h.reqs[0], h.forms[0]
			require.Equal(t, "POST https://oauth2.segment.io/token", r.Method+" "+r.URL.String())
			require.Equal(t, "application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
			require.Len(t, form, 4)
			require.Equal(t, "client_credentials", form.Get("grant_type"))
			require.Equal(t, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", form.Get("client_assertion_type"))
			require.Equal(t, "tracking_api:write", form.Get("scope"))

			header, claims := h.claims(t, 0)
			require.Equal(t, map[string]any{"alg": "RS256", "typ": "JWT", "kid": "key-1"}, header)
			require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, claims["jti"])
			now := float64(time.Now().Unix())
			require.Equal(t, map[string]any{
				"iss": "app-1", "sub": "app-1", "aud": "https://oauth2.segment.io", "iat": now - 5, "exp": now + 55, "jti": claims["jti"],
			}, claims)
		})
	})
	t.Run("endpoint and scope can be others", func(t *testing.T) {
		h := &tokenHost{}
		o := newOAuth(h)
		o.Endpoint, o.Scope = "https://proxy.example/auth/", "functions:write"
		requireToken(t, "token-1", o)
		require.Equal(t, "https://proxy.example/auth/token", h.reqs[0].URL.String())
		require.Equal(t, "functions:write", h.forms[0].Get("scope"))
		_, claims := h.claims(t, 0)
		require.Equal(t, "https://proxy.example/auth", claims["aud"])
	})
	t.Run("no id of an assertion is used twice", func(t *testing.T) {
		h := &tokenHost{}
		o := newOAuth(h)
		requireToken(t, "token-1", o)
		o.Invalidate("token-1")
		requireToken(t, "token-2", o)
		_, first := h.claims(t, 0)
		_, second := h.claims(t, 1)
		require.NotEqual(t, first["jti"], second["jti"])
	})
	t.Run("it has a client of its own", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/token" {
				t.Error("followed a redirect")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}))
		defer srv.Close()
		o := newOAuth(nil)
		o.HTTP, o.Endpoint = nil, srv.URL
		_, err := o.Token(t.Context())
		require.ErrorContains(t, err, "status 307")
	})
	t.Run("a client of the user's follows no redirect either", func(t *testing.T) {
		h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){reply(307, "", "Location", "https://evil.example/token")}}
		_, err := newOAuth(h).Token(t.Context())
		require.ErrorContains(t, err, "status 307")
		require.Equal(t, 1, h.count())
	})
}

func TestOAuthLife(t *testing.T) {
	t.Run("a token is kept for half of its life", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := newOAuth(&tokenHost{})
			requireToken(t, "token-1", o)
			time.Sleep(30*time.Minute - time.Nanosecond)
			requireToken(t, "token-1", o)
			time.Sleep(time.Nanosecond)
			requireToken(t, "token-2", o)
		})
	})
	t.Run("its life begins with the request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){
				slowly(4*time.Second, grantFor("a", 10*time.Second)), grantFor("b", 10*time.Second),
			}}
			o := newOAuth(h)
			requireToken(t, "a", o)
			time.Sleep(time.Second)
			requireToken(t, "b", o)
		})
	})
	t.Run("all that ask share one request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){slowly(time.Second, grantFor("a", time.Hour))}}
			o := newOAuth(h)
			for range 20 {
				go func() { requireToken(t, "a", o) }()
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			require.Equal(t, 1, h.count())
		})
	})
	t.Run("all that ask share one failure", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){slowly(time.Second, reply(401, ""))}}
			o := newOAuth(h)
			for range 20 {
				go func() {
					_, err := o.Token(t.Context())
					requireWord(t, analytics.WordUnauthorized, 0, err)
				}()
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			require.Equal(t, 1, h.count())
		})
	})
	t.Run("nobody waits for a refresh but the one who makes it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){grantFor("a", time.Hour), slowly(time.Minute, grantFor("b", time.Hour))}}
			o := newOAuth(h)
			requireToken(t, "a", o)
			time.Sleep(30 * time.Minute)
			go func() { requireToken(t, "b", o) }()
			synctest.Wait()
			start := time.Now()
			requireToken(t, "a", o)
			require.Zero(t, time.Since(start))
			time.Sleep(time.Minute)
			synctest.Wait()
			requireToken(t, "b", o)
			require.Equal(t, 2, h.count())
		})
	})
	t.Run("a token stays in use while the endpoint fails, until it ends", func(t *testing.T) {
		for _, tt := range []struct {
			name   string
			answer func(*http.Request) (*http.Response, error)
		}{{"network", noNetwork}, {"unavailable", reply(503, "")}, {"refused", reply(401, "")}} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){grantFor("a", time.Hour), tt.answer}}
					o := newOAuth(h)
					for range 3600 {
						requireToken(t, "a", o)
						time.Sleep(time.Second)
					}
					require.Greater(t, h.count(), 20, "once a minute, more often towards the end")
					require.Less(t, h.count(), 60)
					_, err := o.Token(t.Context())
					require.Error(t, err)
				})
			})
		}
	})
	t.Run("a token that was refused is not returned again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := newOAuth(&tokenHost{})
			requireToken(t, "token-1", o)
			o.Invalidate("another")
			requireToken(t, "token-1", o)
			o.Invalidate("token-1")
			requireToken(t, "token-2", o)
			o.Invalidate("token-1") // a slower request tells the same
			requireToken(t, "token-2", o)
		})
	})
	t.Run("a token that is refused during a failing refresh is not kept", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){grantFor("a", time.Hour), slowly(time.Second, reply(503, ""))}}
			o := newOAuth(h)
			requireToken(t, "a", o)
			time.Sleep(30 * time.Minute)
			go o.Invalidate("a")
			_, err := o.Token(t.Context())
			require.ErrorContains(t, err, "503")
		})
	})
	t.Run("an absurd life is bounded", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){reply(200, `{"access_token":"a","expires_in":1e300}`), grantFor("b", time.Hour)}}
			o := newOAuth(h)
			requireToken(t, "a", o)
			time.Sleep(year)
			requireToken(t, "b", o)
		})
	})
}

func requireWord(t *testing.T, word analytics.Word, after time.Duration, err error) {
	t.Helper()
	require.Error(t, err)
	w, a := analytics.Classify(err)
	require.Equal(t, word, w, "%v", err)
	require.Equal(t, after, a)
}

func TestOAuthAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		word   analytics.Word
		after  time.Duration
		says   string
	}{
		{"400 is a refusal", reply(400, `{"error":"invalid_scope","error_description":"secret"}`), analytics.WordUnauthorized, 0, "status 400 Bad Request: invalid_scope"},
		{"401 is a refusal", reply(401, `{"error":"invalid_client"}`), analytics.WordUnauthorized, 0, "status 401 Unauthorized: invalid_client"},
		{"a code of the endpoint's own is not quoted", reply(401, `{"error":"secret"}`), analytics.WordUnauthorized, 0, "status 401 Unauthorized"},
		{"403 is a refusal", reply(403, "<html>secret"), analytics.WordUnauthorized, 0, "status 403 Forbidden"},
		{"415 is a refusal", reply(415, ""), analytics.WordUnauthorized, 0, "status 415"},
		{"429 names its pause", reply(429, "", "Retry-After", "17"), analytics.WordRetryAfter, 17 * time.Second, "status 429"},
		{"429 names its end by the endpoint's clock", reply(429, "", "Retry-After", time.Date(2000, 1, 1, 1, 0, 42, 0, time.UTC).Format(http.TimeFormat)), analytics.WordRetryAfter, 42 * time.Second, "status 429"},
		{"429 names no pause", reply(429, ""), analytics.WordRetryAfter, 5 * time.Second, "status 429"},
		{"429 names an unreadable pause", reply(429, "", "Retry-After", "soon"), analytics.WordRetryAfter, 5 * time.Second, "status 429"},
		{"429 names too long a pause", reply(429, "", "Retry-After", "86400"), analytics.WordRetryAfter, 300 * time.Second, "status 429"},
		{"404 is tried again", reply(404, ""), analytics.WordAgain, 0, "status 404"},
		{"500 is tried again", reply(500, ""), analytics.WordAgain, 0, "status 500"},
		{"503 is tried again by the caller's backoff", reply(503, "", "Retry-After", "60"), analytics.WordAgain, 0, "status 503"},
		{"a network that fails is tried again", noNetwork, analytics.WordAgain, 0, "no route to host"},
		{"an answer without a token is tried again", reply(200, `{"expires_in":3600}`), analytics.WordAgain, 0, "no access_token"},
		{"an answer without a life is tried again", reply(200, `{"access_token":"secret"}`), analytics.WordAgain, 0, "no access_token with expires_in"},
		{"a token that fits no header is tried again", reply(200, `{"access_token":"secret\r\nX: y","expires_in":3600}`), analytics.WordAgain, 0, "no access_token"},
		{"an answer that is no JSON is tried again", reply(200, `secret`), analytics.WordAgain, 0, "no access_token"},
		{"an answer that is too long is tried again", reply(200, `{"access_token":"secret","expires_in":3600,"x":"`+strings.Repeat("x", 64<<10)+`"}`), analytics.WordAgain, 0, "no access_token"},
		{"an answer that breaks off is tried again", func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(io.MultiReader(strings.NewReader(`{"access`), errReader{}))}, nil
		}, analytics.WordAgain, 0, "read the answer: connection reset"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){tt.answer}, skew: time.Hour}
				o := newOAuth(h)
				o.Endpoint = "https://auth.example"
				_, err := o.Token(t.Context())
				requireWord(t, tt.word, tt.after, err)
				require.ErrorContains(t, err, "oauth: https://auth.example/token: ")
				require.ErrorContains(t, err, tt.says)
				require.NotContains(t, err.Error(), "secret")
				for _, form := range h.forms {
					require.NotContains(t, err.Error(), form.Get("client_assertion"))
				}
			})
		})
	}

	t.Run("429 stops everyone for its pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){reply(429, "", "Retry-After", "60"), grantFor("a", time.Hour)}}
			o := newOAuth(h)
			_, err := o.Token(t.Context())
			requireWord(t, analytics.WordRetryAfter, time.Minute, err)
			time.Sleep(20 * time.Second)
			_, err = o.Token(t.Context())
			requireWord(t, analytics.WordRetryAfter, 40*time.Second, err)
			require.ErrorContains(t, err, "429")
			require.Equal(t, 1, h.count())
			time.Sleep(40 * time.Second)
			requireToken(t, "a", o)
		})
	})
	t.Run("429 of a refresh holds after the token is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){grantFor("a", time.Hour), reply(429, "", "Retry-After", "200"), grantFor("b", time.Hour)}}
			o := newOAuth(h)
			requireToken(t, "a", o)
			time.Sleep(30 * time.Minute)
			requireToken(t, "a", o)
			time.Sleep(100 * time.Second)
			requireToken(t, "a", o)
			o.Invalidate("a")
			_, err := o.Token(t.Context())
			requireWord(t, analytics.WordRetryAfter, 100*time.Second, err)
			time.Sleep(100 * time.Second)
			requireToken(t, "b", o)
			require.Equal(t, 3, h.count())
		})
	})
	t.Run("an answer is read up to its bound", func(t *testing.T) {
		body := &endless{}
		h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body}, nil
		}}}
		_, err := newOAuth(h).Token(t.Context())
		requireWord(t, analytics.WordAgain, 0, err)
		require.True(t, body.closed)
		require.Less(t, body.read, 256<<10)
	})
	t.Run("the time-out of the client ends a request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := newOAuth(&tokenHost{answers: []func(*http.Request) (*http.Response, error){slowly(time.Hour, noNetwork)}})
			o.HTTP.Timeout = 10 * time.Second
			start := time.Now()
			_, err := o.Token(t.Context())
			requireWord(t, analytics.WordAgain, 0, err)
			require.Equal(t, 10*time.Second, time.Since(start))
		})
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

type endless struct {
	read   int
	closed bool
}

func (e *endless) Read(p []byte) (int, error) { e.read += len(p); return len(p), nil }
func (e *endless) Close() error               { e.closed = true; return nil }

func TestOAuthSkew(t *testing.T) {
	// judge refuses assertions that are not valid by the host's clock.
	judge := func(h *tokenHost) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) {
			var claims struct{ Iat, Exp int64 }
			part := strings.Split(h.forms[len(h.forms)-1].Get("client_assertion"), ".")[1]
			must(0, json.Unmarshal(must(base64.RawURLEncoding.DecodeString(part)), &claims))
			now := time.Now().Add(h.skew).Unix()
			if claims.Iat > now || claims.Exp <= now || claims.Exp > now+60 {
				return reply(401, `{"error":"invalid_client"}`)(r)
			}
			return grantFor(fmt.Sprintf("token-%d", len(h.forms)), time.Hour)(r)
		}
	}
	for _, tt := range []struct {
		name     string
		skew     time.Duration
		requests int
	}{
		{"no skew needs one request", 0, 1},
		{"a small skew needs one request", -3 * time.Second, 1},
		{"a clock ahead is corrected by the refusal", -10 * time.Minute, 2},
		{"a clock behind is corrected by the refusal", 3*time.Hour + 300*time.Millisecond, 2},
		{"a clock decades behind is corrected by the refusal", 26 * year, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &tokenHost{skew: tt.skew}
				h.answers = append(h.answers, judge(h))
				o := newOAuth(h)
				start := time.Now()
				requireToken(t, fmt.Sprintf("token-%d", tt.requests), o)
				require.Zero(t, time.Since(start), "the second try is immediate")
				time.Sleep(40 * time.Minute)
				requireToken(t, fmt.Sprintf("token-%d", tt.requests+1), o) // knows the skew
			})
		})
	}
	t.Run("a success tells the skew as well", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{skew: time.Hour}
			o := newOAuth(h)
			requireToken(t, "token-1", o)
			o.Invalidate("token-1")
			requireToken(t, "token-2", o)
			_, claims := h.claims(t, 1)
			require.EqualValues(t, time.Now().Add(time.Hour-5*time.Second).Unix(), claims["iat"])
		})
	})
	for _, tt := range []struct {
		name     string
		skew     time.Duration
		status   int
		requests int
	}{
		{"a refusal that tells no skew is final", 0, 401, 1},
		{"a refusal without a Date is final", -2 * year, 401, 1},
		{"a refusal is final after the second try", time.Hour, 401, 2},
		{"a form that is refused is not sent again", time.Hour, 415, 1},
		{"an endpoint that fails is not asked again", time.Hour, 503, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &tokenHost{skew: tt.skew, answers: []func(*http.Request) (*http.Response, error){reply(tt.status, "")}}
				_, err := newOAuth(h).Token(t.Context())
				require.ErrorContains(t, err, fmt.Sprint(tt.status))
				require.Equal(t, tt.requests, h.count())
			})
		})
	}
}

func TestOAuthContext(t *testing.T) {
	t.Run("one who waits may give up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){slowly(time.Minute, grantFor("a", time.Hour))}}
			o := newOAuth(h)
			go func() { requireToken(t, "a", o) }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := o.Token(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			requireWord(t, analytics.WordAgain, 0, err)
			time.Sleep(time.Minute)
		})
	})
	t.Run("one who fetches may give up without the others", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){slowly(time.Minute, grantFor("a", time.Hour))}}
			o := newOAuth(h)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			go func() {
				_, err := o.Token(ctx)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}()
			synctest.Wait()
			for range 5 {
				go func() { requireToken(t, "a", o) }()
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			require.Equal(t, 2, h.count())
		})
	})
	t.Run("a transport that panics holds nobody up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &tokenHost{answers: []func(*http.Request) (*http.Response, error){
				func(*http.Request) (*http.Response, error) { time.Sleep(time.Second); panic("transport") }, grantFor("a", time.Hour),
			}}
			o := newOAuth(h)
			go func() { require.Panics(t, func() { _, _ = o.Token(t.Context()) }) }()
			synctest.Wait()
			requireToken(t, "a", o)
		})
	})
}

func TestOAuthSettings(t *testing.T) {
	t.Run("everything that is missing is named, before any request", func(t *testing.T) {
		h := &tokenHost{}
		o := &analytics.OAuth{Endpoint: "https://ann:secret@auth.example/?key=secret", HTTP: &http.Client{Transport: h}}
		_, err := o.Token(t.Context())
		requireWord(t, analytics.WordUnauthorized, 0, err)
		for _, field := range []string{"ClientID", "KeyID", "PrivateKey", "Endpoint"} {
			require.ErrorContains(t, err, field)
		}
		require.NotContains(t, err.Error(), "secret")
		require.Zero(t, h.count())
	})
	for _, endpoint := range []string{"auth.example", "ftp://secret.example", "https://", "://secret", "https://auth.example/#secret", "https://[secret"} {
		t.Run("an endpoint is a URL: "+endpoint, func(t *testing.T) {
			o := newOAuth(&tokenHost{})
			o.Endpoint = endpoint
			_, err := o.Token(t.Context())
			requireWord(t, analytics.WordUnauthorized, 0, err)
			require.NotContains(t, err.Error(), "secret")
		})
	}
	t.Run("a broken key is refused without being quoted", func(t *testing.T) {
		o := newOAuth(&tokenHost{})
		broken := *oauthKey()
		broken.Primes, broken.Precomputed = nil, rsa.PrecomputedValues{}
		broken.E = 2
		o.PrivateKey = &broken
		_, err := o.Token(t.Context())
		requireWord(t, analytics.WordUnauthorized, 0, err)
		require.EqualError(t, err, "oauth: PrivateKey does not sign")
	})
	t.Run("printing it shows no key and no token", func(t *testing.T) {
		o := newOAuth(&tokenHost{})
		requireToken(t, "token-1", o)
		text := fmt.Sprintf("%v %+v %#v %s", o, o, o, must(json.Marshal(o)))
		require.NotContains(t, text, "token-1")
		require.NotContains(t, text, oauthKey().D.String())
	})
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParsePrivateKey(t *testing.T) {
	pkcs1 := pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(oauthKey()))
	pkcs8 := pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(oauthKey())))
	public := pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&oauthKey().PublicKey)))
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	legacy := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("secret")})

	for name, text := range map[string][]byte{
		"PKCS#1":                   pkcs1,
		"PKCS#8":                   pkcs8,
		"after another block":      append(bytes.Clone(public), pkcs8...),
		"with text around":         append(append([]byte("Bag Attributes\n"), pkcs1...), "\n\n"...),
		"with line breaks of DOS":  bytes.ReplaceAll(pkcs8, []byte("\n"), []byte("\r\n")),
		"after one of another use": append(pemOf("EC PARAMETERS", []byte{1}), pkcs8...),
	} {
		t.Run(name, func(t *testing.T) {
			key, err := analytics.ParsePrivateKey(text)
			require.NoError(t, err)
			require.True(t, oauthKey().Equal(key))
		})
	}
	for _, tt := range []struct {
		name string
		text []byte
		says string
	}{
		{"nothing", nil, "no PEM block"},
		{"line breaks that are written out", bytes.ReplaceAll(pkcs8, []byte("\n"), []byte(`\n`)), "line breaks"},
		{"a public key", public, "a public key"},
		{"a certificate", pemOf("CERTIFICATE", []byte("secret")), "a certificate"},
		{"an encrypted key", pemOf("ENCRYPTED PRIVATE KEY", []byte("secret")), "encrypted"},
		{"a key encrypted the old way", legacy, "encrypted"},
		{"an elliptic curve", pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ec))), "not RSA"},
		{"an elliptic curve in SEC 1", pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec))), "not RSA"},
		{"something else", pemOf("SSH SECRET", []byte("secret")), "no private key"},
		{"garbage in PKCS#1", pemOf("RSA PRIVATE KEY", []byte("secret")), "malformed PKCS#1"},
		{"garbage in PKCS#8", pemOf("PRIVATE KEY", []byte("secret")), "malformed PKCS#8"},
	} {
		t.Run(tt.name+" is an error", func(t *testing.T) {
			_, err := analytics.ParsePrivateKey(tt.text)
			require.ErrorContains(t, err, "private key: ")
			require.ErrorContains(t, err, tt.says)
			require.NotContains(t, strings.ToLower(err.Error()), "secret")
		})
	}
}
