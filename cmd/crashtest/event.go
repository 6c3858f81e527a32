package main

import (
	"encoding/json"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/tributary-dev/analytics"
)

// An eventID says who made an event: the number of the process, of the writer in it,
// and of the event, each counted from 0.
type eventID struct{ process, writer, number int }

func (id eventID) String() string { return fmt.Sprintf("%d-%d-%d", id.process, id.writer, id.number) }

func parseEventID(s string) (id eventID, ok bool) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return eventID{}, false
	}
	for i, n := range []*int{&id.process, &id.writer, &id.number} {
		var err error
		if *n, err = strconv.Atoi(parts[i]); err != nil || *n < 0 {
			return eventID{}, false
		}
	}
	return id, id.writer < writers && id.String() == s
}

// user is the ordering key: one for each writer of each process.
func (id eventID) user() string { return fmt.Sprintf("w-%d-%d", id.process, id.writer) }

var table = crc64.MakeTable(crc64.ECMA)

// sum is over all that an event consists of.
func (id eventID) sum(pad string) string {
	return strconv.FormatUint(crc64.Checksum([]byte(id.String()+" "+id.user()+" "+pad), table), 16)
}

const (
	usualPad = 300
	largePad = 20_000
	letters  = `abcdefghij "\/{}[],:` + "\n\u00fc\u2028"
)

// message makes the event of an id. Its size and content are random.
func (id eventID) message(random *rand.Rand) analytics.Track {
	most := usualPad
	if random.IntN(200) == 0 {
		most = largePad
	}
	runes := []rune(letters)
	pad := make([]rune, random.IntN(most))
	for i := range pad {
		pad[i] = runes[random.IntN(len(runes))]
	}
	return analytics.Track{
		MessageID:  id.String(),
		UserID:     id.user(),
		Event:      "Crash Survived",
		Properties: analytics.Properties{"pad": string(pad), "sum": id.sum(string(pad))},
	}
}

// readEvent is the way back. ok is false if it is none of ours, or no longer what it was.
func readEvent(raw []byte) (id eventID, ok bool) {
	var e struct {
		Type, Event, MessageID, UserID string
		Properties                     struct{ Pad, Sum string }
	}
	if json.Unmarshal(raw, &e) != nil {
		return eventID{}, false
	}
	id, ok = parseEventID(e.MessageID)
	intact := e.Type == "track" && e.Event == "Crash Survived" && e.UserID == id.user() && e.Properties.Sum == id.sum(e.Properties.Pad)
	return id, ok && intact
}
