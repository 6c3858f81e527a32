package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
)

type letterReplay struct {
	letterPath
	cloudAt
	Timeout time.Duration `default:"10m" help:"Give up after so long."`
	Yes     bool          `help:"Do it. Without it the command says what it would do."`
}

// replayJSON is what became of a replay, or would.
type replayJSON struct {
	Endpoint    string         `json:"endpoint"`
	Selected    int            `json:"selected"`   // letters of the cloud mode
	Reasons     map[string]int `json:"reasons"`    // why they died
	Impossible  map[string]int `json:"impossible"` // letters of other destinations, by name
	Unreadable  int            `json:"unreadable"` // lines
	Sent        bool           `json:"sent"`       // false: nothing was, there was no --yes
	Delivered   uint64         `json:"delivered"`
	Filtered    map[string]int `json:"filtered,omitempty"` // by reason
	Dropped     map[string]int `json:"dropped,omitempty"`  // again, by reason
	Refused     int            `json:"refused"`            // by the client: their events are not valid
	NotReplayed int            `json:"notReplayed"`        // for it ended before
	Error       string         `json:"error,omitempty"`
}

// Run replays letters.
func (cmd *letterReplay) Run(c *command) error {
	if err := cmd.check(); err != nil {
		return err
	}
	if cmd.Yes && cmd.WriteKey == "" {
		return errNoWriteKey
	}
	files, err := openLetters(cmd.Path)
	if err != nil {
		return err
	}
	defer closeLetters(files)
	out := replayJSON{Endpoint: cmd.where(), Reasons: map[string]int{}, Impossible: map[string]int{}}
	counts := make(reasonCounts)
	out.Unreadable, err = cmd.each(c, files, func(l *analytics.DeadLetter) error {
		if l.Destination != cloudName {
			out.Impossible[l.Destination]++
		} else if cmd.Limit <= 0 || out.Selected < cmd.Limit {
			out.Selected++
			counts.add(l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if reasons := counts[cloudName]; reasons != nil {
		out.Reasons = reasons
	}
	if cmd.Yes && out.Selected > 0 {
		if err := cmd.send(c, files, &out); err != nil {
			return err
		}
	}
	if c.json {
		err = c.printJSON(out)
	} else {
		out.print(c, cmd.Yes)
	}
	fine := out.Unreadable == 0 && (!out.Sent || out.Error == "" && out.Delivered == uint64(out.Selected))
	return cmp.Or(err, told(!fine))
}

// send replays the letters that are wanted by a client with nothing but the cloud mode,
// which waits in memory.
func (cmd *letterReplay) send(c *command, files []letterFile, out *replayJSON) error {
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, cmd.Timeout, fmt.Errorf("not finished within %s", cmd.Timeout))
	defer stop()
	bar := c.bar("replay", int64(out.Selected), false)
	defer bar.clear()
	complaints := &complaints{c: c, bar: bar}
	client, err := analytics.New(complaints.watched(cmd.config(c), func() { cancel(errUnauthorized) }))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	watched := complaints.watch(client, cloudName, 0)
	left := out.Selected
	_, err = cmd.each(complaints.quiet(), files, func(l *analytics.DeadLetter) error {
		if l.Destination != cloudName || left == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return errEnough
		}
		err := client.Replay(ctx, *l)
		if invalid := (*analytics.InvalidError)(nil); errors.As(err, &invalid) {
			out.Refused++
			complaints.add("%s: %v", l.MessageID, err)
		} else if err != nil {
			return errEnough
		}
		left--
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	closeErr := client.Close(ctx)
	watched()
	out.Sent, out.NotReplayed = true, left
	out.account(client.Stats().Destinations[cloudName])
	if cause := context.Cause(ctx); cause != nil {
		out.Error = cause.Error()
	} else if err := cmp.Or(err, closeErr); err != nil {
		out.Error = err.Error()
	}
	return nil
}

func (r *replayJSON) account(s analytics.DestinationStats) {
	r.Delivered = s.Delivered
	r.Filtered, r.Dropped = named(s.Filtered), named(s.Dropped)
}

func named(counts map[analytics.Reason]uint64) map[string]int {
	out := make(map[string]int, len(counts))
	for reason, n := range counts {
		out[reason.String()] = int(n)
	}
	return out
}

func (r *replayJSON) print(c *command, yes bool) {
	switch {
	case r.Selected == 0:
		c.printf("no letters of %s\n", cloudName)
	case !yes:
		c.printf("would replay %s of %s to %s: %s\n", count(r.Selected, "letter"), cloudName, printable(r.Endpoint), text(r.Reasons))
	default:
		c.printf("replayed %s of %s to %s: %d delivered", count(r.Selected-r.NotReplayed, "letter"), cloudName, printable(r.Endpoint), r.Delivered)
		if len(r.Filtered) > 0 {
			c.printf("; filtered: %s", text(r.Filtered))
		}
		if len(r.Dropped) > 0 {
			c.printf("; dropped: %s", text(r.Dropped))
		}
		if r.Refused > 0 {
			c.printf("; %d not valid", r.Refused)
		}
		if r.NotReplayed > 0 {
			c.printf("; %d not tried", r.NotReplayed)
		}
		c.printf("\n")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Impossible)) {
		c.printf("cannot replay %s of %s: its settings are in the program; replay them there, with Client.Replay\n", count(r.Impossible[name], "letter"), printable(cmp.Or(name, "no destination")))
	}
	if r.Unreadable > 0 {
		c.printf("%s cannot be read\n", count(r.Unreadable, "line"))
	}
	if r.Error != "" {
		c.printf("ended early: %s\n", printable(r.Error))
	}
	switch {
	case r.Selected == 0:
	case !yes:
		c.printf("nothing was sent, add --yes\n")
	default:
		c.printf("the files are as they were: a letter that is replayed twice arrives twice, under one messageId\n")
	}
}
