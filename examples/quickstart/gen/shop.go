package main

import (
	"math/rand/v2"
	"slices"
)

const shopURL = "https://shop.example.com"

// visitor is a browser or a phone, and the person in front of it.
type visitor struct {
	anonymousID string
	userID      string // what the SDK remembers; empty until the first log-in
	person      *person
	customerID  string // the person's id in the shop; empty if not a customer
	account     *account
	surface     surface
	gone        moment // end of the last session
}

// surface is how a channel shows things and what its SDK says about it.
type surface interface {
	// show returns the page or screen call for v.
	show(v view) message
	// context returns a new object.
	context() object
	// begin and end frame a session.
	begin(s *session)
	end(s *session)
}

// shop is what the channels share: the customers and the orders of the day.
type shop struct {
	customers []*visitor // as known to the shop; no surface
	accounts  []*account
	orders    []*order
	next      int     // customer to come in
	queries   []query // the next one first
	described bool
}

// newShop returns the shop at midnight.
func newShop(r *rand.Rand) *shop {
	s := &shop{queries: some(r, queries, len(queries))}
	for range 170 {
		p := newPerson(r, placeAwake(r, 18*hour))
		p.since = 1 + r.IntN(1500)
		id := uuid(r)
		s.customers = append(s.customers, &visitor{userID: id, customerID: id, person: p})
	}
	for n, a := range accountNames {
		owner := s.customerIn(a.country)
		owner.account = newAccount(r, n, owner)
		s.accounts = append(s.accounts, owner.account)
	}
	return s
}

// customerIn returns the first customer in the country who has no account.
func (sh *shop) customerIn(country string) *visitor {
	i := slices.IndexFunc(sh.customers, func(c *visitor) bool { return c.account == nil && c.person.place.country == country })
	return sh.customers[i]
}

// describe is true once: one product view of the day carries a long text.
func (sh *shop) describe() bool {
	first := !sh.described
	sh.described = true
	return first
}

// open lets n sessions happen along the day and returns what they sent. newVisitor
// is asked for who comes, unless somebody comes back.
func (sh *shop) open(r *rand.Rand, n int, newVisitor func(*rand.Rand, moment) *visitor) []message {
	var all []message
	var seen []*visitor
	goals := goals(r, n)
	for i, at := range arrivals(r, n) {
		v := returning(r, seen, at)
		if v == nil {
			v = newVisitor(r, at)
			seen = append(seen, v)
		}
		s := &session{r: r, shop: sh, v: v, at: at}
		s.run(goals[i])
		v.gone = s.at
		all = append(all, s.sent...)
	}
	return all
}

// returning is, in one of eight cases, somebody who left at least an hour ago.
func returning(r *rand.Rand, seen []*visitor, at moment) *visitor {
	if len(seen) == 0 || !chance(r, 12) {
		return nil
	}
	v := pick(r, seen)
	if v.gone+hour > at || v.person.place.asleep(at) {
		return nil
	}
	return v
}

// asleep is roughly midnight to six.
func (p place) asleep(at moment) bool { return (int(at/hour)+p.utcOffset+24)%24 < 6 }

// newVisitor returns somebody new to this browser or phone: a customer of the shop
// in knownPercent of all cases.
func (sh *shop) newVisitor(r *rand.Rand, at moment, knownPercent int) *visitor {
	if sh.next < len(sh.customers) && chance(r, knownPercent) {
		c := sh.customers[sh.next]
		sh.next++
		v := &visitor{anonymousID: uuid(r), person: c.person, customerID: c.customerID, account: c.account}
		if chance(r, 55) {
			v.userID = c.customerID // logged in on another day
		}
		return v
	}
	return &visitor{anonymousID: uuid(r), person: newPerson(r, placeAwake(r, at))}
}

// newOrder puts the cart of a session into an order.
func (sh *shop) newOrder(r *rand.Rand, s *session) *order {
	p := s.v.person.place
	o := &order{
		number: orderNumber(s.at), cartID: s.cartID, checkoutID: shortID(r, "chk"), buyer: s.v, lines: s.cart,
		method: pick(r, []string{"standard", "standard", "standard", "express"}), payment: pick(r, []string{"card", "card", "wallet", "invoice"}),
		in: p.currency, taxRate: p.taxRate,
	}
	if chance(r, 45) {
		o.coupon = &coupons[r.IntN(len(coupons))]
	}
	return o
}
