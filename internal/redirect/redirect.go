// Package redirect keeps the addresses of redirects out of errors.
package redirect

import "net/http"

// Hide returns client without sight of where a redirect leads. Nobody here follows one,
// but where Location is no address, http.Client makes an error that quotes it, and what a
// tool writes there may be a key or content.
func Hide(client *http.Client) *http.Client {
	hidden := *client
	hidden.Transport = blind{client.Transport}
	return &hidden
}

type blind struct{ transport http.RoundTripper }

func (b blind) RoundTrip(r *http.Request) (*http.Response, error) {
	transport := b.transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	res, err := transport.RoundTrip(r)
	if err == nil {
		res.Header.Del("Location")
	}
	return res, err
}
