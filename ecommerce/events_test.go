package ecommerce_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/ecommerce"
)

// properties is what all events and the objects in them have.
type properties interface {
	json.Marshaler
	AppendJSON(b []byte) ([]byte, error)
}

type event interface {
	properties
	EventName() string
}

var lp = ecommerce.Product{
	ProductID: "p1", SKU: "LP-1", Category: "music", Name: "LP", Brand: "Acme", Variant: "blue", Price: 20, Quantity: 2,
	Coupon: "MAY", Position: 3, URL: "https://shop.example/lp", ImageURL: "https://shop.example/lp.jpg",
}

const lpMembers = `"product_id":"p1","sku":"LP-1","category":"music","name":"LP","brand":"Acme","variant":"blue","price":20,"quantity":2,` +
	`"coupon":"MAY","position":3,"url":"https://shop.example/lp","image_url":"https://shop.example/lp.jpg"`

const moneyMembers = `"shipping":2.5,"tax":2,"discount":1.25,"coupon":"SUM","currency":"EUR","affiliation":"Web","revenue":25`

// rows are all events with all of their fields, as the specification lists them.
var rows = []struct {
	name  string
	event event
	want  string
}{
	{"Products Searched", ecommerce.ProductsSearched{Query: "blue"}, `{"query":"blue"}`},
	{"Product List Viewed", ecommerce.ProductListViewed{ListID: "l", Category: "music", Products: []ecommerce.Product{lp}},
		`{"list_id":"l","category":"music","products":[{` + lpMembers + `}]}`},
	{"Product List Filtered",
		ecommerce.ProductListFiltered{
			ListID: "l", Category: "music",
			Filters:  []ecommerce.Filter{{Type: "price", Value: "under-20"}, {Type: "brand", Value: "Acme"}},
			Sorts:    []ecommerce.Sort{{Type: "price", Value: "desc"}},
			Products: []ecommerce.Product{{ProductID: "p1"}},
		},
		`{"list_id":"l","category":"music","filters":[{"type":"price","value":"under-20"},{"type":"brand","value":"Acme"}],` +
			`"sorts":[{"type":"price","value":"desc"}],"products":[{"product_id":"p1"}]}`},
	{"Promotion Viewed", ecommerce.PromotionViewed{PromotionID: "pr", Creative: "banner", Name: "May", Position: "top"},
		`{"promotion_id":"pr","creative":"banner","name":"May","position":"top"}`},
	{"Promotion Clicked", ecommerce.PromotionClicked{PromotionID: "pr", Creative: "banner", Name: "May", Position: "top"},
		`{"promotion_id":"pr","creative":"banner","name":"May","position":"top"}`},
	{"Product Clicked", ecommerce.ProductClicked{Product: lp}, `{` + lpMembers + `}`},
	{"Product Viewed", ecommerce.ProductViewed{Product: lp, Currency: "EUR", Value: 40}, `{` + lpMembers + `,"currency":"EUR","value":40}`},
	{"Product Added", ecommerce.ProductAdded{CartID: "c", Product: lp}, `{"cart_id":"c",` + lpMembers + `}`},
	{"Product Removed", ecommerce.ProductRemoved{CartID: "c", Product: lp}, `{"cart_id":"c",` + lpMembers + `}`},
	{"Cart Viewed", ecommerce.CartViewed{CartID: "c", Products: []ecommerce.Product{lp}}, `{"cart_id":"c","products":[{` + lpMembers + `}]}`},
	{"Checkout Started",
		ecommerce.CheckoutStarted{OrderID: "o", Value: 23.75, Shipping: 2.5, Tax: 2, Discount: 1.25, Coupon: "SUM", Currency: "EUR", Affiliation: "Web",
			Revenue: 25, Products: []ecommerce.Product{lp}},
		`{"order_id":"o","value":23.75,` + moneyMembers + `,"products":[{` + lpMembers + `}]}`},
	{"Checkout Step Viewed", ecommerce.CheckoutStepViewed{CheckoutID: "k", Step: 2, ShippingMethod: "post", PaymentMethod: "card"},
		`{"checkout_id":"k","step":2,"shipping_method":"post","payment_method":"card"}`},
	{"Checkout Step Completed", ecommerce.CheckoutStepCompleted{CheckoutID: "k", Step: 2, ShippingMethod: "post", PaymentMethod: "card"},
		`{"checkout_id":"k","step":2,"shipping_method":"post","payment_method":"card"}`},
	{"Payment Info Entered", ecommerce.PaymentInfoEntered{CheckoutID: "k", Step: 2, ShippingMethod: "post", PaymentMethod: "card", OrderID: "o"},
		`{"checkout_id":"k","step":2,"shipping_method":"post","payment_method":"card","order_id":"o"}`},
	{"Order Updated",
		ecommerce.OrderUpdated{OrderID: "o", Total: 23.75, Shipping: 2.5, Tax: 2, Discount: 1.25, Coupon: "SUM", Currency: "EUR", Affiliation: "Web",
			Revenue: 25, Products: []ecommerce.Product{lp}},
		`{"order_id":"o","total":23.75,` + moneyMembers + `,"products":[{` + lpMembers + `}]}`},
	{"Order Completed",
		ecommerce.OrderCompleted{CheckoutID: "k", OrderID: "o-77", Subtotal: 25, Total: 29.5, Shipping: 2.5, Tax: 2, Discount: 1.25, Coupon: "SUM",
			Currency: "EUR", Affiliation: "Web", Revenue: 25,
			Products: []ecommerce.Product{
				{ProductID: "p1", Name: "LP", Price: 20, Quantity: 1}, {ProductID: "p2", Name: "Sleeve", Price: 2.5, Quantity: 2},
			}},
		`{"checkout_id":"k","order_id":"o-77","subtotal":25,"total":29.5,` + moneyMembers + `,"products":[` +
			`{"product_id":"p1","name":"LP","price":20,"quantity":1},{"product_id":"p2","name":"Sleeve","price":2.5,"quantity":2}]}`},
	{"Order Refunded", ecommerce.OrderRefunded{OrderID: "o", Products: []ecommerce.Product{lp}}, `{"order_id":"o","products":[{` + lpMembers + `}]}`},
	{"Order Cancelled",
		ecommerce.OrderCancelled{OrderID: "o", Total: 23.75, Shipping: 2.5, Tax: 2, Discount: 1.25, Coupon: "SUM", Currency: "EUR", Affiliation: "Web",
			Revenue: 25, Products: []ecommerce.Product{lp}},
		`{"order_id":"o","total":23.75,` + moneyMembers + `,"products":[{` + lpMembers + `}]}`},
	{"Coupon Entered", ecommerce.CouponEntered{OrderID: "o", CartID: "c", CouponID: "cp"}, `{"order_id":"o","cart_id":"c","coupon_id":"cp"}`},
	{"Coupon Applied", ecommerce.CouponApplied{OrderID: "o", CartID: "c", CouponID: "cp", CouponName: "May", Discount: 5},
		`{"order_id":"o","cart_id":"c","coupon_id":"cp","coupon_name":"May","discount":5}`},
	{"Coupon Denied", ecommerce.CouponDenied{OrderID: "o", CartID: "c", CouponID: "cp", CouponName: "May", Reason: "expired"},
		`{"order_id":"o","cart_id":"c","coupon_id":"cp","coupon_name":"May","reason":"expired"}`},
	{"Coupon Removed", ecommerce.CouponRemoved{OrderID: "o", CartID: "c", CouponID: "cp", CouponName: "May", Discount: 5},
		`{"order_id":"o","cart_id":"c","coupon_id":"cp","coupon_name":"May","discount":5}`},
	{"Product Added to Wishlist", ecommerce.ProductAddedToWishlist{WishlistID: "w", WishlistName: "Loved", Product: lp},
		`{"wishlist_id":"w","wishlist_name":"Loved",` + lpMembers + `}`},
	{"Product Removed from Wishlist", ecommerce.ProductRemovedFromWishlist{WishlistID: "w", WishlistName: "Loved", Product: lp},
		`{"wishlist_id":"w","wishlist_name":"Loved",` + lpMembers + `}`},
	{"Wishlist Product Added to Cart", ecommerce.WishlistProductAddedToCart{WishlistID: "w", WishlistName: "Loved", Product: lp, CartID: "c"},
		`{"wishlist_id":"w","wishlist_name":"Loved",` + lpMembers + `,"cart_id":"c"}`},
	{"Product Shared", ecommerce.ProductShared{ShareVia: "email", ShareMessage: "look", Recipient: "ada@example.com", Product: lp},
		`{"share_via":"email","share_message":"look","recipient":"ada@example.com",` + lpMembers + `}`},
	{"Cart Shared",
		ecommerce.CartShared{ShareVia: "email", ShareMessage: "look", Recipient: "ada@example.com", CartID: "c",
			Products: []ecommerce.Product{{ProductID: "p1"}, {ProductID: "p2"}}},
		`{"share_via":"email","share_message":"look","recipient":"ada@example.com","cart_id":"c",` +
			`"products":[{"product_id":"p1"},{"product_id":"p2"}]}`},
	{"Product Reviewed", ecommerce.ProductReviewed{ProductID: "p1", ReviewID: "r", ReviewBody: "Fine.", Rating: "5"},
		`{"product_id":"p1","review_id":"r","review_body":"Fine.","rating":"5"}`},
}

func TestEventsAreThoseOfTheSpecification(t *testing.T) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			requireFull(t, row.event)
			require.Equal(t, row.name, row.event.EventName())
			require.Equal(t, row.want, encode(t, row.event))

			empty := reflect.Zero(reflect.TypeOf(row.event)).Interface().(event)
			require.Equal(t, `{}`, encode(t, empty))
		})
	}
}

// An event that has no row would have no test.
func TestEachEventHasARow(t *testing.T) {
	source, err := os.ReadFile("events.go")
	require.NoError(t, err)
	require.Len(t, rows, bytes.Count(source, []byte(") EventName() string {")))
}

func TestCanonical(t *testing.T) {
	for legacy, want := range map[string]string{
		ecommerce.LegacyViewedProductCategory: ecommerce.EventProductListViewed,
		ecommerce.LegacyViewedPromotion:       ecommerce.EventPromotionViewed,
		ecommerce.LegacyClickedPromotion:      ecommerce.EventPromotionClicked,
		ecommerce.LegacyClickedProduct:        ecommerce.EventProductClicked,
		ecommerce.LegacyViewedProduct:         ecommerce.EventProductViewed,
		ecommerce.LegacyAddedProduct:          ecommerce.EventProductAdded,
		ecommerce.LegacyRemovedProduct:        ecommerce.EventProductRemoved,
		"Started Order":                       "Checkout Started",
		"Viewed Checkout Step":                "Checkout Step Viewed",
		"Completed Checkout Step":             "Checkout Step Completed",
		"Updated Order":                       "Order Updated",
		"Completed Order":                     "Order Completed",
	} {
		name, ok := ecommerce.Canonical(legacy)
		require.True(t, ok, legacy)
		require.Equal(t, want, name)
	}
	for _, other := range []string{"Order Completed", "completed order", "Song Played", ""} {
		name, ok := ecommerce.Canonical(other)
		require.False(t, ok, other)
		require.Equal(t, other, name)
	}
}

// requireFull demands that no field is missing, so that each is seen in the JSON.
func requireFull(t *testing.T, e event) {
	t.Helper()
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		if field := v.Type().Field(i).Name; field != "Extra" {
			require.False(t, v.Field(i).IsZero(), field)
		}
	}
}

// encode returns the JSON of v, which is the same by all ways to it.
func encode(t *testing.T, v properties) string {
	t.Helper()
	own, err := v.AppendJSON([]byte("before"))
	require.NoError(t, err)
	text, ok := bytes.CutPrefix(own, []byte("before"))
	require.True(t, ok, "what stood before is still there")
	require.True(t, json.Valid(text), "%s", text)

	marshaled, err := v.MarshalJSON()
	require.NoError(t, err)
	require.Equal(t, string(text), string(marshaled))

	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(v))
	require.Equal(t, string(text)+"\n", out.String())
	return string(text)
}
