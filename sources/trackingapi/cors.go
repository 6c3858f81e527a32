package trackingapi

import (
	"net/http"
	"net/url"
	"slices"
)

// The headers of requests from other origins: those that libraries send, and those that
// they read of an answer.
const (
	allowedHeaders = "Authorization, Content-Type, X-Retry-Count"
	allowedMethods = "GET, HEAD, POST, OPTIONS"
	exposedHeaders = "Retry-After, X-RateLimit-Reset"
	preflightAge   = "86400" // seconds
)

// allowOrigin lets scripts of other origins read the answer. Cookies are not allowed:
// nothing here needs them.
func (h *Handler) allowOrigin(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	switch origin := r.Header.Get("Origin"); {
	case h.cfg.Origins == nil || slices.Contains(h.cfg.Origins, "*"):
		header.Set("Access-Control-Allow-Origin", "*")
	default:
		header.Add("Vary", "Origin")
		if !slices.Contains(h.cfg.Origins, origin) {
			return
		}
		header.Set("Access-Control-Allow-Origin", origin)
	}
	header.Set("Access-Control-Expose-Headers", exposedHeaders)
}

// preflight answers a browser that asks what it may send.
func (c *exchange) preflight() {
	header := c.w.Header()
	if header.Get("Access-Control-Allow-Origin") != "" {
		header.Set("Access-Control-Allow-Methods", allowedMethods)
		header.Set("Access-Control-Allow-Headers", allowedHeaders)
		header.Set("Access-Control-Max-Age", preflightAge)
	}
	c.status = http.StatusNoContent
	c.w.WriteHeader(c.status)
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (&url.URL{Scheme: u.Scheme, Host: u.Host}).String() == s
}
