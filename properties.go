package analytics

import "time"

// Properties describe an action, a page or a screen. The setters are for the names
// that the spec reserves; every other key is set as in any map:
//
//	p := analytics.Properties{"orderId": "ord-7741"}.SetRevenue(39.95).SetCurrency("EUR")
//
// What holds for the setters of Properties, [Traits] and [Integrations] alike: each
// sets its own key and nothing else, also to a zero value, in place of what was
// there. It changes the map and returns it; only a nil map it cannot change, so
// there it returns a new one. As with any map, one goroutine at a time.
type Properties map[string]any

// The reserved properties.
const (
	PropertyRevenue  = "revenue"
	PropertyCurrency = "currency"
	PropertyValue    = "value"
	PropertyName     = "name"
	PropertyPath     = "path"
	PropertyReferrer = "referrer"
	PropertySearch   = "search"
	PropertyTitle    = "title"
	PropertyURL      = "url"
	PropertyKeywords = "keywords"
)

// SetRevenue sets the money that a track call earned, a decimal amount: 19.99. See
// [Properties.SetCurrency].
func (p Properties) SetRevenue(amount float64) Properties { return set(p, PropertyRevenue, amount) }

// SetCurrency sets the currency of the revenue, as its ISO 4217 code: "EUR". Without
// it, receivers take the revenue for US dollars.
func (p Properties) SetCurrency(code string) Properties { return set(p, PropertyCurrency, code) }

// SetValue sets what a track call is worth where no money changed hands, in a unit
// of your own.
func (p Properties) SetValue(value float64) Properties { return set(p, PropertyValue, value) }

// SetName sets the name of the page or the screen as a property. The field Name of
// the message is another; neither is copied to the other.
func (p Properties) SetName(name string) Properties { return set(p, PropertyName, name) }

// SetPath sets the path of the page's URL: "/pricing". The canonical one, where the
// page has one.
func (p Properties) SetPath(path string) Properties { return set(p, PropertyPath, path) }

// SetReferrer sets the full URL of the previous page.
func (p Properties) SetReferrer(url string) Properties { return set(p, PropertyReferrer, url) }

// SetSearch sets the query string of the page's URL, as location.search of a browser
// has it: "?ref=mail".
func (p Properties) SetSearch(query string) Properties { return set(p, PropertySearch, query) }

// SetTitle sets the title of the page's document.
func (p Properties) SetTitle(title string) Properties { return set(p, PropertyTitle, title) }

// SetURL sets the full URL of the page; the canonical one, where the page has one.
// Some receivers drop page calls without it.
func (p Properties) SetURL(url string) Properties { return set(p, PropertyURL, url) }

// SetKeywords sets the keywords of the page. They are copied; none make an empty
// list.
func (p Properties) SetKeywords(keywords ...string) Properties {
	return set(p, PropertyKeywords, list(keywords))
}

// Traits describe a user, in Identify and in Context.Traits, or a group, in Group.
// Some reserved names belong to one of the two only; their setters say so. What
// [Properties] says of its setters holds here too.
//
// Traits accumulate at the receivers: one that is not sent keeps its value, and one
// that is sent as nil (traits["plan"] = nil) is overwritten with null.
//
// The setters write camelCase. Receivers take first_name for firstName, but sending
// both can leave them with two traits.
type Traits map[string]any

// The reserved traits.
const (
	TraitAddress     = "address" // see AddressCity and the others
	TraitAge         = "age"
	TraitAvatar      = "avatar"
	TraitBirthday    = "birthday"
	TraitCompany     = "company" // see CompanyName and the others
	TraitCreatedAt   = "createdAt"
	TraitDescription = "description"
	TraitEmail       = "email"
	TraitEmployees   = "employees"
	TraitFirstName   = "firstName"
	TraitGender      = "gender"
	TraitID          = "id"
	TraitIndustry    = "industry"
	TraitLastName    = "lastName"
	TraitName        = "name"
	TraitPhone       = "phone"
	TraitPlan        = "plan"
	TraitTitle       = "title"
	TraitUsername    = "username"
	TraitWebsite     = "website"
)

// SetAddress sets the postal address of the user or the group.
func (t Traits) SetAddress(a Address) Traits { return set(t, TraitAddress, a.object()) }

// SetAge sets the age of the user in years.
func (t Traits) SetAge(years int) Traits { return set(t, TraitAge, years) }

// SetAvatar sets the URL of a picture of the user or the group.
func (t Traits) SetAvatar(url string) Traits { return set(t, TraitAvatar, url) }

// SetBirthday sets the birthday of the user. It is sent as an ISO 8601 date and time
// in the zone that date has, so that the day stays the same.
func (t Traits) SetBirthday(date time.Time) Traits { return set(t, TraitBirthday, date) }

// SetCompany sets the company that the user belongs to. The traits of a group
// describe a company with the setters of Traits instead.
func (t Traits) SetCompany(c Company) Traits { return set(t, TraitCompany, c.object()) }

// SetCreatedAt sets when the account of the user or the group was created. It is
// sent as an ISO 8601 date and time in the zone that at has.
func (t Traits) SetCreatedAt(at time.Time) Traits { return set(t, TraitCreatedAt, at) }

// SetDescription sets a text about the user or the group.
func (t Traits) SetDescription(text string) Traits { return set(t, TraitDescription, text) }

// SetEmail sets the e-mail address of the user or the group.
func (t Traits) SetEmail(address string) Traits { return set(t, TraitEmail, address) }

// SetEmployees sets the number of employees of the group. The spec calls the trait a
// string, but shows a number wherever it appears, and a number is sent. Where you
// have a string ("50-100"), set the key yourself.
func (t Traits) SetEmployees(n int) Traits { return set(t, TraitEmployees, n) }

// SetFirstName sets the first name of the user.
func (t Traits) SetFirstName(name string) Traits { return set(t, TraitFirstName, name) }

// SetGender sets the gender of the user.
func (t Traits) SetGender(gender string) Traits { return set(t, TraitGender, gender) }

// SetID sets the id of the user or the group as a trait. The message has it in
// UserID or GroupID already, which is not changed.
func (t Traits) SetID(id string) Traits { return set(t, TraitID, id) }

// SetIndustry sets the industry that the group works in.
func (t Traits) SetIndustry(industry string) Traits { return set(t, TraitIndustry, industry) }

// SetLastName sets the last name of the user.
func (t Traits) SetLastName(name string) Traits { return set(t, TraitLastName, name) }

// SetName sets the full name of the user or the group. Receivers make that of a user
// from the first and the last name where it is missing.
func (t Traits) SetName(name string) Traits { return set(t, TraitName, name) }

// SetPhone sets the phone number of the user or the group, best with its country:
// "+49 30 901820".
func (t Traits) SetPhone(number string) Traits { return set(t, TraitPhone, number) }

// SetPlan sets the plan that the group is on: "enterprise".
func (t Traits) SetPlan(plan string) Traits { return set(t, TraitPlan, plan) }

// SetTitle sets the position of the user at work: "Head of Sales".
func (t Traits) SetTitle(title string) Traits { return set(t, TraitTitle, title) }

// SetUsername sets the name by which the user logs in, unique for each user.
func (t Traits) SetUsername(name string) Traits { return set(t, TraitUsername, name) }

// SetWebsite sets the URL of the website of the user or the group.
func (t Traits) SetWebsite(url string) Traits { return set(t, TraitWebsite, url) }

// Address is a postal address, for [Traits.SetAddress]. Empty fields are absent.
type Address struct {
	City, Country, PostalCode, State, Street string
}

// The keys of the trait address.
const (
	AddressCity       = "city"
	AddressCountry    = "country"
	AddressPostalCode = "postalCode"
	AddressState      = "state"
	AddressStreet     = "street"
)

// object is the address as it is decoded from JSON, so that plugins see the same
// before and after, and copies of an event share nothing.
func (a Address) object() map[string]any {
	m := map[string]any{}
	setUnlessZero(m, AddressCity, a.City)
	setUnlessZero(m, AddressCountry, a.Country)
	setUnlessZero(m, AddressPostalCode, a.PostalCode)
	setUnlessZero(m, AddressState, a.State)
	setUnlessZero(m, AddressStreet, a.Street)
	return m
}

// Company is the company of a user, for [Traits.SetCompany]. Zero fields are absent.
type Company struct {
	ID            any // string or number
	Name          string
	Industry      string
	EmployeeCount int
	Plan          string
}

// The keys of the trait company. employee_count is the one reserved name that the
// spec itself spells in snake_case.
const (
	CompanyID            = "id"
	CompanyName          = "name"
	CompanyIndustry      = "industry"
	CompanyEmployeeCount = "employee_count"
	CompanyPlan          = "plan"
)

// object is the company as it is decoded from JSON.
func (c Company) object() map[string]any {
	m := map[string]any{}
	if c.ID != "" {
		setUnlessZero(m, CompanyID, c.ID)
	}
	setUnlessZero(m, CompanyName, c.Name)
	setUnlessZero(m, CompanyIndustry, c.Industry)
	setUnlessZero(m, CompanyEmployeeCount, c.EmployeeCount)
	setUnlessZero(m, CompanyPlan, c.Plan)
	return m
}

// Integrations choose the destinations of a message, by their names as the
// destinations display them, case-sensitive: "Google Analytics". An entry holds for
// all instances of a destination, in place of an earlier one of that name. A
// destination without an entry follows [IntegrationAll], and without that it gets the
// message (in Segment's cloud all but Salesforce do):
//
//	only := analytics.Integrations{}.DisableAll().Enable("Amplitude")
//
// What [Properties] says of its setters holds here too.
type Integrations map[string]any

// The entries of Integrations that are not the name of a destination.
const (
	IntegrationAll        = "All"        // a bool, for the destinations without an entry
	IntegrationWarehouses = "Warehouses" // see WarehousesAll and WarehousesIDs
	IntegrationSegment    = "Segment.io" // Segment itself; mostly seen in messages of its web library
)

// The keys of the entry Warehouses, of which it has one.
const (
	WarehousesAll = "all"          // a bool
	WarehousesIDs = "warehouseIds" // a list of strings
)

// Enable sends the message to a destination, without options.
func (i Integrations) Enable(name string) Integrations { return set(i, name, true) }

// Disable keeps the message from a destination.
func (i Integrations) Disable(name string) Integrations { return set(i, name, false) }

// EnableAll sends the message to every destination without an entry of its own.
func (i Integrations) EnableAll() Integrations { return i.Enable(IntegrationAll) }

// DisableAll keeps the message from every destination without an entry of its own,
// but neither from Segment nor from warehouses; see [Integrations.DisableWarehouses].
func (i Integrations) DisableAll() Integrations { return i.Disable(IntegrationAll) }

// SetOptions sends the message to a destination and gives it options, such as the
// vendor's session id. Which it knows is up to the destination; nil is the same as
// none. The map is not copied.
func (i Integrations) SetOptions(name string, options map[string]any) Integrations {
	if options == nil {
		options = map[string]any{} // null would not be "on"
	}
	return set(i, name, options)
}

// EnableWarehouses sends the message to all warehouses.
func (i Integrations) EnableWarehouses() Integrations {
	return i.SetOptions(IntegrationWarehouses, map[string]any{WarehousesAll: true})
}

// DisableWarehouses keeps the message from all warehouses.
func (i Integrations) DisableWarehouses() Integrations {
	return i.SetOptions(IntegrationWarehouses, map[string]any{WarehousesAll: false})
}

// SetWarehouses sends the message to the warehouses with these ids and to no other.
// The ids are copied; none make an empty list.
func (i Integrations) SetWarehouses(ids ...string) Integrations {
	return i.SetOptions(IntegrationWarehouses, map[string]any{WarehousesIDs: list(ids)})
}

// set is the body of every setter.
func set[M ~map[string]any](m M, key string, value any) M {
	if m == nil {
		m = M{}
	}
	m[key] = value
	return m
}

func setUnlessZero[T comparable](m map[string]any, key string, value T) {
	var zero T
	if value != zero {
		m[key] = value
	}
}

// list is a list as it is decoded from JSON, never null.
func list(values []string) []any {
	l := make([]any, len(values))
	for i, v := range values {
		l[i] = v
	}
	return l
}
