package dest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// secretURL holds a secret wherever an address can.
const secretURL = "https://s3cret-user:s3cret-pass@tool.example:8443/v1/s3cret-path?key=s3cret-query&b=%20s3cret-more"

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func over(rt http.RoundTripper) dest.Client {
	return dest.NewClient("tool", analytics.Env{HTTP: &http.Client{
		Transport:     rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
}

// dialed is a real transport over connections in memory, each served once.
func dialed(serve func(net.Conn)) *http.Transport {
	dial := func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			serve(there)
		}()
		return here, nil
	}
	return &http.Transport{DialContext: dial, DisableKeepAlives: true, TLSHandshakeTimeout: time.Minute}
}

// answering reads one request and writes an answer as it is.
func answering(raw string) func(net.Conn) {
	return func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(c, raw)
	}
}

// plainHTTP answers a handshake with HTTP.
func plainHTTP(c net.Conn) {
	_, _ = c.Read(make([]byte, 16<<10))
	_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
}

func failing(err error) http.RoundTripper {
	return roundTrip(func(*http.Request) (*http.Response, error) { return nil, err })
}

func unknownAuthority(t *testing.T) func(net.Conn) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"tool.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, template, template, pub, key)
	require.NoError(t, err)
	return func(c net.Conn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}).Handshake()
	}
}

// An error of the network is worth another try, wraps its cause, begins with the tool's
// name and tells no address and no secret.
func TestClientErrors(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	dns := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "tool.example", IsNotFound: true}}
	nested := &url.Error{Op: "Post", URL: secretURL, Err: io.ErrUnexpectedEOF}
	var unknown *tls.CertificateVerificationError
	for name, c := range map[string]struct {
		transport http.RoundTripper
		url       string
		cause     any
	}{
		"no such host":       {failing(dns), secretURL, &dns},
		"refused":            {failing(refused), secretURL, syscall.ECONNREFUSED},
		"address in address": {failing(nested), secretURL, io.ErrUnexpectedEOF},
		"in its own words":   {failing(fmt.Errorf("POST %s giving up after 5 attempts: %w", secretURL, io.EOF)), secretURL, io.EOF},
		"wrapped address":    {failing(fmt.Errorf("proxy: %w", nested)), secretURL, io.ErrUnexpectedEOF},
		"unknown authority":  {dialed(unknownAuthority(t)), secretURL, &unknown},
		"no TLS at all":      {dialed(plainHTTP), secretURL, nil},
		"closed at once":     {dialed(answering("")), strings.Replace(secretURL, "https", "http", 1), io.EOF},
		"no HTTP":            {dialed(answering("220 mail ready\r\n")), strings.Replace(secretURL, "https", "http", 1), nil},
	} {
		client := over(c.transport)
		header := http.Header{"Authorization": {"Bearer s3cret-token"}}
		_, err := client.Do(t.Context(), dest.Request{URL: c.url, Header: header, Body: []byte(`{"k":"s3cret-body"}`)})
		require.Error(t, err, name)
		require.True(t, strings.HasPrefix(err.Error(), "tool: "), "%s: %v", name, err)
		require.NotContains(t, err.Error(), "s3cret", name)
		require.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "s3cret", name)
		word, _ := analytics.Classify(err)
		require.Equal(t, analytics.WordAgain, word, name)
		switch cause := c.cause.(type) {
		case nil:
		case error:
			require.ErrorIs(t, err, cause, name)
		default:
			require.ErrorAs(t, err, cause, name)
		}
	}
}

// A request that cannot be made is never worth another try, and what is wrong with its
// address is not quoted.
func TestClientRefusesBadRequests(t *testing.T) {
	client := over(desttest.Serve(nil))
	for _, r := range []dest.Request{
		{URL: "https://user:s3cret/path@host/"}, {URL: "https://host/%s3cret"}, {URL: "https://[s3cret/"}, {URL: "https://host:s3cret/"},
		{URL: "https://ho st/s3cret"}, {URL: "https://host/\ns3cret"}, {URL: ":s3cret"}, {Method: "S3 s3cret", URL: "https://host/s3cret"},
	} {
		_, err := client.Do(t.Context(), r)
		require.True(t, strings.HasPrefix(fmt.Sprint(err), "tool: "), r.URL)
		require.NotContains(t, err.Error(), "s3c", r.URL)
		word, _ := analytics.Classify(err)
		require.Equal(t, analytics.WordPermanent, word, r.URL)
	}
}

func TestClientTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		for _, limit := range []func(*dest.Client) context.Context{
			func(*dest.Client) context.Context {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				t.Cleanup(cancel)
				return ctx
			},
			func(c *dest.Client) context.Context { c.HTTP.Timeout = time.Minute; return t.Context() },
		} {
			client := over(hanging)
			ctx, began := limit(&client), time.Now()
			_, err := client.Do(ctx, dest.Request{URL: secretURL})
			require.Equal(t, time.Minute, time.Since(began))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.True(t, strings.HasPrefix(err.Error(), "tool: "))
			require.NotContains(t, err.Error(), "s3cret")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		client := over(hanging)
		_, err := client.Do(ctx, dest.Request{URL: secretURL})
		require.ErrorIs(t, err, context.Canceled)
	})
}

// What breaks off behind the status is missing in the body; the status counts.
func TestClientReadsCutBodies(t *testing.T) {
	for name, raw := range map[string]string{
		"by length": "HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{\"a\":1", "in a chunk": "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"a\":1",
	} {
		client := over(dialed(answering(raw)))
		answer, err := client.Do(t.Context(), dest.Request{URL: strings.Replace(secretURL, "https", "http", 1)})
		require.NoError(t, err, name)
		require.Equal(t, 202, answer.Status)
		require.Equal(t, `{"a":1`, string(answer.Body))
		require.NoError(t, answer.Err())
		err = answer.Decode(&struct{}{})
		require.True(t, strings.HasPrefix(fmt.Sprint(err), "tool: "))
		word, _ := analytics.Classify(err)
		require.Equal(t, analytics.WordAgain, word)
	}
}

type endless struct{ read, closed int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return copy(p, bytes.Repeat([]byte("x"), len(p))), nil
}

func (e *endless) Close() error { e.closed++; return nil }

func TestClientBoundsTheBody(t *testing.T) {
	body := &endless{}
	client := over(roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: body, Request: r}, nil
	}))
	answer, err := client.Do(t.Context(), dest.Request{URL: "https://h/"})
	require.NoError(t, err)
	require.Len(t, answer.Body, 1<<20)
	require.LessOrEqual(t, body.read, 2<<20)
	require.Equal(t, 1, body.closed)
}

func TestClientFollowsNoRedirects(t *testing.T) {
	tool := desttest.Serve(http.RedirectHandler("https://elsewhere/", http.StatusTemporaryRedirect))
	client := dest.NewClient("tool", analytics.Env{HTTP: tool.Client()})
	answer, err := client.Do(t.Context(), dest.Request{URL: "https://h/"})
	require.NoError(t, err)
	require.Equal(t, 307, answer.Status)
	require.Len(t, tool.Requests(), 1)
	word, _ := analytics.Classify(answer.Err())
	require.Equal(t, analytics.WordPermanent, word)

	// nor is one read that is no address
	client = over(dialed(answering("HTTP/1.1 302 Found\r\nLocation: " + strings.Replace(secretURL, "/v1", "/%zz", 1) + "\r\nContent-Length: 0\r\n\r\n")))
	answer, err = client.Do(t.Context(), dest.Request{URL: strings.Replace(secretURL, "https", "http", 1)})
	require.NoError(t, err)
	require.Equal(t, 302, answer.Status)
	require.NotContains(t, answer.Err().Error(), "s3cret")
}

func TestClientMakesRequests(t *testing.T) {
	own := http.Header{"Content-Type": {"text/own"}}
	for _, c := range []struct {
		r                            dest.Request
		method, kind, encoding, body string
	}{
		{dest.Request{}, "POST", "", "", ""},
		{dest.Request{Gzip: true}, "POST", "", "", ""},
		{dest.Request{Method: "GET", Type: "text/plain"}, "GET", "", "", ""},
		{dest.Request{Body: []byte("{}")}, "POST", "application/json", "", "{}"},
		{dest.Request{Method: "PATCH", Body: []byte("a=b"), Type: "application/x-www-form-urlencoded"}, "PATCH", "application/x-www-form-urlencoded", "", "a=b"},
		{dest.Request{Body: []byte("x"), Type: "text/plain", Header: own}, "POST", "text/own", "", "x"},
		{dest.Request{Body: bytes.Repeat([]byte("abc"), 5000), Gzip: true}, "POST", "application/json", "gzip", strings.Repeat("abc", 5000)},
	} {
		tool := desttest.Serve(nil)
		client := dest.NewClient("tool", analytics.Env{HTTP: tool.Client()})
		c.r.URL = "https://tool.example/v1?a=b"
		given := bytes.Clone(c.r.Body)
		answer, err := client.Do(t.Context(), c.r)
		require.NoError(t, err)
		require.Equal(t, "{}", string(answer.Body))
		got := tool.Requests()[0]
		require.Equal(t, c.r.URL, got.URL)
		require.Equal(t, c.method, got.Method)
		require.Equal(t, c.kind, got.Header.Get("Content-Type"))
		require.Equal(t, c.encoding, got.Header.Get("Content-Encoding"))
		require.Equal(t, c.body, string(got.Body))
		require.Equal(t, given, c.r.Body)
		require.Equal(t, []string{"analytics-go/" + analytics.Version}, got.Header["User-Agent"])
	}
	require.Equal(t, http.Header{"Content-Type": {"text/own"}}, own)
}

// A compressed body says its real length, so that it is not sent in chunks.
func TestClientCompresses(t *testing.T) {
	var length int64
	client := over(roundTrip(func(r *http.Request) (*http.Response, error) {
		raw, err := io.ReadAll(r.Body)
		length = r.ContentLength
		if err != nil || int64(len(raw)) != length || len(raw) > 1000 {
			return nil, fmt.Errorf("%d bytes of %d, %v", len(raw), length, err)
		}
		return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
	}))
	_, err := client.Do(t.Context(), dest.Request{URL: "https://h/", Body: bytes.Repeat([]byte("abc"), 50_000), Gzip: true})
	require.NoError(t, err)
	require.Positive(t, length)
}

// One header serves any number of requests at a time, also where a transport adds to
// what it is given.
func TestClientSharesTheHeader(t *testing.T) {
	shared := http.Header{}
	shared["X-Key"] = append(make([]string, 0, 8), "k")
	before := shared.Clone()
	client := over(roundTrip(func(r *http.Request) (*http.Response, error) {
		id := r.URL.Query().Get("id")
		r.Header.Add("X-Key", id)
		r.Header.Set("X-Other", id)
		r.Header.Del("Content-Type")
		if got := r.Header["X-Key"]; len(got) != 2 || got[0] != "k" || got[1] != id {
			return nil, fmt.Errorf("request %s has %v", id, got)
		}
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(id))}, nil
	}))
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() {
			for range 50 {
				id := fmt.Sprint(i)
				answer, err := client.Do(context.Background(), dest.Request{URL: "https://h/?id=" + id, Header: shared, Body: []byte("{}"), Gzip: i%2 == 0})
				if err == nil && string(answer.Body) != id {
					err = errors.New("the answer of another")
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, before, shared)
	require.Equal(t, []string{"k", ""}, shared["X-Key"][:2], "what lies behind the header's values")
}
