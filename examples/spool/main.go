// Spool shows what happens to events when their process is killed: nothing. The client of
// the shop in shop.go keeps them in a directory, and the next process delivers what the
// one before it has left.
//
//	go run ./examples/spool
//
// The program starts the shop, a process of its own, four times. It kills it twice, closes
// it once while the receiver is slow, and lets it finish in the end.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics/analyticstest"
)

func main() {
	play := run
	if os.Getenv(dirEnv) != "" {
		play = shop
	}
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, "spool:", err)
		os.Exit(1)
	}
}

// What the shop tells, with a number each.
const (
	found   = "found"   // so many events in the spool
	tracked = "tracked" // this order
	left    = "left"    // so many events in the spool
)

// street is where the shop stands: with a receiver that is down or slow at times.
type street struct {
	dir      string
	receiver *analyticstest.Server
	answer   atomic.Pointer[analyticstest.Reply]
	accepted int // orders that the shop knows to be tracked
	left     int // in the spool when the shop closed
}

func run() error {
	dir, err := os.MkdirTemp("", "spool-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &street{dir: filepath.Join(dir, "events"), receiver: analyticstest.NewServer()}
	defer s.receiver.Close()
	s.receiver.Start()
	s.receiver.Respond(func(*analyticstest.Request) analyticstest.Reply { return *s.answer.Load() })

	fmt.Println("The receiver is down (503), and the shop is killed.")
	s.answer.Store(&analyticstest.Reply{Status: 503})
	if err := s.open(600, true); err != nil {
		return err
	}
	fmt.Println("The receiver is back, and the shop is killed while it delivers.")
	s.answer.Store(&analyticstest.Reply{Delay: 40 * time.Millisecond})
	if err := s.open(1200, true); err != nil {
		return err
	}
	fmt.Println("The receiver is slow, and the shop closes with a short deadline.")
	s.answer.Store(&analyticstest.Reply{Delay: time.Second})
	if err := s.open(1800, false); err != nil {
		return err
	}
	fmt.Println("All is well, and the shop closes.")
	s.answer.Store(&analyticstest.Reply{})
	for more := true; more; more = s.left > 0 { // once, unless this machine is slow
		if err := s.open(orders, false); err != nil {
			return err
		}
	}

	if s.accepted != orders || s.receiver.Unique() != orders {
		return fmt.Errorf("%d accepted, but %d delivered", s.accepted, s.receiver.Unique())
	}
	fmt.Printf("\n%d accepted = %d delivered: nothing is lost.\n", s.accepted, s.receiver.Unique())
	fmt.Printf("%d came more than once, because their answer was cut off; the receiver knows them by their messageId.\n", s.receiver.Duplicates())
	return nil
}

// open starts the shop. When it has tracked so many orders it is killed, or asked to close.
func (s *street) open(until int, kill bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), dirEnv+"="+s.dir, endpointEnv+"="+s.receiver.URL(), fmt.Sprintf("%s=%d", firstEnv, s.accepted))
	var log strings.Builder // shown if the shop fails
	cmd.Stderr = &log
	ask, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := s.listen(out, until, func() {
		if kill {
			_ = cmd.Process.Kill()
		} else {
			_ = ask.Close()
		}
	})
	if err := cmd.Wait(); err != nil && (!kill || !ended) {
		return fmt.Errorf("the shop: %w\n%s", err, log.String())
	}
	fmt.Printf("  %d accepted and %d delivered so far\n", s.accepted, s.receiver.Unique())
	return nil
}

// listen follows what the shop tells, and calls end once it has tracked enough.
func (s *street) listen(out io.Reader, until int, end func()) (ended bool) {
	s.left = 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var what string
		var n int
		if _, err := fmt.Sscan(lines.Text(), &what, &n); err != nil {
			continue // cut off by a kill
		}
		switch what {
		case found:
			fmt.Printf("  the shop opens and finds %d events in its spool\n", n)
		case left:
			s.left = n
			fmt.Printf("  the shop leaves %d events in its spool\n", n)
		case tracked:
			s.accepted = n + 1
		}
		if s.accepted >= until && !ended {
			ended = true
			end()
		}
	}
	return ended
}
