package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// faults is what a store did with each fault: one trial or several.
type faults struct {
	Killed, Cut, Flipped, Full []trial
	Skipped                    string // why Full is empty
	Failed                     string // why others are
}

// trial is one fault and what was found after it.
type trial struct {
	Accepted  int    // events before the fault
	AppendErr string // of a full disk
	Died      string // of the process that met the fault
	After     outcome
}

// faultSizes are how much is tried.
type faultSizes struct {
	kills, flips, events int
	alive                time.Duration // the least that a process lives before it is killed
	hang                 time.Duration // after which a task counts as hanging
}

var usualFaults = faultSizes{kills: 6, flips: 10, events: 8000, alive: 150 * time.Millisecond, hang: 30 * time.Second}

// fullEvents is more than fits on the small disk.
const (
	fullEvents = 100_000
	fullMB     = 24
)

// provoke tries all faults on one store, below dir. When the store does not get as
// far as a fault, that is noted; an error means that nothing more can be tried.
func provoke(ctx context.Context, c contender, dir string, z faultSizes, progress func(string, ...any)) (f faults, err error) {
	progress("%s: killed", c.name)
	if f.Killed, err = z.kill(ctx, c, dir); err == nil {
		progress("%s: damaged", c.name)
		f.Cut, f.Flipped, err = z.damage(ctx, c, dir)
	}
	if err == nil {
		progress("%s: full disk", c.name)
		f.Full, f.Skipped, err = z.full(ctx, c, dir)
	}
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	if err != nil {
		f.Failed = oneLine(err.Error(), dir)
		progress("%s: failed: %s", c.name, f.Failed)
	}
	return f, nil
}

// kill ends a process in the middle of appending, by turns of one event and of a
// hundred.
func (z faultSizes) kill(ctx context.Context, c contender, parent string) (all []trial, err error) {
	random := rand.New(rand.NewPCG(3, 4))
	for i := range z.kills {
		dir, remove, err := folder(parent)
		if err != nil {
			return nil, err
		}
		t := task{Kind: endless, Store: c.name, Dir: dir, Batch: 1 + 99*(i%2), N: 1e9}
		lives, start := z.alive+time.Duration(random.Int64N(int64(z.alive))), time.Time{}
		o, err := t.run(ctx, z.hang, func(int) bool {
			if start.IsZero() {
				start = time.Now()
			}
			return time.Since(start) > lives
		})
		if err != nil {
			return nil, err
		}
		if o.Died != "killed" {
			return nil, fmt.Errorf("the process ended before it was killed: %s%s", o.Died, o.Result.OpenErr+o.Result.AppendErr)
		}
		r, err := z.look(ctx, c, dir, o.Accepted, false)
		all = append(all, r)
		if err := errors.Join(err, remove()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// look opens a folder and drains it.
func (z faultSizes) look(ctx context.Context, c contender, dir string, accepted int, small bool) (trial, error) {
	t := task{Kind: draining, Store: c.name, Dir: dir, Batch: 100, Accepted: accepted, Small: small}
	o, err := t.run(ctx, z.hang, nil)
	return trial{Accepted: accepted, After: o}, err
}

// damage fills a store, kills the process that holds it when all is synced, and
// damages a copy of the folder for each trial.
func (z faultSizes) damage(ctx context.Context, c contender, parent string) (cuts, flips []trial, err error) {
	origin, remove, err := folder(parent)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	t := task{Kind: filling, Store: c.name, Dir: origin, Batch: 100, Synced: true, N: z.events}
	o, err := t.run(ctx, z.hang, func(int) bool { return true })
	if err != nil {
		return nil, nil, err
	}
	if o.Died != "killed" {
		return nil, nil, fmt.Errorf("the process ended before it was killed: %s%s", o.Died, o.Result.OpenErr)
	}
	try := func(harm func(dir string) error) (trial, error) {
		dir, remove, err := folder(parent)
		if err != nil {
			return trial{}, err
		}
		if err := errors.Join(copyFolder(dir, origin), harm(dir)); err != nil {
			return trial{}, errors.Join(err, remove())
		}
		r, err := z.look(ctx, c, dir, o.Accepted, false)
		return r, errors.Join(err, remove())
	}
	r, err := try(func(dir string) error { return cut(dir, c.copies, z.events) })
	if err != nil {
		return nil, nil, err
	}
	cuts = append(cuts, r)
	for k := range z.flips {
		r, err := try(func(dir string) error { return flip(dir, c.copies, k, z.flips, z.events) })
		if err != nil {
			return nil, nil, err
		}
		flips = append(flips, r)
	}
	return cuts, flips, nil
}

// full appends to a small disk until the store refuses, then opens the folder in
// another process while the disk is still full, and drains it.
func (z faultSizes) full(ctx context.Context, c contender, parent string) (all []trial, skipped string, err error) {
	dir, remove, err := folder(parent)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if out, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", fullMB), "tmpfs", dir).CombinedOutput(); err != nil {
		return nil, "a small disk cannot be mounted here: " + oneLine(string(out), dir), nil
	}
	defer func() { err = errors.Join(err, exec.Command("umount", dir).Run()) }()
	inside := filepath.Join(dir, "store")
	if err := os.Mkdir(inside, 0o700); err != nil {
		return nil, "", err
	}
	t := task{Kind: endless, Store: c.name, Dir: inside, Batch: 100, N: fullEvents, Small: true}
	o, err := t.run(ctx, z.hang, nil)
	if err != nil {
		return nil, "", err
	}
	r, err := z.look(ctx, c, inside, o.Accepted, true)
	r.AppendErr, r.Died = o.Result.OpenErr+o.Result.AppendErr, o.Died
	return []trial{r}, "", err
}

// folder makes a folder that remove deletes.
func folder(parent string) (dir string, remove func() error, err error) {
	dir, err = os.MkdirTemp(parent, "store")
	return dir, func() error { return os.RemoveAll(dir) }, err
}
