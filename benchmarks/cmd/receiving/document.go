package main

import (
	"strings"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

// document is the page of this command.
type document struct{ page.Document }

func (d *document) figures(all []page.Figure) {
	d.Figures(all)
	d.Printf("%s\n", strings.TrimSpace(`
- Server and client are processes of their own, the client with eight connections over loopback that are kept, and a request on each as
  soon as the last one is answered. A batch has 100 events of half a kilobyte as analytics-node makes them, each with a messageId of its
  own. CPU is that of the server's process, user and system, HTTP and garbage collection included, for each event.
- In memory and with a spool the destination never answers, so that what shows is what decoding and accepting take; in memory the oldest
  events are dropped. The window of messageIds is the default: a million in memory. The spool has its defaults.
- Reading alone is a handler that reads the body into a buffer of a pool and answers 200. It is the first of each group; the others follow
  in each round. The median of the rounds counts, that of the shares as well. With gzip it reads the compressed body; what
  decompression takes shows in the row below.
- Allocations: ServeHTTP in process with a request that is used again, everything counted that the process allocates.
- Load: each connection sends batches without pause, and each batch again and again until it is accepted. When the time is over the
  destination goes on, and each connection ends with its last batch accepted: by then everything that was sent has to be delivered once.
  The time of an answer is that with 64 requests at a time on the cores that client and server share.
`))
}
