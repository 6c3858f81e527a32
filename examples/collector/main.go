// Collector is a collection endpoint of one's own: the handler of sources/trackingapi
// receives what browsers send, and a page shows it as it arrives.
//
//	go run ./examples/collector [-addr 127.0.0.1:8090] [-events 127.0.0.1:8091]
//
// The page has buttons for all calls. It uses the published analytics.js where
// `npm ci --prefix examples/collector` has installed it, and else a few lines of its own,
// site/own.js, which speak the same API. With -events the API has an address of its own,
// as in the field, where pages are of another origin than what collects their events.
//
// The program serves until it is interrupted. With -visit a client in Go stands in for
// the browser: it visits the page once, prints what arrived, and the program ends with 0
// if each message did once. That is the default where there is nobody to interrupt it,
// which is when standard input is the null device, as in CI.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	o := options{}
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8090", "`address` of the page; a visit takes a free port instead")
	flag.StringVar(&o.events, "events", "", "`address` of the API, empty for that of the page")
	flag.StringVar(&o.modules, "modules", "examples/collector/node_modules", "`folder` where npm has installed analytics.js")
	flag.BoolVar(&o.visit, "visit", withoutInput(), "visit the page once, and end")
	flag.Parse()
	if o.visit {
		o.addr = "127.0.0.1:0"
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "collector:", err)
		os.Exit(1)
	}
}

type options struct {
	addr, events, modules string
	visit                 bool
}

// withoutInput tells whether standard input is the null device.
func withoutInput() bool {
	in, err := os.Stdin.Stat()
	if err != nil {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(in, null)
}

// run serves until ctx ends, or until the visit is over.
func run(ctx context.Context, out io.Writer, o options) error {
	c, err := newCollector(o.modules)
	if err != nil {
		return err
	}
	page, err := serve(o.addr, c.site())
	if err != nil {
		return errors.Join(err, c.close())
	}
	servers := []*server{page}
	events := page
	if o.events != "" {
		if events, err = serve(o.events, c.api()); err != nil {
			return errors.Join(err, c.close(page))
		}
		servers = append(servers, events)
		c.events = events.url
	}
	fmt.Fprintf(out, "page    %s/\nevents  %s/v1\nscript  %s\n", page.url, events.url, c.script(false))
	if o.visit {
		err = visit(ctx, out, page.url)
	} else {
		<-ctx.Done()
	}
	return errors.Join(err, c.close(servers...))
}

// server serves one address.
type server struct {
	http.Server
	url    string
	served chan error
}

func serve(addr string, h http.Handler) (*server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &server{
		Server: http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second},
		url:    "http://" + listener.Addr().String(),
		served: make(chan error, 1),
	}
	go func() { s.served <- s.Serve(listener) }()
	return s, nil
}

// end answers what is being asked, and takes no more.
func (s *server) end(ctx context.Context) error {
	err := s.Shutdown(ctx)
	if e := <-s.served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
