// Gen writes the recorded input of the quickstart: one made-up day of an online shop
// for outdoor gear, as web.ndjson, app.ndjson and server.ndjson, with a README that
// counts them. Run it in the folder examples:
//
//	go run ./quickstart/gen
//
// Every run writes the same bytes. Nothing reads the clock, each channel has its own
// random numbers from a fixed seed, and maps are only ever encoded, which sorts them.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// seed starts all random numbers. Another one gives another day, but not
// necessarily one that passes all tests.
const seed = 20261120

func main() {
	out := flag.String("out", "quickstart/testdata", "folder to write to")
	flag.Parse()
	for _, f := range files() {
		if err := os.WriteFile(filepath.Join(*out, f.name), f.data, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

type file struct {
	name string
	data []byte
}

// files returns everything that gen writes.
func files() []file {
	channels := record()
	list := []file{{"README.md", readme(channels)}}
	for _, c := range channels {
		list = append(list, file{c.file(), c.encode()})
	}
	return list
}

// channel is what one kind of SDK sent over the day.
type channel struct {
	name     string
	messages []message
}

// record lets the day happen. The server comes last: it ships and refunds what was
// ordered on the other two.
func record() []channel {
	shop := newShop(random(0))
	web := shop.open(random(1), 219, shop.newBrowserVisitor)
	app := shop.open(random(2), 84, shop.newAppVisitor)
	back := newBackOffice(random(3), shop)
	channels := []channel{{"web", web}, {"app", app}, {"server", back.work()}}
	for i := range channels {
		channels[i].trim()
	}
	return channels
}

func random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// trim brings the messages into time order and leaves out what happens after
// midnight: a recording of a day cuts through sessions.
func (c *channel) trim() {
	slices.SortStableFunc(c.messages, func(a, b message) int { return int(a.Timestamp - b.Timestamp) })
	c.messages = slices.DeleteFunc(c.messages, func(m message) bool { return m.Timestamp >= dayLength })
}

func (c channel) file() string { return c.name + ".ndjson" }

func (c channel) encode() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // & and < stay as an SDK sends them
	for _, m := range c.messages {
		if err := enc.Encode(m); err != nil {
			panic(err) // all values are our own
		}
	}
	return b.Bytes()
}

func readme(channels []channel) []byte {
	var all []message
	for _, c := range channels {
		all = append(all, c.messages...)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "The recorded input of the quickstart: 2026-11-20 (UTC) of a made-up shop for outdoor gear, one message a line, %d in all: %s.\n", len(all), counts(all))
	b.WriteString("Regenerate with `go run ./quickstart/gen` in the folder `examples`; the seed is fixed, so the bytes stay the same, and the tests in `gen` compare them.\n\n")
	for _, c := range channels {
		fmt.Fprintf(&b, "- `%s`: %d messages: %s.\n", c.file(), len(c.messages), counts(c.messages))
	}
	return []byte(b.String())
}

// counts says how many messages there are of each call.
func counts(messages []message) string {
	n := map[string]int{}
	for _, m := range messages {
		n[m.Type]++
	}
	var parts []string
	for _, call := range []string{"identify", "track", "page", "screen", "group", "alias"} {
		parts = append(parts, fmt.Sprintf("%s %d", call, n[call]))
	}
	return strings.Join(parts, ", ")
}
