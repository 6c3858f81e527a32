package archive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// meta travels with an event from Translate to Deliver. All that is found in the line is
// found at once, while that is at hand.
type meta struct {
	accepted int64 // Unix milliseconds; zero: not known
	seq      uint64
	known    bool // seq
	own      bool // the line has a receivedAt
	facts    facts
}

// metaOf looks into a line.
func metaOf(line []byte, call analytics.Call, messageID, userID, anonymousID, name string) *meta {
	m := &meta{facts: facts{
		timestamp: timestampOf(line, call, messageID), user: hashOf(userKind, userID), anonymous: hashOf(anonymousKind, anonymousID),
	}}
	m.facts.received, m.own = received(line)
	switch call {
	case analytics.CallTrack:
		m.facts.name = name
	case analytics.CallAlias:
		f, _ := parseLine(line)
		m.facts.former = formerOf(f.former)
	}
	return m
}

// Translate makes the line of an event that was decoded, where plugins stand before the
// archive. When it was accepted is not known then: receivedAt or the time of writing
// counts.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	raw, err := e.AppendJSON(nil)
	if err != nil {
		return nil, &analytics.InvalidError{Field: "message", Reason: "cannot be encoded"}
	}
	if e.MessageID == "" {
		return nil, errNoID
	}
	return []analytics.Item{{Body: raw, Data: metaOf(raw, e.Type, e.MessageID, e.UserID, e.AnonymousID, e.Event)}}, nil
}

// TranslateRaw takes the event as it is in the log.
func (d *Destination) TranslateRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	if bytes.IndexByte(raw, '\n') >= 0 || bytes.IndexByte(raw, '\r') >= 0 || !isObject(raw) { // white space between values may hold line breaks
		var line bytes.Buffer
		if err := json.Compact(&line, raw); err != nil || !isObject(line.Bytes()) {
			return analytics.Item{}, &analytics.InvalidError{Field: "message", Reason: "is not a JSON object"}
		}
		raw = line.Bytes()
	}
	if h.MessageID == "" {
		return analytics.Item{}, errNoID
	}
	m := metaOf(raw, h.Type, h.MessageID, h.UserID, h.AnonymousID, h.Event)
	if m.seq, m.known = h.Seq, true; !h.AcceptedAt.IsZero() {
		m.accepted = h.AcceptedAt.UnixMilli()
	}
	return analytics.Item{Body: raw, Data: m}, nil
}

// errNoID is said of what a plugin has made: nothing behind such a line could be read.
var errNoID = &analytics.InvalidError{Field: "messageId", Reason: "is required"}

// isObject tells whether JSON is an object without white space around it.
func isObject(raw []byte) bool { return len(raw) > 2 && raw[0] == '{' && raw[len(raw)-1] == '}' }

// Deliver appends a batch to the files of its sources and periods, notes where it stands,
// and finishes what is large or old enough.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	if d.busy == nil {
		return errClosed
	}
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	if d.closed {
		return errClosed
	}
	if err := cmp.Or(ctx.Err(), d.assure()); err != nil {
		return err
	}
	log, now := b.Log.String(), time.Now()
	next := uint64(0)
	if at := d.logs[log]; at != nil {
		next = at.Next
	}
	if b.To > b.From && b.To <= next {
		return nil // written, and the answer was lost
	}
	if err := d.room(ctx); err != nil {
		return err
	}
	d.plan(log, b, next, now)
	err := d.store(log, &position{max(b.To, next), now.UTC()})
	if errors.Is(err, errTooMuch) { // half of the batch beside nothing else may do
		err = cmp.Or(d.finish(ctx, func(*part) bool { return true }), analytics.Split(err))
	}
	if err != nil {
		return err
	}
	d.tidy(ctx, now)
	return nil
}

// plan puts the events of a batch that are not written yet before their parts.
func (d *Destination) plan(log string, b *analytics.Batch, next uint64, now time.Time) {
	var last *part
	lastSource := ""
	exact := uint64(len(b.Items)) == b.To-b.From
	for i := range b.Items {
		m, _ := b.Items[i].Data.(*meta)
		if m == nil { // nobody's but Translate's
			continue
		}
		e := entry{line: b.Items[i].Body, m: m, seq: m.seq, accepted: m.accepted}
		if !m.known {
			e.seq = b.From + uint64(i)
		}
		if e.accepted == 0 {
			e.accepted = now.UnixMilli()
		}
		if e.seq < next && (m.known || exact) {
			continue
		}
		at := e.accepted
		if !m.facts.received.IsZero() { // else it has none, or one that is no time
			at = m.facts.received.UnixMilli()
		}
		source := d.sourceOf(e.line)
		if last == nil || source != lastSource || at < last.Begin || at >= last.end() {
			last, lastSource = d.part(log, source, d.Layout.begin(at), now), source
		}
		last.entries = append(last.entries, e)
	}
}

// part finds or makes the part of a source and period.
func (d *Destination) part(log, source string, begin int64, now time.Time) *part {
	key := partKey{d.folder(source, begin), d.extension(), log}
	p := d.open[key]
	if p == nil {
		d.serial++
		p = &part{
			File: partName(d.serial), Prefix: d.prefix(), Folder: key.folder, Ext: key.ext, Layout: cmp.Or(d.Layout, Segment),
			Source: strings.Clone(source), Log: log, Begin: begin, Since: now, stats: newStats(),
		}
		d.open[key] = p
	}
	if len(p.entries) == 0 {
		p.save()
		d.pending = append(d.pending, p)
	}
	return p
}

// store writes the planned parts and then the note. Where a part cannot be written all is
// as it was; behind that the batch is written, and the next try finds it so.
func (d *Destination) store(log string, at *position) error {
	err := d.fits()
	if err == nil {
		err = d.writeParts()
	}
	if err != nil {
		for _, p := range d.pending {
			if p.undo(); p.Count == 0 {
				delete(d.open, p.openKey())
			}
		}
		d.pending = d.pending[:0]
		return err
	}
	for _, p := range d.pending {
		if p.before.count == 0 {
			d.parts = append(d.parts, p)
		}
		p.commit()
	}
	d.pending = d.pending[:0]
	d.logs[log] = at
	return d.save()
}

// writeParts writes the planned parts, and the names of those that are new.
func (d *Destination) writeParts() error {
	names := false
	for _, p := range d.pending {
		if err := d.write(p); err != nil {
			return err
		}
		names = names || p.before.count == 0
	}
	if !names {
		return nil
	}
	if err := d.fs.SyncDir(d.dir); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

func (d *Destination) sourceOf(event []byte) string {
	if d.SourceOf != nil {
		if name := d.SourceOf(event); name != "" {
			return shortSource(name)
		}
	}
	return shortSource(cmp.Or(d.Source, defaultSource))
}

// mostSource is the longest name of a source. Each unfinished file has one in the note.
const mostSource = 200

// shortSource is the name, or the front of a long one with a hash of the whole.
func shortSource(name string) string {
	if len(name) <= mostSource {
		return name
	}
	return strings.ToValidUTF8(name[:mostSource-33], "") + hashTail(name)
}
