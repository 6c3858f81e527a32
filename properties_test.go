package analytics_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// reservedName is a name that the spec reserves, with the setter for it.
type reservedName struct {
	key    string
	setter string
	args   []any
	want   string // the JSON under key
}

var (
	reservedProperties = []reservedName{
		// track
		{"revenue", "SetRevenue", []any{19.99}, `19.99`},
		{"currency", "SetCurrency", []any{"EUR"}, `"EUR"`},
		{"value", "SetValue", []any{3.5}, `3.5`},
		// page and screen
		{"name", "SetName", []any{"Pricing"}, `"Pricing"`},
		{"path", "SetPath", []any{"/pricing"}, `"/pricing"`},
		{"referrer", "SetReferrer", []any{"https://lee.example/"}, `"https://lee.example/"`},
		{"search", "SetSearch", []any{"?ref=mail"}, `"?ref=mail"`},
		{"title", "SetTitle", []any{"What it costs"}, `"What it costs"`},
		{"url", "SetURL", []any{"https://lee.example/pricing"}, `"https://lee.example/pricing"`},
		{"keywords", "SetKeywords", []any{"price", "plan"}, `["price","plan"]`},
		{"keywords", "SetKeywords", nil, `[]`},
	}

	reservedTraits = []reservedName{
		// user
		{"address", "SetAddress", []any{leeAddress}, `{"city":"Berlin","country":"DE","postalCode":"10115","state":"BE","street":"Torstr. 1"}`},
		{"address", "SetAddress", []any{analytics.Address{City: "Berlin"}}, `{"city":"Berlin"}`},
		{"address", "SetAddress", []any{analytics.Address{}}, `{}`},
		{"age", "SetAge", []any{41}, `41`},
		{"avatar", "SetAvatar", []any{"https://lee.example/a.png"}, `"https://lee.example/a.png"`},
		{"birthday", "SetBirthday", []any{time.Date(1984, 5, 1, 0, 0, 0, 0, berlinSummer)}, `"1984-05-01T00:00:00+02:00"`},
		{"company", "SetCompany", []any{analytics.Company{ID: 7, Name: "Lee Inc", Industry: "Tools", EmployeeCount: 40, Plan: "pro"}}, `{"id":7,"name":"Lee Inc","industry":"Tools","employee_count":40,"plan":"pro"}`},
		{"company", "SetCompany", []any{analytics.Company{ID: "org-9"}}, `{"id":"org-9"}`},
		{"company", "SetCompany", []any{analytics.Company{ID: "", Name: "Lee Inc"}}, `{"name":"Lee Inc"}`},
		{"company", "SetCompany", []any{analytics.Company{}}, `{}`},
		{"createdAt", "SetCreatedAt", []any{time.Date(2025, 12, 1, 8, 30, 0, 0, time.UTC)}, `"2025-12-01T08:30:00Z"`},
		{"description", "SetDescription", []any{"Sells tools"}, `"Sells tools"`},
		{"email", "SetEmail", []any{"ann@lee.example"}, `"ann@lee.example"`},
		{"firstName", "SetFirstName", []any{"Ann"}, `"Ann"`},
		{"gender", "SetGender", []any{"female"}, `"female"`},
		{"id", "SetID", []any{"u-42"}, `"u-42"`},
		{"lastName", "SetLastName", []any{"Lee"}, `"Lee"`},
		{"name", "SetName", []any{"Ann Lee"}, `"Ann Lee"`},
		{"phone", "SetPhone", []any{"+49 30 901820"}, `"+49 30 901820"`},
		{"title", "SetTitle", []any{"Head of Sales"}, `"Head of Sales"`},
		{"username", "SetUsername", []any{"ann"}, `"ann"`},
		{"website", "SetWebsite", []any{"https://lee.example"}, `"https://lee.example"`},
		// group only; the others it shares with the user
		{"employees", "SetEmployees", []any{40}, `40`},
		{"industry", "SetIndustry", []any{"Tools"}, `"Tools"`},
		{"plan", "SetPlan", []any{"enterprise"}, `"enterprise"`},
	}

	reservedIntegrations = []reservedName{
		{"All", "EnableAll", nil, `true`},
		{"All", "DisableAll", nil, `false`},
		{"Mixpanel", "Enable", []any{"Mixpanel"}, `true`},
		{"mixpanel", "Disable", []any{"mixpanel"}, `false`},
		{"Segment.io", "Disable", []any{analytics.IntegrationSegment}, `false`},
		{"Amplitude", "SetOptions", []any{"Amplitude", map[string]any{"session_id": 17}}, `{"session_id":17}`},
		{"Amplitude", "SetOptions", []any{"Amplitude", map[string]any(nil)}, `{}`},
		{"Warehouses", "EnableWarehouses", nil, `{"all":true}`},
		{"Warehouses", "DisableWarehouses", nil, `{"all":false}`},
		{"Warehouses", "SetWarehouses", []any{"wh-1", "wh-2"}, `{"warehouseIds":["wh-1","wh-2"]}`},
		{"Warehouses", "SetWarehouses", nil, `{"warehouseIds":[]}`},
	}

	leeAddress   = analytics.Address{City: "Berlin", Country: "DE", PostalCode: "10115", State: "BE", Street: "Torstr. 1"}
	berlinSummer = time.FixedZone("", 2*60*60)
)

func TestPropertiesSetters(t *testing.T) { testSetters[analytics.Properties](t, reservedProperties) }
func TestTraitsSetters(t *testing.T)     { testSetters[analytics.Traits](t, reservedTraits) }
func TestIntegrationsSetters(t *testing.T) {
	testSetters[analytics.Integrations](t, reservedIntegrations)
}

func testSetters[M ~map[string]any](t *testing.T, names []reservedName) {
	for _, n := range names {
		t.Run(n.setter+" sets "+n.key+" to "+n.want, func(t *testing.T) {
			m := M{"other": 1}
			set := callSetter(t, m, n)
			require.JSONEq(t, fmt.Sprintf(`{%q:%s,"other":1}`, n.key, n.want), jsonOf(t, set))
			require.Equal(t, reflect.ValueOf(m).UnsafePointer(), reflect.ValueOf(set).UnsafePointer(), "returns its own map")
			require.JSONEq(t, fmt.Sprintf(`{%q:%s}`, n.key, n.want), jsonOf(t, callSetter(t, M(nil), n)), "nil becomes a new map")
		})
	}
	t.Run("every setter is for a reserved name", func(t *testing.T) {
		for i, typ := 0, reflect.TypeFor[M](); i < typ.NumMethod(); i++ {
			setter := typ.Method(i).Name
			require.True(t, slices.ContainsFunc(names, func(n reservedName) bool { return n.setter == setter }), setter)
		}
	})
}

// callSetter calls the setter of n on m. That a reserved name has none fails the test.
func callSetter[M ~map[string]any](t *testing.T, m M, n reservedName) M {
	setter := reflect.ValueOf(m).MethodByName(n.setter)
	require.True(t, setter.IsValid(), "%T has no %s for %q", m, n.setter, n.key)
	var args []reflect.Value
	for _, a := range n.args {
		args = append(args, reflect.ValueOf(a))
	}
	return setter.Call(args)[0].Interface().(M)
}

func jsonOf(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func TestReservedNamesSurviveDecoding(t *testing.T) {
	e := &analytics.Event{Type: analytics.CallIdentify, Properties: map[string]any{}, Traits: map[string]any{}, Integrations: analytics.Integrations{}}
	for _, n := range reservedProperties {
		callSetter(t, analytics.Properties(e.Properties), n)
	}
	for _, n := range reservedTraits {
		callSetter(t, analytics.Traits(e.Traits), n)
	}
	callSetter(t, analytics.Traits(e.Traits), reservedTraits[0]) // with all fields
	for _, n := range reservedIntegrations {
		callSetter(t, e.Integrations, n)
	}

	var decoded analytics.Event
	require.NoError(t, json.Unmarshal([]byte(jsonOf(t, e)), &decoded))
	require.JSONEq(t, jsonOf(t, e.Properties), jsonOf(t, decoded.Properties))
	require.JSONEq(t, jsonOf(t, e.Traits), jsonOf(t, decoded.Traits))
	require.JSONEq(t, jsonOf(t, e.Integrations), jsonOf(t, decoded.Integrations))
}

func TestNestedValuesAreOfTheKindsThatDecodingMakes(t *testing.T) {
	address := analytics.Traits{}.SetAddress(leeAddress)[analytics.TraitAddress]
	require.Equal(t, "Berlin", address.(map[string]any)[analytics.AddressCity])

	company := analytics.Traits{}.SetCompany(analytics.Company{Plan: "pro"})[analytics.TraitCompany]
	require.Equal(t, map[string]any{analytics.CompanyPlan: "pro"}, company)

	keywords := analytics.Properties{}.SetKeywords("price")[analytics.PropertyKeywords]
	require.Equal(t, []any{"price"}, keywords)

	warehouses := analytics.Integrations{}.SetWarehouses("wh-1")[analytics.IntegrationWarehouses]
	require.Equal(t, map[string]any{analytics.WarehousesIDs: []any{"wh-1"}}, warehouses)
}

func TestALaterSetterReplaces(t *testing.T) {
	i := analytics.Integrations{}.SetOptions("Amplitude", map[string]any{"session_id": 17}).Disable("Amplitude")
	require.Equal(t, analytics.Integrations{"Amplitude": false}, i)

	i.SetWarehouses("wh-1").EnableWarehouses()
	require.Equal(t, map[string]any{analytics.WarehousesAll: true}, i[analytics.IntegrationWarehouses])
}

func ExampleProperties() {
	p := analytics.Properties{"orderId": "ord-7741"}.
		SetRevenue(39.95).
		SetCurrency("EUR")
	printProperties(p)
	// Output: {"currency":"EUR","orderId":"ord-7741","revenue":39.95}
}

func ExampleTraits() {
	user := analytics.Traits{"newsletter": true}.
		SetEmail("ann@lee.example").
		SetCreatedAt(time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)).
		SetAddress(analytics.Address{City: "Berlin", Country: "DE"})
	printProperties(user)
	// Output: {"address":{"city":"Berlin","country":"DE"},"createdAt":"2025-12-01T00:00:00Z","email":"ann@lee.example","newsletter":true}
}

func ExampleTraits_group() {
	group := analytics.Traits{}.
		SetName("Lee Inc").
		SetEmployees(40).
		SetPlan("enterprise")
	printProperties(group)
	// Output: {"employees":40,"name":"Lee Inc","plan":"enterprise"}
}

func ExampleIntegrations() {
	i := analytics.Integrations{}.
		DisableAll().
		Enable("Mixpanel").
		SetOptions("Amplitude", map[string]any{"session_id": int64(1767225600000)}).
		SetWarehouses("wh-1")
	printProperties(i)
	// Output: {"All":false,"Amplitude":{"session_id":1767225600000},"Mixpanel":true,"Warehouses":{"warehouseIds":["wh-1"]}}
}

func printProperties(v any) {
	b, _ := json.Marshal(v)
	fmt.Println(string(b))
}
