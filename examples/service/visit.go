package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// visit is a browser behind a proxy: it comes from a newsletter, signs up and buys.
func visit(ctx context.Context, base string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	site, err := url.Parse(base)
	if err != nil {
		return err
	}
	// As analytics.js left it on an earlier visit.
	jar.SetCookies(site, []*http.Cookie{{Name: "ajs_anonymous_id", Value: "6f1f0fa2-0a5c-4b4e-9a0b-5f3c7d1b7a10"}})
	browser := &http.Client{Jar: jar}
	for _, step := range []struct{ method, path, form string }{
		{http.MethodGet, "/products/tent-2p?utm_source=newsletter&utm_medium=email&utm_campaign=autumn", ""},
		{http.MethodPost, "/signup", "user=u-42&email=ada%40example.com"},
		{http.MethodPost, "/checkout", ""},
	} {
		req, err := http.NewRequestWithContext(ctx, step.method, base+step.path, strings.NewReader(step.form))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
		req.Header.Set("Accept-Language", "de-AT,de;q=0.8,en;q=0.5")
		req.Header.Set("Referer", "https://mail.example.net/")
		req.Header.Set("X-Forwarded-For", "203.0.113.7")
		res, err := browser.Do(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode >= 300 {
			return fmt.Errorf("%s %s: %s", step.method, step.path, res.Status)
		}
	}
	return nil
}

// compact is a value in one line.
func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(b), `\u0026`, "&")
}
