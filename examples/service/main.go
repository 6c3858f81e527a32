// Service is an HTTP service that tracks. The middleware of the library puts what a
// request knows (address, browser, language, page, campaign, the anonymousId of
// analytics.js) into its context, and every call made with that context has it; the
// handlers only say what happened.
//
//	go run ./examples/service
//
// The program starts the service, visits it once as a browser behind a proxy would,
// prints what arrived at the receiver, and shuts down in the right order.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

// shop is the service. Who a request is from it knows from sessions of its own: the
// user in the cookies of analytics.js is what the browser says.
type shop struct {
	events *analytics.Client

	mu       sync.Mutex
	sessions map[string]string // user by session
}

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{sku}", s.product)
	mux.HandleFunc("POST /signup", s.signup)
	mux.HandleFunc("POST /checkout", s.checkout)
	// The proxy in front of this service is on the same machine; what it says of the
	// visitor's address is believed.
	facts := analytics.RequestFacts{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	return facts.Middleware(mux)
}

func (s *shop) product(w http.ResponseWriter, r *http.Request) {
	s.told(s.events.Page(r.Context(), analytics.Page{
		Name:       "Product",
		Properties: analytics.Properties{"product_id": r.PathValue("sku")},
	}))
	fmt.Fprintln(w, "A fine", r.PathValue("sku"))
}

func (s *shop) signup(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("user")
	s.told(s.events.Identify(r.Context(), analytics.Identify{
		UserID: user, // the anonymousId comes from the cookie and links the two
		Traits: analytics.Traits{}.SetEmail(r.FormValue("email")),
	}))
	session := rand.Text()
	s.mu.Lock()
	s.sessions[session] = user
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: "session", Value: session, Path: "/", HttpOnly: true})
	w.WriteHeader(http.StatusCreated)
}

func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	s.told(s.events.Track(r.Context(), analytics.Track{
		UserID:     s.user(r),
		Event:      "Order Completed",
		Properties: analytics.Properties{"order_id": "o-1"}.SetRevenue(249).SetCurrency("EUR"),
	}))
	w.WriteHeader(http.StatusCreated)
}

// user is who the request is from; empty if it has no session.
func (s *shop) user(r *http.Request) string {
	c, err := r.Cookie("session")
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[c.Value]
}

// told looks at what a call returned. An event that could not be accepted is no reason
// to fail a request.
func (s *shop) told(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
	}
}

func run() error {
	receiver := analyticstest.NewServer() // stands for Segment
	defer receiver.Close()
	client, err := analytics.New(analytics.Config{
		WriteKey: "service",
		Endpoint: receiver.Start(),
		Context:  &analytics.Context{App: analytics.App{Name: "shop", Version: "1.4.2"}},
	})
	if err != nil {
		return err
	}
	s := &shop{events: client, sessions: make(map[string]string)}
	srv := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = visit(ctx, "http://"+listener.Addr().String())

	// First no more requests, then no more events.
	err = errors.Join(err, srv.Shutdown(ctx), client.Close(ctx))
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	show(receiver)
	return nil
}

// show prints what arrived, with the facts of the request below each event.
func show(receiver *analyticstest.Server) {
	for _, m := range receiver.Decoded() {
		fmt.Printf("%-9s %-16s userId %-5s anonymousId %s\n", text(m["type"]), text(m["event"])+text(m["name"]), cmp.Or(text(m["userId"]), "-"), text(m["anonymousId"]))
		facts := m["context"].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(facts)) {
			fmt.Printf("  %-10s %s\n", key, compact(facts[key]))
		}
		fmt.Println()
	}
	fmt.Printf("%d events arrived.\n", receiver.Unique())
}

// text is a string, empty where there is none.
func text(v any) string {
	s, _ := v.(string)
	return s
}
