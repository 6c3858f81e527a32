package main

import (
	"math/rand/v2"
	"net/url"
	"strings"
)

// browser is the surface of the web shop. It says what analytics.js collects.
type browser struct {
	software
	locale, timezone string
	page             object // where the visitor is
	landing          view   // the query and the referrer of the next page, if it is the first
	campaign         object // only while on the page whose URL has it
}

// software is a browser program.
type software struct {
	userAgent string
	data      object // userAgentData; nil where the browser has none
}

var programs = []software{
	chrome("Windows NT 10.0; Win64; x64", "Windows", false),
	chrome("Windows NT 10.0; Win64; x64", "Windows", false),
	chrome("Macintosh; Intel Mac OS X 10_15_7", "macOS", false),
	chrome("Linux; Android 10; K", "Android", true),
	chrome("Linux; Android 10; K", "Android", true),
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1", nil},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1", nil},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15", nil},
	{"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", nil},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0", nil},
}

func chrome(system, platform string, mobile bool) software {
	ua := "Mozilla/5.0 (" + system + ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	if mobile {
		ua = strings.Replace(ua, " Safari", " Mobile Safari", 1)
	}
	brands := []object{{"brand": "Chromium", "version": "142"}, {"brand": "Not_A Brand", "version": "99"}}
	return software{ua, object{"brands": brands, "mobile": mobile, "platform": platform}}
}

func (sh *shop) newBrowserVisitor(r *rand.Rand, at moment) *visitor {
	v := sh.newVisitor(r, at, 36)
	v.surface = &browser{software: pick(r, programs), locale: v.person.place.locale, timezone: v.person.place.timezone}
	return v
}

// origin is where a session comes from.
type origin struct {
	referrer string
	search   string // with utm parameters, in part
}

var origins = []origin{
	{"", ""},
	{"https://search.example.net/", ""},
	{"https://forum.example.org/t/which-tent/48812?page=3", ""},
	{"https://social.example.net/", "?utm_source=social&utm_medium=paid&utm_campaign=black-week-26&utm_content=video_b"},
	{"", "?utm_source=newsletter&utm_medium=email&utm_campaign=fr%C3%BChschnee"},
	{"https://search.example.net/", "?utm_source=search&utm_medium=cpc&utm_campaign=brand&utm_term=kestrel+%26+pine"},
}

func (b *browser) begin(s *session) {
	o := origins[weighted(s.r, []int{30, 34, 6, 12, 11, 7})]
	b.page = object{"url": o.referrer}
	b.landing = view{search: o.search}
}

// end does nothing: a browser does not say that its tab was closed.
func (b *browser) end(*session) {}

func (b *browser) show(v view) message {
	search, campaign := b.landing.search, campaignOf(b.landing.search)
	if v.search != "" {
		search, campaign = "?q="+url.QueryEscape(v.search), nil
	}
	b.page = object{
		"path": v.path, "referrer": b.page["url"], "search": search, "title": v.title, "url": shopURL + v.path + search,
	}
	b.campaign, b.landing = campaign, view{}
	return message{Type: "page", Name: v.name, Category: v.category, Properties: b.properties(v)}
}

// properties are those that analytics.js adds to a page call.
func (b *browser) properties(v view) object {
	p := object{"name": v.name}
	for key, value := range b.page {
		p[key] = value
	}
	if v.category != "" {
		p["category"] = v.category
	}
	return p
}

// campaignOf returns context.campaign for the query of a URL, nil if it has none.
func campaignOf(search string) object {
	q, err := url.ParseQuery(strings.TrimPrefix(search, "?"))
	if err != nil {
		panic(err) // all queries are our own
	}
	var c object
	for key, values := range q {
		name, ok := strings.CutPrefix(key, "utm_")
		if !ok {
			continue
		}
		if c == nil {
			c = object{}
		}
		if name == "campaign" {
			name = "name"
		}
		c[name] = values[0]
	}
	return c
}

func (b *browser) context() object {
	c := object{
		"library": object{"name": "analytics.js", "version": "npm:next-1.81.1"},
		"locale":  b.locale, "timezone": b.timezone, "userAgent": b.userAgent, "page": b.page,
	}
	if b.data != nil {
		c["userAgentData"] = b.data
	}
	if b.campaign != nil {
		c["campaign"] = b.campaign
	}
	return c
}
