package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// archiveAt is where an archive is.
type archiveAt struct {
	Dir    string `arg:"" help:"Folder of the archive."`
	Prefix string `help:"What is in front of its keys, as the destination has it."`
}

func (a *archiveAt) open() (*archive.Archive, error) { return archiveIn(a.Dir, a.Prefix) }

// openWritten opens an archive that something was written to: where what was said of
// another folder would be a false comfort.
func (a *archiveAt) openWritten() (*archive.Archive, error) {
	opened, err := a.open()
	if err != nil {
		return nil, err
	}
	folders := []string{filepath.Join(filepath.FromSlash(a.Prefix), "archive", "_manifest")}
	if a.Prefix == "" {
		folders = append(folders, "_parts") // nothing is finished yet
	}
	for _, folder := range folders {
		if info, err := os.Stat(filepath.Join(a.Dir, folder)); err == nil && info.IsDir() {
			return opened, nil
		}
	}
	return nil, fmt.Errorf("%s has no archive with prefix %q", printable(a.Dir), a.Prefix)
}

// archiveIn opens an archive, which must be there.
func archiveIn(dir, prefix string) (*archive.Archive, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%w: %s is not a directory", errUsage, dir)
	}
	return archive.Open(&archive.Folder{Path: dir}, prefix)
}

// archiveQuery are the flags that select events.
type archiveQuery struct {
	From      when     `placeholder:"TIME" help:"Only what was received at this time or later: 2026-11-23 or 2026-11-23T12:00:00Z."`
	Until     when     `placeholder:"TIME" help:"Only what was received before this time."`
	Event     []string `sep:"none" placeholder:"NAME" help:"Only track calls with this event. This flag, as those below, can be given several times: any of them will do."`
	Type      []string `enum:"identify,track,page,screen,group,alias,object" placeholder:"CALL" help:"Only calls of this type: identify, track, page, screen, group, alias or object."`
	User      []string `sep:"none" placeholder:"ID" help:"Only events with this userId."`
	Anonymous []string `sep:"none" placeholder:"ID" help:"Only events with this anonymousId."`
	ID        []string `name:"id" sep:"none" placeholder:"ID" help:"Only events with this messageId."`
}

func (q *archiveQuery) query(sources []string) archive.Query {
	out := archive.Query{
		From: q.From.Time, To: q.Until.Time, Sources: sources, Events: q.Event,
		UserIDs: q.User, AnonymousIDs: q.Anonymous, MessageIDs: q.ID,
	}
	for _, t := range q.Type {
		out.Types = append(out.Types, analytics.Call(t))
	}
	return out
}

// whole tells whether files are taken whole: then their manifests know the number of
// events.
func (q *archiveQuery) whole() bool {
	return q.From.IsZero() && q.Until.IsZero() && len(q.Event)+len(q.Type)+len(q.User)+len(q.Anonymous)+len(q.ID) == 0
}

// when is a time on the command line, a day is its beginning in UTC.
type when struct{ time.Time }

// UnmarshalText reads what the help says.
func (w *when) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			w.Time = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is no time: want 2026-11-23 or 2026-11-23T12:00:00Z", text)
}
