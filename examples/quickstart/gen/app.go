package main

import (
	"maps"
	"math/rand/v2"
	"strings"
)

// phone is the surface of the app. It says what the SDKs of its system collect.
type phone struct {
	model
	facts     object // of the context: all that stays the same
	installed bool   // before this session
	carrier   string
	wifi      bool
}

// model is a kind of phone.
type model struct {
	system, version     string
	manufacturer, model string
	name                string
	width, height       int
	density             float64 // Android only
}

var models = []model{
	{"iOS", "26.1", "Apple", "iPhone17,3", "iPhone", 393, 852, 0},
	{"iOS", "26.1", "Apple", "iPhone18,1", "iPhone", 402, 874, 0},
	{"iOS", "18.7.2", "Apple", "iPhone14,6", "iPhone", 375, 667, 0},
	{"Android", "16", "Google", "Pixel 9", "tokay", 1080, 2424, 2.625},
	{"Android", "15", "samsung", "SM-S921B", "e1s", 1080, 2340, 3},
	{"Android", "14", "Fairphone", "FP5", "FP5", 1224, 2700, 2.75},
}

func (m model) ios() bool { return m.system == "iOS" }

const appVersion, appBuild = "7.12.0", "71204"

func (sh *shop) newAppVisitor(r *rand.Rand, at moment) *visitor {
	v := sh.newVisitor(r, at, 70)
	p := &phone{model: pick(r, models), installed: !chance(r, 13), carrier: pick(r, []string{"Nordfunk", "Télébleu", "BlueHill Mobile", "月光モバイル"})}
	if !p.installed {
		v.userID = "" // new apps remember nobody
	}
	place := v.person.place
	p.facts = object{
		"app":     object{"name": "Kestrel & Pine", "namespace": "com.example.shop", "version": appVersion, "build": appBuild},
		"library": p.library(), "device": p.device(r), "os": object{"name": p.system, "version": p.version},
		"screen": p.screen(), "locale": place.locale, "timezone": place.timezone,
	}
	if !p.ios() {
		p.facts["userAgent"] = "Dalvik/2.1.0 (Linux; U; Android " + p.version + "; " + p.model.model + ")"
	}
	v.surface = p
	return v
}

func (m model) library() object {
	if m.ios() {
		return object{"name": "analytics-swift", "version": "1.9.1"}
	}
	return object{"name": "analytics-kotlin", "version": "1.22.0"}
}

func (m model) device(r *rand.Rand) object {
	d := object{
		"manufacturer": m.manufacturer, "model": m.model, "name": m.name, "type": strings.ToLower(m.system),
		"adTrackingEnabled": chance(r, 30),
	}
	if m.ios() {
		d["id"] = strings.ToUpper(uuid(r))
	} else {
		d["id"] = strings.ReplaceAll(uuid(r), "-", "")[:16]
	}
	if d["adTrackingEnabled"] == true {
		d["advertisingId"] = uuid(r)
	}
	return d
}

func (m model) screen() object {
	s := object{"width": m.width, "height": m.height}
	if m.density > 0 {
		s["density"] = m.density
	}
	return s
}

func (p *phone) context() object {
	c := maps.Clone(p.facts)
	n := object{"wifi": p.wifi, "cellular": !p.wifi, "carrier": p.carrier}
	if !p.ios() {
		n["bluetooth"] = false
	}
	c["network"] = n
	return c
}

func (p *phone) begin(s *session) {
	p.wifi = chance(s.r, 65)
	build := object{"version": appVersion, "build": appBuild}
	opened := object{"version": appVersion, "build": appBuild, "from_background": p.installed && chance(s.r, 45)}
	switch {
	case !p.installed:
		p.installed = true
		s.track("Application Installed", build)
	case chance(s.r, 10):
		s.track("Application Updated", object{
			"previous_version": "7.11.3", "previous_build": "71131", "version": appVersion, "build": appBuild,
		})
		return // it stands for the first Opened
	case chance(s.r, 10):
		s.track("Push Notification Tapped", object{
			"action": "Open", "campaign": object{"name": "black-week-26", "medium": "Push", "source": "shop", "content": "⛺ −20 %"},
		})
	case chance(s.r, 8):
		link := shopURL + "/c/black-week?utm_source=newsletter"
		opened["url"] = link
		s.track("Deep Link Opened", object{"provider": "newsletter", "url": link})
	}
	s.track("Application Opened", opened)
	s.think(2)
}

func (p *phone) end(s *session) {
	if chance(s.r, 85) { // otherwise it is swiped away
		s.track("Application Backgrounded", object{})
	}
}

// show turns a view into a screen, which has no address.
func (p *phone) show(v view) message {
	m := message{Type: "screen", Name: v.name, Properties: object{"name": v.name}}
	if v.category != "" {
		m.Category = v.category
		m.Properties["category"] = v.category
	}
	if v.search != "" {
		m.Properties["query"] = v.search
	}
	if strings.HasPrefix(v.path, "/p/") {
		m.Properties["product"] = strings.TrimPrefix(v.path, "/p/")
	}
	return m
}
