package main

import "math/rand/v2"

// view is a page of the web shop or a screen of the app.
type view struct {
	name, category string
	path, search   string
	title          string
}

// goal is how far a session goes. Each includes most of what is before it.
type goal int

const (
	bounce goal = iota
	browse
	join
	fillCart
	checkOut
	buy
)

// funnel is how many of a thousand sessions have each goal.
var funnel = []int{bounce: 400, browse: 345, join: 65, fillCart: 115, checkOut: 43, buy: 32}

// goals deals n goals. They are dealt, not thrown: orders are few, and chance alone
// would make a day with none or twice as many.
func goals(r *rand.Rand, n int) []goal {
	deck := make([]goal, n) // bounces, what rounding leaves over
	rest := deck
	for g := buy; g > bounce; g-- {
		share := (n*funnel[g] + 500) / 1000
		for i := range share {
			rest[i] = g
		}
		rest = rest[share:]
	}
	r.Shuffle(n, func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}

// session is one visit.
type session struct {
	r      *rand.Rand
	shop   *shop
	v      *visitor
	at     moment
	sent   []message
	cart   []line
	cartID string
	// options go into each message of the session: few visitors have any.
	options object
}

func (s *session) run(g goal) {
	if chance(s.r, 7) {
		s.options = pick(s.r, []object{
			{"All": true, "Mixpanel": false},
			{"All": true, "Amplitude": object{"session_id": midnight.UnixMilli() + int64(s.at)}},
			{"All": false, "Warehouses": object{"all": true}},
		})
	}
	s.v.surface.begin(s)
	defer s.v.surface.end(s)
	if g == bounce {
		s.bounce()
		return
	}
	s.look(1 + s.r.IntN(2))
	s.sayWhichAccount()
	switch g {
	case browse:
		s.maybeSignIn(25)
		s.look(s.r.IntN(3))
	case join:
		s.signUp()
		s.look(1)
	case fillCart:
		s.fillCart()
	case checkOut, buy:
		s.fillCart()
		s.checkOut(g == buy)
	}
}

// send stamps the message with who and when, and moves on a little.
func (s *session) send(m message) {
	m.Timestamp, m.AnonymousID, m.Integrations = s.at, s.v.anonymousID, s.options
	if m.UserID == "" {
		m.UserID = s.v.userID
	}
	m.Context = s.v.surface.context()
	if s.v.account != nil && s.v.userID != "" && m.Type != "group" {
		m.Context["groupId"] = s.v.account.id
	}
	s.sent = append(s.sent, m)
	s.at += within(s.r, 40, 900)
}

func (s *session) track(event string, properties object) {
	s.send(message{Type: "track", Event: event, Properties: properties})
}

func (s *session) show(v view) { s.send(s.v.surface.show(v)) }

// think lets seconds pass, between one and two times as many as asked.
func (s *session) think(seconds moment) { s.at += within(s.r, seconds*second, 2*seconds*second) }

func (s *session) currency() *currency { return s.v.person.place.currency }

func (s *session) bounce() {
	switch s.r.IntN(4) {
	case 0:
		s.showHome()
	case 1:
		s.showShelf(bargains)
	case 2:
		s.showProduct(pick(s.r, catalog))
	default:
		s.showJournal()
	}
	if chance(s.r, 15) {
		s.think(3)
		s.track("Newsletter Prompt Dismissed", object{})
	}
}

// look goes around the shop for some rounds.
func (s *session) look(rounds int) {
	for range rounds {
		c := pick(s.r, shelves)
		switch s.r.IntN(5) {
		case 0:
			s.showHome()
			s.showShelf(c)
		case 1:
			s.search()
		default:
			s.showShelf(c)
			if chance(s.r, 20) {
				s.filter(c)
			}
		}
		s.think(8)
		if chance(s.r, 75) {
			s.showProduct(pick(s.r, shelf(c)))
		}
	}
}

func (s *session) showHome() {
	s.show(view{name: "Home", path: "/", title: "Kestrel & Pine"})
	if chance(s.r, 20) {
		s.track("Promotion Viewed", object{"promotion_id": "promo_bw26", "name": "Black Week", "creative": "snow_hero_v3", "position": "home_top"})
	}
	s.think(5)
}

func (s *session) showJournal() {
	title := pick(s.r, []string{"How to Dry Down", "Zelten im Schnee", "Ten Huts You Can Reach by Train", "テント泊入門"})
	s.show(view{name: "Article", category: "Journal", path: "/journal/" + pick(s.r, []string{"down", "snow", "huts", "tent-101"}), title: title})
	s.think(20)
}

func (s *session) showShelf(c category) {
	s.show(view{name: "Category", category: c.name, path: "/c/" + c.slug, title: c.name + " | Kestrel & Pine"})
	s.track("Product List Viewed", object{"list_id": c.slug, "category": c.name, "products": s.list(c, 3)})
	s.think(6)
}

func (s *session) list(c category, n int) []object {
	items := []object{}
	for i, p := range some(s.r, shelf(c), n) {
		items = append(items, p.brief(s.currency(), i+1))
	}
	return items
}

func (s *session) filter(c category) {
	s.think(4)
	s.track("Product List Filtered", object{
		"list_id": c.slug, "category": c.name, "products": s.list(c, 2),
		"filters": []object{{"type": "brand", "value": pick(s.r, catalog).brand}, {"type": "in_stock", "value": "true"}},
		"sorts":   []object{{"type": "price", "value": pick(s.r, []string{"asc", "desc"})}},
	})
}

func (s *session) search() {
	q := s.shop.nextQuery(s.v.person.place.locale)
	s.show(view{name: "Search", path: "/search", search: q, title: "Search | Kestrel & Pine"})
	p := object{"query": q, "results": s.r.IntN(30), "filters": object{}, "corrected_to": nil, "voice": false}
	if chance(s.r, 8) {
		p["query"] = "" // somebody hit return
	}
	s.track("Products Searched", p)
	s.think(6)
}

func (s *session) showProduct(p product) {
	s.show(view{name: "Product", category: p.category.name, path: p.path(), title: p.name + " | Kestrel & Pine"})
	d := s.choose(p).detail(s.currency())
	d["value"], d["in_stock"], d["coupon"] = p.price(s.currency()), !chance(s.r, 8), ""
	if p.category == footwear && chance(s.r, 30) {
		d["size_chart"] = sizeChart
	}
	if p.category == tents && s.shop.describe() {
		d["description"] = longDescription(s.r)
	}
	s.track("Product Viewed", d)
	s.think(12)
}

func (s *session) choose(p product) line { return line{p, pick(s.r, p.variants), 1} }

func (s *session) fillCart() {
	s.cartID = shortID(s.r, "cart")
	for _, p := range some(s.r, catalog, 1+weighted(s.r, []int{5, 4, 2})) {
		s.showProduct(p)
		l := s.choose(p)
		if p.euroCents < 9000 {
			l.quantity += weighted(s.r, []int{6, 3, 1})
		}
		s.cart = append(s.cart, l)
		d := l.detail(s.currency())
		d["cart_id"] = s.cartID
		s.track("Product Added", d)
		s.think(4)
	}
	s.show(view{name: "Cart", category: "Checkout", path: "/cart", title: "Your Cart"})
	s.track("Cart Viewed", object{"cart_id": s.cartID, "products": lineItems(s.cart, s.currency())})
	s.think(8)
	if len(s.cart) > 1 && chance(s.r, 20) {
		s.removeLast()
	}
}

func (s *session) removeLast() {
	last := len(s.cart) - 1
	d := s.cart[last].detail(s.currency())
	d["cart_id"] = s.cartID
	s.cart = s.cart[:last]
	s.track("Product Removed", d)
	s.think(5)
}

// checkOut goes to the cash desk, and leaves in the middle unless pay is set.
func (s *session) checkOut(pay bool) {
	o := s.shop.newOrder(s.r, s)
	desk := view{name: "Checkout", category: "Checkout", path: "/checkout", title: "Checkout"}
	s.show(desk)
	s.track("Checkout Started", o.started())
	s.think(10)
	if s.sayWho(pay) {
		s.show(desk)
	}
	s.track("Checkout Step Completed", object{"checkout_id": o.checkoutID, "step": 1, "shipping_method": o.method, "payment_method": nil})
	s.think(15)
	if !pay {
		return
	}
	if o.coupon != nil {
		s.track("Coupon Applied", object{
			"order_id": o.id(), "cart_id": s.cartID, "coupon_id": o.coupon.id, "coupon_name": o.coupon.name, "discount": o.discount(),
		})
		s.think(3)
	}
	s.pay(o)
}

func (s *session) pay(o *order) {
	s.track("Payment Info Entered", object{
		"checkout_id": o.checkoutID, "order_id": o.id(), "step": 2, "shipping_method": o.method, "payment_method": o.payment,
	})
	s.think(6)
	s.track("Checkout Step Completed", object{"checkout_id": o.checkoutID, "step": 2, "shipping_method": o.method, "payment_method": o.payment})
	s.think(2)
	s.show(view{name: "Order Confirmation", category: "Checkout", path: "/checkout/thanks", title: "Thank You!"})
	o.at = s.at
	s.track("Order Completed", o.completed())
	s.shop.orders = append(s.shop.orders, o)
	s.think(5)
}

// sayWho is how checkout learns who pays, and says whether another view did that.
// Guests stay anonymous, and leave their e-mail address when they pay.
func (s *session) sayWho(pay bool) (left bool) {
	switch {
	case s.v.userID != "":
	case s.v.customerID != "":
		s.signIn()
		return true
	case pay && chance(s.r, 60):
		s.signUp()
		return true
	case pay:
		p := s.v.person
		s.send(message{Type: "identify", Traits: object{"email": p.email, "firstName": p.first.text, "lastName": p.last.text, "guest": true}})
	}
	return false
}

func (s *session) maybeSignIn(percent int) {
	if s.v.userID == "" && s.v.customerID != "" && chance(s.r, percent) {
		s.signIn()
	}
}

func (s *session) signIn() {
	s.show(view{name: "Sign In", category: "Account", path: "/account/sign-in", title: "Sign In"})
	s.think(10)
	s.v.userID = s.v.customerID
	p := s.v.person
	s.send(message{Type: "identify", Traits: object{
		"email": p.email, "firstName": p.first.text, "lastName": p.last.text, "createdAt": moment(-p.since) * dayLength,
	}})
	s.track("Signed In", object{"username": p.email})
	s.sayWhichAccount()
	s.think(3)
}

// sayWhichAccount is for buyers of a business, once the SDK knows who they are.
func (s *session) sayWhichAccount() {
	if a := s.v.account; a != nil && s.v.userID != "" {
		s.send(message{Type: "group", GroupID: a.id, Traits: a.traits()})
	}
}

// signUp makes a customer. Some receivers want an alias before they see the new id.
func (s *session) signUp() {
	if s.v.customerID != "" {
		s.maybeSignIn(100)
		return
	}
	s.show(view{name: "Sign Up", category: "Account", path: "/account/sign-up", title: "Sign Up"})
	s.think(25)
	s.v.customerID = uuid(s.r)
	if chance(s.r, 70) {
		s.send(message{Type: "alias", UserID: s.v.customerID, PreviousID: s.v.anonymousID})
	}
	s.v.userID = s.v.customerID
	p := s.v.person
	s.send(message{Type: "identify", Traits: p.traits(s.r, s.at)})
	s.track("Signed Up", object{"type": "organic", "first_name": p.first.text, "last_name": p.last.text, "email": p.email})
	s.think(4)
}
