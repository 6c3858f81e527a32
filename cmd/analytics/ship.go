package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// A shipment is what goes from an archive to one destination.
type shipment struct {
	c       *command
	archive *archive.Archive
	query   archive.Query
	whole   bool // the query takes files whole
	sending
	to         target
	verb, past string

	mark    checkpoint
	damaged []error // what was skipped
	out     shipmentJSON
}

// shipmentJSON is what became of a shipment, or would.
type shipmentJSON struct {
	Target    string         `json:"target"`
	Files     int64          `json:"files"`  // that may have such events
	Events    int64          `json:"events"` // in them; those that are wanted, where Exact is set
	Bytes     int64          `json:"bytes"`  // of the files
	Exact     bool           `json:"exact"`
	Before    int64          `json:"before"` // of Events, those that an earlier run has dealt with
	Sent      bool           `json:"sent"`   // false: nothing was, there was no --yes
	Accepted  int64          `json:"accepted"`
	Refused   int64          `json:"refused"` // the destination does not take such events
	Delivered uint64         `json:"delivered"`
	Filtered  map[string]int `json:"filtered,omitempty"` // by reason
	Dropped   map[string]int `json:"dropped,omitempty"`  // by reason
	Damaged   int64          `json:"damaged,omitempty"`  // files and manifests that were skipped
	Error     string         `json:"error,omitempty"`
}

// run does it, or says what it would do.
func (s *shipment) run(dir, prefix string) error {
	if s.Rate < 0 {
		return fmt.Errorf("%w: --rate is negative", errUsage)
	}
	s.mark = checkpoint{file: s.State, of: shipmentID(dir, prefix, s.query, s.to.name), key: s.to.config.WriteKey}
	if err := s.mark.load(); err != nil {
		return err
	}
	s.out = shipmentJSON{Target: s.to.name, Exact: s.whole}
	if err := s.count(); err != nil {
		return err
	}
	var err error
	if s.Yes && s.out.Events > 0 {
		err = s.send()
	}
	if err != nil {
		return err
	}
	for i, bad := range s.damaged {
		s.c.damaged(bad, i)
	}
	s.out.Damaged += int64(len(s.damaged))
	if s.c.json {
		err = s.c.printJSON(s.out)
	} else {
		s.print()
	}
	fine := s.out.Error == "" && s.out.Damaged == 0 && len(s.out.Dropped) == 0 && s.out.Refused == 0
	return cmp.Or(err, told(!fine))
}

// count says what there is to send.
func (s *shipment) count() error {
	for f, err := range s.archive.Files(s.c.ctx, s.query) {
		if err != nil && s.SkipDamaged && errors.Is(err, archive.ErrDamaged) {
			s.damaged = append(s.damaged, err)
			continue
		}
		if err != nil {
			return hinted(err)
		}
		switch at := s.mark.at; {
		case at.Key == f.Key && (at.SHA256 != f.SHA256 || f.Rewriting != nil): // it is sent from its start
		case at.Key == f.Key:
			s.out.Before += min(at.Line, f.Count)
		case at.Key != "" && cmp.Or(f.FirstReceived.Compare(at.FirstReceived), cmp.Compare(f.Key, at.Key)) < 0:
			s.out.Before += f.Count
		}
		s.out.Files++
		s.out.Events += f.Count
		s.out.Bytes += f.Bytes
	}
	return nil
}

// send replays with a client that has nothing but the target, and waits in memory.
func (s *shipment) send() error {
	ctx, cancel := context.WithCancelCause(s.c.ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("not finished within %s", s.Timeout))
	defer stop()
	if s.to.check != nil {
		if err := s.to.check(ctx); err != nil {
			return err
		}
	}
	bar := s.c.longBar(s.verb, s.out.Events, false)
	defer bar.clear()
	bar.set(s.out.Before)
	complaints := &complaints{c: s.c, bar: bar}
	if s.to.watch != nil {
		s.to.watch(complaints)
	}
	client, err := analytics.New(complaints.watched(s.to.config, func() { cancel(s.to.refused) }))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	stopped := complaints.watch(client, s.to.integration, s.out.Before)
	done, err := s.archive.Replay(ctx, s.query, archive.ToClient(client, s.to.integration, ""), archive.ReplayOptions{
		Rate: s.Rate, From: s.mark.at, Save: s.mark.save, SkipDamaged: s.SkipDamaged,
	})
	err = hinted(err)
	err = cmp.Or(err, client.Close(ctx))
	stopped()
	if err == nil {
		err = s.mark.remove()
	}
	s.out.Sent, s.out.Accepted, s.out.Refused = true, done.Events, done.Refused
	s.damaged, s.out.Damaged = nil, s.mark.at.Damaged+done.MoreFaults // those of earlier runs, too
	for _, f := range done.Faults {
		s.damaged = append(s.damaged, fmt.Errorf("%s: %s", f.Key, f.Problem))
	}
	stats := client.Stats().Destinations[s.to.integration]
	s.out.Delivered, s.out.Filtered, s.out.Dropped = stats.Delivered, named(stats.Filtered), named(stats.Dropped)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	if err != nil {
		s.out.Error = err.Error()
	}
	return nil
}

// hinted says how to go on behind damage.
func hinted(err error) error {
	if errors.Is(err, archive.ErrDamaged) {
		return fmt.Errorf("%w; --skip-damaged goes on behind it", err)
	}
	return err
}

var errInterrupted = errors.New("interrupted")

func (s *shipment) print() {
	c, o := s.c, &s.out
	events := count(o.Events, "event")
	if !o.Exact {
		events = "at most " + events
	}
	where := fmt.Sprintf("from %s (%s) to %s", count(o.Files, "file"), bytesOf(o.Bytes), printable(o.Target))
	if !o.Sent {
		if o.Events == 0 {
			c.printf("no events to %s\n", s.verb)
			s.printRest()
			return
		}
		c.printf("would %s %s %s\n", s.verb, events, where)
		s.printRest()
		c.printf("nothing was sent, add --yes\n")
		return
	}
	c.printf("%s %s %s: %d delivered", s.past, count(o.Accepted, "event"), where, o.Delivered)
	if len(o.Filtered) > 0 {
		c.printf("; filtered: %s", text(o.Filtered))
	}
	if len(o.Dropped) > 0 {
		c.printf("; dropped: %s", text(o.Dropped))
	}
	if o.Refused > 0 {
		c.printf("; %d not taken", o.Refused)
	}
	c.printf("\n")
	s.printRest()
	if o.Error == "" {
		return
	}
	c.printf("ended early: %s\n", printable(o.Error))
	if s.State != "" {
		c.printf("the same command goes on where it ended\n")
	} else {
		c.printf("the same command begins again; what is sent twice has one messageId\n")
	}
}

func (s *shipment) printRest() {
	if s.out.Damaged > 0 {
		s.c.printf("  %s skipped, or read up to the damage\n", count(s.out.Damaged, "damaged file"))
	}
	if s.out.Before > 0 {
		s.c.printf("  an earlier run has dealt with %d of them\n", s.out.Before)
	}
}
