package main

import (
	"fmt"
	"math/rand/v2"
)

// name is a name, and how its bearer writes it in an e-mail address.
type name struct{ text, ascii string }

// names are the names of a language. All people are made up.
type names struct{ first, last []name }

var (
	german = names{
		[]name{{"Jürgen", "juergen"}, {"Anneliese", "anneliese"}, {"Thilo", "thilo"}, {"Käthe", "kaethe"}, {"Maren", "maren"}, {"Ludwig", "ludwig"}, {"Silke", "silke"}},
		[]name{{"Weißhaupt", "weisshaupt"}, {"Köhlmann", "koehlmann"}, {"Brandl", "brandl"}, {"Osterkamp", "osterkamp"}, {"Grünewald", "gruenewald"}, {"Tiedt", "tiedt"}},
	}
	french = names{
		[]name{{"Zoé", "zoe"}, {"Benoît", "benoit"}, {"Maëlle", "maelle"}, {"Théo", "theo"}, {"Capucine", "capucine"}, {"François", "francois"}},
		[]name{{"Lefèvre", "lefevre"}, {"Castanier", "castanier"}, {"d'Aubrac", "daubrac"}, {"Bérard", "berard"}, {"Marchetot", "marchetot"}},
	}
	spanish = names{
		[]name{{"Íñigo", "inigo"}, {"Begoña", "begona"}, {"Lucía", "lucia"}, {"Andrés", "andres"}, {"Pilar", "pilar"}},
		[]name{{"Muñiz Robledo", "muniz"}, {"Echevarría", "echevarria"}, {"Peñalba", "penalba"}, {"Cordero", "cordero"}},
	}
	nordic = names{
		[]name{{"Aino", "aino"}, {"Väinö", "vaino"}, {"Søren", "soren"}, {"Åsa", "asa"}, {"Eero", "eero"}},
		[]name{{"Mäkiranta", "makiranta"}, {"Lindqvist", "lindqvist"}, {"Hyötyläinen", "hyotylainen"}, {"Bjørnstad", "bjornstad"}},
	}
	dutch = names{
		[]name{{"Sjoerd", "sjoerd"}, {"Anouk", "anouk"}, {"Renée", "renee"}, {"Thijs", "thijs"}},
		[]name{{"van der Heide", "vanderheide"}, {"Kuijpers", "kuijpers"}, {"Zandstra", "zandstra"}, {"'t Hoen", "thoen"}},
	}
	english = names{
		[]name{{"Marcus", "marcus"}, {"Tamsin", "tamsin"}, {"Denise", "denise"}, {"Callum", "callum"}, {"Imani", "imani"}, {"Wyatt", "wyatt"}, {"Siân", "sian"}, {"Rosalind", "rosalind"}},
		[]name{{"O'Hanrahan", "ohanrahan"}, {"Featherby", "featherby"}, {"Whitlock-Jones", "whitlock.jones"}, {"Abernethy", "abernethy"}, {"Calloway", "calloway"}, {"Stroud", "stroud"}},
	}
	japanese = names{
		[]name{{"結衣", "yui"}, {"大翔", "hiroto"}, {"さくら", "sakura"}, {"健一", "kenichi"}, {"美咲", "misaki"}},
		[]name{{"霧島", "kirishima"}, {"小野寺", "onodera"}, {"佐久間", "sakuma"}, {"朝比奈", "asahina"}},
	}
	// anywhere are the names of those whose families moved.
	anywhere = names{
		[]name{{"Nguyệt", "nguyet"}, {"Łukasz", "lukasz"}, {"Chidinma", "chidinma"}, {"نور", "nour"}, {"Özge", "oezge"}, {"Дарина", "darina"}, {"Jiří", "jiri"}, {"Aaliyah", "aaliyah"}, {"Ravi", "ravi"}, {"Ṣadé", "sade"}},
		[]name{{"Trần", "tran"}, {"Wójcikowski", "wojcikowski"}, {"Okonkwo", "okonkwo"}, {"الحداد", "alhaddad"}, {"Yıldırım", "yildirim"}, {"Коваленчук", "kovalenchuk"}, {"Dvořáček", "dvoracek"}, {"Subramanian", "subramanian"}, {"Nakamura-Silva", "nakamura.silva"}},
	}
)

// place is where a customer lives. Streets and numbers are made up, and telephone
// numbers come from the ranges kept for films, where a country has one.
type place struct {
	country, state, city, postalCode, street string
	timezone, locale, phone                  string
	utcOffset                                int // hours, in November
	weight                                   int // share of the customers
	names                                    names
	currency                                 *currency
	taxRate                                  int64 // basis points
}

var places = []place{
	{"DE", "Bayern", "München", "80331", "Zirbenstieg %d", "Europe/Berlin", "de-DE", "+49 30 23125%03d", 1, 16, german, eur, 1900},
	{"DE", "Sachsen", "Görlitz", "02826", "Straße der Wanderfalken %d", "Europe/Berlin", "de-DE", "+49 30 23125%03d", 1, 10, german, eur, 1900},
	{"FR", "", "Besançon", "25000", "%d bis, rue des Mélèzes", "Europe/Paris", "fr-FR", "+33 1 99 00 0%03d", 1, 12, french, eur, 2000},
	{"ES", "Navarra", "Pamplona", "31001", "Calle del Enebro, %d, 2º", "Europe/Madrid", "es-ES", "", 1, 8, spanish, eur, 2100},
	{"NL", "Gelderland", "Nijmegen", "6511 AB", "Heidevlinderpad %d", "Europe/Amsterdam", "nl-NL", "", 1, 8, dutch, eur, 2100},
	{"FI", "", "Jyväskylä", "40100", "Suopursunpolku %d", "Europe/Helsinki", "fi-FI", "", 2, 6, nordic, eur, 2550},
	{"IE", "County Kerry", "Killarney", "V93 X000", "%d Hawthorn Rise", "Europe/Dublin", "en-IE", "", 0, 4, english, eur, 2300},
	{"GB", "", "Sheffield", "S1 2AB", "%d Curlew Lane", "Europe/London", "en-GB", "+44 7700 900%03d", 0, 15, english, gbp, 2000},
	{"GB", "Wales", "Betws-y-Coed", "LL24 0AA", "Tŷ'r Nant, %d Quarry Row", "Europe/London", "en-GB", "+44 7700 900%03d", 0, 5, english, gbp, 2000},
	{"US", "CO", "Boulder", "80302", "%d Lodgepole Ct", "America/Denver", "en-US", "+1 303 555 0%03d", -7, 10, english, usd, 825},
	{"US", "VT", "Burlington", "05401", "%d Sugar Maple Rd Apt #3", "America/New_York", "en-US", "+1 802 555 0%03d", -5, 9, english, usd, 700},
	{"JP", "長野県", "松本市", "390-0811", "霧ヶ丘%d丁目", "Asia/Tokyo", "ja-JP", "", 9, 12, japanese, jpy, 1000},
}

// placeAwake returns a place where people are likely up at the time.
func placeAwake(r *rand.Rand, at moment) place {
	weights := make([]int, len(places))
	for i, p := range places {
		local := (int(at/hour) + p.utcOffset + 24) % 24
		weights[i] = p.weight * sessionsByHour[local]
	}
	return places[weighted(r, weights)]
}

// person is somebody who may become a customer, or is one.
type person struct {
	first, last name
	place       place
	street      string
	email       string
	phone       any // null where the shop has none
	since       int // days before the recorded one; 0 is not yet
}

func newPerson(r *rand.Rand, p place) *person {
	pool := p.names
	if chance(r, 18) {
		pool = anywhere
	}
	who := &person{first: pick(r, pool.first), last: pick(r, pool.last), place: p}
	who.street = fmt.Sprintf(p.street, 1+r.IntN(98))
	// The number keeps the addresses apart.
	who.email = fmt.Sprintf("%s.%s%d@%s", who.first.ascii, who.last.ascii, 10+r.IntN(990), pick(r, []string{"example.com", "example.org", "example.net"}))
	if p.phone != "" {
		who.phone = fmt.Sprintf(p.phone, 100+r.IntN(100))
	}
	return who
}

// traits are what the shop knows of a customer.
func (p *person) traits(r *rand.Rand, createdAt moment) object {
	t := object{
		"firstName": p.first.text, "lastName": p.last.text, "email": p.email, "phone": p.phone,
		"address": object{
			"street": p.street, "city": p.place.city, "postalCode": p.place.postalCode,
			"state": p.place.state, "country": p.place.country, // "" where there are no states
		},
		"createdAt": createdAt, "marketing_opt_in": chance(r, 40), "preferences": object{},
	}
	if chance(r, 30) {
		t["birthday"] = fmt.Sprintf("%d-%02d-%02d", 1951+r.IntN(55), 1+r.IntN(12), 1+r.IntN(28))
		t["interests"] = some(r, []string{"hiking", "bikepacking", "climbing", "ski touring", "canoe", "café"}, 2)
	}
	return t
}

// account is a business that buys at the shop.
type account struct {
	id, name, industry, plan, website string
	employees                         int
	place                             place
	owner                             *visitor
}

var accountNames = []struct{ name, industry, country string }{
	{"Alpenverleih Zirbel GmbH", "Rental", "DE"},
	{"Écoles de Montagne Réunies", "Education", "FR"},
	{"Refugios del Pirineo S.L.", "Hospitality", "ES"},
	{"Suomen Erätaival Oy", "Guiding", "FI"},
	{"Curlew & Crag Guides Ltd", "Guiding", "GB"},
	{"Front Range Search & Rescue", "Public safety", "US"},
	{"霧島アウトドア株式会社", "Retail", "JP"},
	{"Heidekamp Events B.V.", "Events", "NL"},
	{"Lodgepole Summer Camps, Inc.", "Education", "US"},
	{"Forstbetrieb Weißhaupt", "Forestry", "DE"},
	{"Ó Súilleabháin Adventure Centre", "Hospitality", "IE"},
	{"Green Mountain Trail Crew", "Non-profit", "US"},
	{"Kletterhalle Überhang", "Sports", "DE"},
	{"Les Bergers du Jura", "Agriculture", "FR"},
	{"Scout Group 42 “Otters”", "Non-profit", "GB"},
	{"Nimbus Film Locations", "Media", "GB"},
}

// newAccount returns the nth account.
func newAccount(r *rand.Rand, n int, owner *visitor) *account {
	a := accountNames[n]
	return &account{
		id: shortID(r, "acct"), name: a.name, industry: a.industry, plan: pick(r, []string{"wholesale", "wholesale-plus", "trial"}),
		website: fmt.Sprintf("https://account-%d.example.org/", n+1), employees: 2 + r.IntN(140), place: owner.person.place, owner: owner,
	}
}

func (a *account) traits() object {
	return object{
		"name": a.name, "industry": a.industry, "plan": a.plan, "employees": a.employees, "website": a.website,
		"address":        object{"city": a.place.city, "country": a.place.country, "postalCode": a.place.postalCode},
		"credit_hold":    false,
		"parent":         nil,
		"discount_tiers": [][]int{{1, 0}, {10, 5}, {50, 12}}, // from pieces, percent
	}
}
