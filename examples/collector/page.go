package main

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

//go:embed site
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "site/page.html"))

// page is what the template gets.
type page struct {
	Script      string
	Events      string // URL of the API
	WriteKey    string
	AnonymousID string
	Pixel       string // address of a pixel, signed
}

// site is the page and all that it needs, and the API beside it.
func (c *collector) site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.page)
	mux.HandleFunc("GET /live", c.stream)
	mux.Handle("GET /site/", http.FileServerFS(files))
	// Below this path analytics.js looks for the parts of itself that it loads later.
	mux.Handle("GET /analytics-next/bundles/", http.StripPrefix("/analytics-next/bundles/", http.FileServer(http.Dir(c.bundles))))
	mux.Handle("/v1/", c.api())
	return mux
}

// page is for a visitor who is known by a cookie, the same for the script and for the
// server: a shop would make calls of its own with it. "?script=own.js" shows the page
// without analytics.js.
func (c *collector) page(w http.ResponseWriter, r *http.Request) {
	visitor := trackingapi.Cookies{Insecure: true}.Ensure(w, r)
	p := page{
		Script: c.script(r.FormValue("script") == scriptOwn), Events: c.events,
		WriteKey: writeKey, AnonymousID: visitor.AnonymousID,
	}
	if p.Events == "" {
		p.Events = "http://" + r.Host
	}
	var err error
	p.Pixel, err = trackingapi.PixelURL(p.Events, writeKey, analytics.Track{
		AnonymousID: visitor.AnonymousID, Event: "Pixel Seen", Properties: analytics.Properties{"place": "page"},
	}, c.pixels)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, p); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	// Nothing is loaded from elsewhere, and nothing sent there.
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: "+c.events+"; connect-src 'self' "+c.events)
	_, _ = w.Write(text.Bytes())
}
