package main

import "math/rand/v2"

// backOffice is the shop's own services. They use a server library: it knows no
// anonymous ids and adds no context but its name, so that a service adds the address
// of the request where it has one.
type backOffice struct {
	r    *rand.Rand
	shop *shop
	sent []message
	past []*order // of the days before
}

func newBackOffice(r *rand.Rand, sh *shop) *backOffice {
	b := &backOffice{r: r, shop: sh}
	for range 64 {
		b.past = append(b.past, b.order(within(r, -4*dayLength, -hour), pick(r, sh.customers), 3))
	}
	return b
}

// order makes up an order that no browser saw.
func (b *backOffice) order(at moment, buyer *visitor, maxLines int) *order {
	var lines []line
	for _, p := range some(b.r, catalog, 1+b.r.IntN(maxLines)) {
		lines = append(lines, line{p, pick(b.r, p.variants), 1 + b.r.IntN(2)})
	}
	s := &session{at: at, v: buyer, cart: lines, cartID: shortID(b.r, "cart")}
	return b.shop.newOrder(b.r, s)
}

func (b *backOffice) work() []message {
	b.syncAccounts()
	b.syncLoyalty()
	b.mail()
	b.shipping()
	b.todaysOrders()
	b.returns()
	b.wholesale()
	b.applications()
	return b.sent
}

func (b *backOffice) send(at moment, who *visitor, m message) {
	m.Timestamp, m.UserID = at, who.customerID
	if m.UserID == "" {
		m.AnonymousID = who.anonymousID // a guest
	}
	context := object{"library": object{"name": "analytics-go", "version": "3.3.0"}}
	for key, value := range m.Context {
		context[key] = value
	}
	m.Context = context
	b.sent = append(b.sent, m)
}

func (b *backOffice) track(at moment, who *visitor, event string, properties, context object) {
	b.send(at, who, message{Type: "track", Event: event, Properties: properties, Context: context})
}

// syncAccounts is the nightly copy of the accounts.
func (b *backOffice) syncAccounts() {
	at := 2*hour + 30*minute
	for _, a := range b.shop.accounts {
		at += within(b.r, 20, 400)
		b.send(at, a.owner, message{Type: "group", GroupID: a.id, Traits: a.traits(), Integrations: object{"All": true, "Intercom": false}})
	}
}

// syncLoyalty is the nightly count of points. Nobody was active.
func (b *backOffice) syncLoyalty() {
	at := 3*hour + 5*minute
	for _, c := range some(b.r, b.shop.customers, 44) {
		at += within(b.r, 20, 400)
		b.send(at, c, message{
			Type:    "identify",
			Traits:  object{"loyalty": object{"points": b.r.IntN(4000), "tier": pick(b.r, []any{"pine", "kestrel", nil})}, "churn_risk": b.r.IntN(2) == 1},
			Context: object{"active": false},
		})
	}
}

// mail is the newsletter. Some open it, and some of those click.
func (b *backOffice) mail() {
	at := 12*hour + 5*minute
	for i, c := range some(b.r, b.shop.customers, 60) {
		at += within(b.r, 100, 1200)
		p := object{"email_id": shortID(b.r, "mail"), "email_subject": "❄️ Frühschnee: −10 % on down & wool", "campaign_id": "cmp_2611", "campaign_name": "frühschnee"}
		context := object{"traits": object{"email": c.person.email}}
		if i == 17 {
			b.track(at, c, "Email Bounced", p, context)
			continue
		}
		b.track(at, c, "Email Delivered", p, context)
		if chance(b.r, 45) {
			b.track(at+within(b.r, minute, 8*hour), c, "Email Opened", p, object{"traits": context["traits"], "ip": address(b.r)})
		}
	}
}

// shipping sends out what was ordered before today.
func (b *backOffice) shipping() {
	for _, o := range b.past {
		carrier := pick(b.r, []string{"Brieftaube Express", "Courier & Sons", "雷鳥便"})
		event := "Order Shipped"
		if chance(b.r, 40) {
			event = "Order Delivered"
		}
		b.track(within(b.r, 6*hour, 17*hour), o.buyer, event, object{
			"order_id": o.id(), "order_number": o.number, "carrier": carrier, "parcels": [][]int{{310, 220, 120}, {90, 90, 40}}[:1+b.r.IntN(2)],
			"signature_required": false, "note": "",
		}, nil)
	}
}

// todaysOrders is what happens at once when the other channels sell something.
func (b *backOffice) todaysOrders() {
	for _, o := range b.shop.orders {
		b.track(o.at+within(b.r, 300, 2500), o.buyer, "Payment Captured", object{
			"order_id": o.id(), "order_number": o.number, "amount": o.total(), "currency": o.in.code, "payment_method": o.payment, "risk": nil,
		}, object{"ip": address(b.r)})
	}
}

// returns takes back, changes and cancels.
func (b *backOffice) returns() {
	for i, o := range b.past[:12] {
		at := within(b.r, 8*hour, 18*hour)
		switch {
		case i < 8:
			b.track(at, o.buyer, "Order Refunded", o.refunded(1+b.r.IntN(3)), nil)
		case i < 10:
			b.track(at, o.buyer, "Order Updated", o.changed(), nil)
		default:
			b.track(at, o.buyer, "Order Cancelled", o.changed(), nil)
		}
	}
	first := b.shop.orders[0]
	b.track(first.at+3*hour+7*minute, first.buyer, "Order Refunded", first.refunded(len(first.lines)), nil) // second thoughts
}

// wholesale is orders that come in by interface, and the payment of invoices.
func (b *backOffice) wholesale() {
	for i, a := range b.shop.accounts[4:14] {
		context := object{"groupId": a.id}
		at := within(b.r, 7*hour, 16*hour)
		o := b.order(at, a.owner, 8)
		for n := range o.lines {
			o.lines[n].quantity *= 6
		}
		o.payment = "invoice"
		if i < 5 {
			p := o.completed()
			p["affiliation"] = "Wholesale"
			b.track(at, a.owner, "Order Completed", p, context)
			continue
		}
		b.track(at, a.owner, "Invoice Paid", object{"order_id": o.id(), "order_number": o.number, "amount": o.total(), "currency": o.in.code, "days_late": b.r.IntN(9) - 4}, context)
	}
}

// applications are businesses that want an account.
func (b *backOffice) applications() {
	for i, c := range b.shop.customers[160:163] {
		at := within(b.r, 8*hour, 15*hour)
		a := newAccount(b.r, i, c)
		a.name = c.person.last.text + " Outdoor"
		ip := object{"ip": address(b.r)}
		b.send(at, c, message{Type: "identify", Traits: c.person.traits(b.r, moment(-c.person.since)*dayLength), Context: ip})
		b.send(at+within(b.r, 20, 90), c, message{Type: "group", GroupID: a.id, Traits: a.traits(), Context: ip})
		context := object{"groupId": a.id, "ip": ip["ip"]}
		b.track(at+within(b.r, 100, 200), c, "Account Created", object{"account_name": a.name}, context)
		b.track(at+within(b.r, minute, 9*minute), c, "Invite Sent", object{
			"invitee_email": "crew" + a.id[5:] + "@example.com", "invitee_first_name": "", "invitee_last_name": "", "invitee_role": "buyer",
		}, context)
	}
}
