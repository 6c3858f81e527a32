package redirect_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/redirect"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnAddressThatIsNoneIsNotQuoted(t *testing.T) {
	client := &http.Client{
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"https://secret:pass word@%zz/"}}, Body: http.NoBody, Request: r}, nil
		}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	_, err := client.Get("https://tool.example")
	require.ErrorContains(t, err, "secret", "else the package is not needed any more")

	res, err := redirect.Hide(client).Get("https://tool.example")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 302, res.StatusCode)
}
