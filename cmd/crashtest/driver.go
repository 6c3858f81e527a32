package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tributary-dev/analytics"
)

// settings of a driver.
type settings struct {
	kills    int
	seed     uint64
	dir      string
	two      float64                          // share of the rounds with two processes
	memory   bool                             // the queue is in memory, without a spool
	progress func(format string, args ...any) // nil: silence
}

// driver starts processes on one spool, kills them, and lets a last one deliver the rest.
type driver struct {
	settings
	random    *rand.Rand
	history   *history
	receiver  *receiver
	processes int
	killed    int
	lull      int             // kills until the weather may change again
	outages   int             // that began
	slots     int             // of the spool, at most
	opened    []time.Duration // how long New took
	last      *record         // of the process that delivered the rest
	left      int             // what one more process found after it
}

func newDriver(s settings) (*driver, error) {
	d := &driver{settings: s, random: rand.New(rand.NewPCG(s.seed, 0)), history: newHistory()}
	for _, dir := range []string{d.journal(), d.output()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	var err error
	d.receiver, err = startReceiver(s.seed, d.history.take)
	return d, err
}

func (d *driver) spool() string   { return filepath.Join(d.dir, "spool") }
func (d *driver) journal() string { return filepath.Join(d.dir, "journal") }
func (d *driver) output() string  { return filepath.Join(d.dir, "output") }

// outputOf is where the log and the panics of a process go.
func (d *driver) outputOf(t task) string {
	return filepath.Join(d.output(), fmt.Sprintf("p%d", t.Process))
}

// stage is where a process is in its life. Its names are the words of the journal, and
// what the process prints.
type stage int

const (
	opening stage = iota // it calls New
	running              // New has returned
	closing              // it calls Close
	closed               // Close has returned
)

func (s stage) String() string { return [...]string{"opening", "ready", "closing", "closed"}[s] }

// plan is the end of a process: so long after it has told that it entered a stage.
type plan struct {
	stage stage
	after time.Duration
}

func (d *driver) upTo(most time.Duration) time.Duration {
	return time.Duration(d.random.Int64N(int64(most)))
}

// plan draws how a process ends. One that is killed while it closes is often followed by
// another.
func (d *driver) plan(previous stage) plan {
	n := d.random.IntN(100)
	switch {
	case previous == closing && n < 50, n < 20:
		return plan{closing, d.upTo(60 * time.Millisecond)}
	case n < 35:
		return plan{opening, d.upTo(8 * time.Millisecond)}
	case n < 42:
		return plan{stage: closed}
	case n < 44:
		return plan{running, time.Second + d.upTo(time.Second)} // long enough for second tries
	}
	short := min(d.upTo(395*time.Millisecond), d.upTo(395*time.Millisecond))
	return plan{running, 5*time.Millisecond + short}
}

// task draws what a process does until then.
func (d *driver) task(p plan) task {
	t := task{
		Process: d.processes, Journal: d.journal(), Receiver: d.receiver.url, Seed: d.random.Uint64(),
		Sync:      analytics.SyncMode(d.random.IntN(3)),
		SyncCalls: d.random.IntN(2) == 0,
		FlushAt:   []int{1, 20, 250}[d.random.IntN(3)],
		Events:    2000,
		Burst:     1 + d.random.IntN(40),
		Pause:     time.Duration(d.random.IntN(6)) * time.Millisecond,
		Deadline:  []time.Duration{0, 10 * time.Millisecond, 300 * time.Millisecond}[d.random.IntN(3)],
	}
	if !d.memory {
		t.Spool = d.spool()
	}
	if p.stage >= closing {
		t.Close = 5*time.Millisecond + d.upTo(150*time.Millisecond)
	}
	d.processes++
	return t
}

// process is one that runs.
type process struct {
	task  task
	cmd   *exec.Cmd
	stdin io.Closer
	steps chan string // closed at the end of its output
}

func (d *driver) start(t task) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	out, err := os.Create(d.outputOf(t))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{task: t, cmd: exec.Command(self), steps: make(chan string, 8)}
	p.cmd.Env = append(os.Environ(), "GOTRACEBACK=all", taskEnv+"="+string(order))
	p.cmd.Stderr = out
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.steps)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.steps <- lines.Text()
		}
	}()
	return p, nil
}

// reach waits until the process tells that it has reached a step; false: it has ended.
func (p *process) reach(wanted stage) bool {
	for s := range p.steps {
		if s == wanted.String() {
			return true
		}
	}
	return false
}

// kill kills a process. One that was quicker has ended by itself.
func (d *driver) kill(p *process) error {
	_ = p.cmd.Process.Kill()
	return d.wait(p)
}

// wait waits for the end of a process and enters its journal.
func (d *driver) wait(p *process) error {
	for range p.steps { // to the end of its output, which Wait must not cut off
	}
	err := p.cmd.Wait()
	_ = p.stdin.Close()
	switch code := p.cmd.ProcessState.ExitCode(); code {
	case exitGood:
	case exitKilled, exitKilledWindows:
		d.killed++
	default:
		out, _ := os.ReadFile(d.outputOf(p.task))
		return fmt.Errorf("process %d: %w\n%s", p.task.Process, err, out)
	}
	r, err := readJournal(d.journal(), p.task.Process)
	if err != nil {
		return err
	}
	if r.opened > 0 {
		d.opened = append(d.opened, r.opened)
	}
	d.last = r
	d.history.enter(p.task.Process, r)
	return nil
}

// Exit codes of a process, as os/exec has them. A panic is 2.
const (
	exitGood          = 0
	exitBad           = 3
	exitKilled        = -1
	exitKilledWindows = 1
)

// end carries out a plan.
func (d *driver) end(p *process, plan plan) error {
	if !p.reach(plan.stage) || plan.stage == closed {
		return d.wait(p)
	}
	time.Sleep(plan.after)
	return d.kill(p)
}

// run kills so many times, and then lets a last process deliver the rest.
func (d *driver) run() error {
	defer d.receiver.close()
	previous := running
	for next := 0; d.killed < d.kills; {
		if d.killed >= next && d.progress != nil {
			missing, _ := d.history.missing()
			d.progress("%3d of %d kills, %d processes, still to be delivered: %d to %v, %d to %v",
				d.killed, d.kills, d.processes, missing[cloud], cloud, missing[device], device)
			next += 20
		}
		d.change()
		plans := []plan{d.plan(previous)}
		if d.random.Float64() < d.two {
			plans = append(plans, d.plan(previous))
		}
		previous = plans[0].stage
		if err := d.round(plans); err != nil {
			return err
		}
	}
	return d.drain()
}

// change draws the weather: rough in general, sometimes fair, and outages of one
// place or both that outlast several kills.
func (d *driver) change() {
	if d.killed < d.lull {
		return
	}
	now := [places]weather{rough, rough}
	switch d.random.IntN(12) {
	case 0:
		now = [places]weather{outage, rough}
	case 1:
		now = [places]weather{rough, outage}
	case 2:
		now = [places]weather{outage, outage}
	case 3, 4, 5:
		now = [places]weather{fair, fair}
	}
	if now[cloud] == outage || now[device] == outage {
		d.outages++
		d.lull = d.killed + 3 + d.random.IntN(4)
	}
	d.receiver.set(now)
}

// round runs one process, or two that share the spool. They end in the order of the
// plans, the second after the first.
func (d *driver) round(plans []plan) error {
	var ps []*process
	for _, plan := range plans {
		p, err := d.start(d.task(plan))
		if err != nil {
			return err
		}
		ps = append(ps, p)
	}
	for i, p := range ps {
		if err := d.end(p, plans[i]); err != nil {
			return err
		}
	}
	return d.countSlots()
}

func (d *driver) countSlots() error {
	slots, err := filepath.Glob(filepath.Join(d.spool(), "p-*"))
	d.slots = max(d.slots, len(slots))
	return err
}

// patience is how long nothing may arrive before the rest is given up. It is longer than
// a process may take to find what another one has left.
const patience = 100 * time.Second

// drain runs a process without writers until everything has arrived, closes it, and lets
// another one look whether there is anything left.
func (d *driver) drain() error {
	d.receiver.set([places]weather{})
	p, err := d.start(d.reader())
	if err != nil {
		return err
	}
	if !p.reach(running) {
		return d.wait(p)
	}
	d.await(time.Now())
	_ = p.stdin.Close()
	if err := d.wait(p); err != nil {
		return err
	}
	last := d.last
	if p, err = d.start(d.reader()); err != nil {
		return err
	}
	_ = p.stdin.Close()
	if err := d.wait(p); err != nil {
		return err
	}
	d.left, d.last = d.last.left, last
	return nil
}

// reader is the task of a process without writers that closes in peace.
func (d *driver) reader() task {
	t := d.task(plan{stage: running})
	t.Events, t.Deadline = 0, patience
	return t
}

// await waits until everything has arrived, or nothing has for so long that nothing will.
func (d *driver) await(begun time.Time) {
	for {
		missing, latest := d.history.missing()
		if latest.Before(begun) {
			latest = begun
		}
		if missing == [places]int{} || d.memory || time.Since(latest) > patience {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
