package main

import (
	"strconv"
	"strings"
)

// currency is how a country pays. Amounts are counted in minor units, so that sums
// are exact.
type currency struct {
	code   string
	digits int // of the minor unit: 2 for cents, 0 for yen
	// fromEuroCents is the price list of the currency: prices are set, not converted.
	fromEuroCents func(cents int64) int64
	standard      int64 // shipping within days; free from freeFrom on
	express       int64
	freeFrom      int64
}

var (
	eur = &currency{"EUR", 2, func(c int64) int64 { return c }, 490, 1290, 10000}
	usd = &currency{"USD", 2, func(c int64) int64 { return c*108/10000*100 + 99 }, 595, 1499, 12000}
	gbp = &currency{"GBP", 2, func(c int64) int64 { return c*86/10000*100 + 49 }, 399, 995, 8500}
	jpy = &currency{"JPY", 0, func(c int64) int64 { return c*165/10000*100 + 80 }, 660, 1540, 15000}
)

// money is an amount. Its JSON is the number that a browser writes: 64.9, 2380.
type money struct {
	minor int64
	in    *currency
}

func (m money) plus(n money) money           { return money{m.minor + n.minor, m.in} }
func (m money) minus(n money) money          { return money{m.minor - n.minor, m.in} }
func (m money) times(n int) money            { return money{m.minor * int64(n), m.in} }
func (m money) share(bp int64) money         { return money{(m.minor*bp + 5000) / 10000, m.in} } // basis points, rounded
func (m money) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

func (m money) String() string {
	s := strconv.FormatInt(m.minor, 10)
	if m.in.digits == 0 {
		return s
	}
	for len(s) <= m.in.digits {
		s = "0" + s
	}
	whole, cents := s[:len(s)-m.in.digits], s[len(s)-m.in.digits:]
	return strings.TrimSuffix(whole+"."+strings.TrimRight(cents, "0"), ".")
}

// line is a product in a cart.
type line struct {
	product  product
	variant  string
	quantity int
}

// coupon takes percent off the goods.
type coupon struct {
	id, name string
	percent  int64
}

var coupons = []coupon{
	{"FRÜHSCHNEE10", "Early snow", 10},
	{"WELCOME5", "Welcome", 5},
	{"TRAIL15", "Trail club", 15},
}

// order is a cart with everything that is paid for it.
type order struct {
	number     int64
	cartID     string
	checkoutID string
	buyer      *visitor
	at         moment // of completion
	lines      []line
	coupon     *coupon
	method     string // of shipping
	payment    string
	in         *currency
	taxRate    int64 // basis points
}

func (o *order) id() string { return strconv.FormatInt(o.number, 10) }

func (o *order) goods() money {
	sum := money{0, o.in}
	for _, l := range o.lines {
		sum = sum.plus(l.product.price(o.in).times(l.quantity))
	}
	return sum
}

func (o *order) discount() money {
	if o.coupon == nil {
		return money{0, o.in}
	}
	return o.goods().share(o.coupon.percent * 100)
}

func (o *order) subtotal() money { return o.goods().minus(o.discount()) }

func (o *order) shipping() money {
	switch {
	case o.method == "express":
		return money{o.in.express, o.in}
	case o.subtotal().minor >= o.in.freeFrom:
		return money{0, o.in}
	}
	return money{o.in.standard, o.in}
}

// tax is on top: the shop lists its prices without, as the spec adds it up.
func (o *order) tax() money   { return o.subtotal().plus(o.shipping()).share(o.taxRate) }
func (o *order) total() money { return o.subtotal().plus(o.shipping()).plus(o.tax()) }

// couponID is null where there is none.
func (o *order) couponID() any {
	if o.coupon == nil {
		return nil
	}
	return o.coupon.id
}

// basics are the properties that all events of an order have.
func (o *order) basics() object {
	return object{
		"order_id": o.id(), "order_number": o.number, "currency": o.in.code, "affiliation": "Kestrel & Pine",
		"coupon": o.couponID(), "discount": o.discount(), "shipping": o.shipping(), "tax": o.tax(),
		"products": lineItems(o.lines, o.in),
	}
}

// started is Checkout Started, where revenue is before and value after discounts.
func (o *order) started() object {
	p := o.basics()
	p["revenue"], p["value"] = o.goods(), o.subtotal()
	return p
}

// completed is Order Completed, where revenue is after discounts.
func (o *order) completed() object {
	p := o.basics()
	p["checkout_id"] = o.checkoutID
	p["subtotal"], p["revenue"], p["total"] = o.subtotal(), o.subtotal(), o.total()
	return p
}

// changed is Order Updated and Order Cancelled, where total leaves out shipping and
// tax.
func (o *order) changed() object {
	p := o.basics()
	p["revenue"], p["total"] = o.goods(), o.subtotal()
	return p
}

// refunded takes back the first n lines. Refunds are positive amounts.
func (o *order) refunded(n int) object {
	back := *o
	back.lines = o.lines[:min(n, len(o.lines))]
	net := back.subtotal()
	tax := net.share(o.taxRate)
	return object{
		"order_id": o.id(), "order_number": o.number, "currency": o.in.code, "coupon": o.couponID(),
		"revenue": net, "tax": tax, "total": net.plus(tax), "discount": back.discount(),
		"partial": len(back.lines) < len(o.lines), "products": lineItems(back.lines, o.in),
	}
}
