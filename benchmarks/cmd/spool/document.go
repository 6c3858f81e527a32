package main

import (
	"strings"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

// document is the page of this command.
type document struct{ page.Document }

func (d *document) header(s settings, args []string) {
	mode := "full"
	if s.quick {
		mode = "quick: shows that everything works, says nothing about speed"
	}
	d.Header("Benchmarks of the spool", "spool", args,
		[]string{"file system", page.FileSystem(s.dir)},
		[]string{"mode", mode},
	)
	d.Printf("%s\n\n", strings.TrimSpace(`
What a call costs, and what survives faults, is compared with other SDKs in [benchmarks.md](benchmarks.md); other ways to keep
events on disk are in [benchmarks-stores.md](benchmarks-stores.md). Each measurement has processes and a spool of its own, with the
defaults of Config.Spool but for MaxBytes where a backlog is larger. Files are in the cache of the system, as they are soon after they
were written.
`))
}

func (d *document) figures(all []page.Figure) {
	d.Figures(all)
	d.Printf("%s\n", strings.TrimSpace(`
- Opening: a process tracks events of 1 KB for a destination that takes none and is killed; another opens its spool. Time is that
  of New, RSS the peak of the process until a second later, when the destination has been given its first batch.
- Disk: blocks of all files, all events being waiting. The target is 1.05 times the encoded events, the ring and one segment.
- A lane beside bad ones: events at a steady rate, one destination that takes everything at once, and four that refuse all, never
  answer, take half a second for each request, or refuse every second request; from call to Deliver. By default an
  event waits for others to share a request with, 250 of them; without that, a request follows a call within microseconds, and what shows
  is that the machine has more to do. Rounds with and without the bad ones follow one another; the median of the rounds counts.
- Heap: a backlog for one destination that takes everything and four that never answer. In use is what the Go heap has in use, garbage
  included, sampled ten times a second while calls go on as fast as they can; live is what a collection leaves.
- Sync: goroutines that track an event and call Client.Sync, one after the other without pause. One fdatasync is that of a file to which
  4 KiB were appended, with nothing else going on, before and after; the figure in brackets is that of a file of fixed size.
- Durable: eight goroutines track the event of benchmarks.md as fast as the spool takes them, one destination sends them with gzip to a
  receiver in another process, until Close has returned. Per core means per second of CPU time of the process.
- Drain: a backlog from an earlier process goes out with gzip, while new events come in; from the first delivery until the backlog is gone.
- Hog: single calls with pauses, while another process writes and syncs blocks of 1 MiB as fast as the same disk takes them.
`))
}
