// Command analytics is for those who look after what a client keeps: its spool
// (analytics.Spool) and dead letters, its warehouse and archive. It looks into them, also
// beside a process that works there, repairs them by hand, and sends or loads what they
// have again. It also tells what the destinations of the library take:
//
//	analytics spool ls DIR                          the slots of a spool
//	analytics spool cat DIR                         the events in it, as NDJSON
//	analytics spool verify DIR                      reads everything and names what is damaged
//	analytics spool stats DIR                       what each destination has before it
//	analytics spool drop-cursor DIR DESTINATION     forgets a destination that is gone
//	analytics deadletter ls FILE|DIR                the dead letters, and why they died
//	analytics deadletter replay FILE|DIR            sends those of the cloud mode again
//	analytics warehouse status                      the latest loads, and what has no place
//	analytics warehouse schema [TABLE]              the tables, or the columns of one
//	analytics warehouse retype TABLE COLUMN KIND    gives a column another kind
//	analytics warehouse sync --archive DIR          loads what an archive has
//	analytics archive ls DIR                        the files of an archive
//	analytics archive cat DIR                       the events in it, as NDJSON
//	analytics archive verify DIR                    reads everything and names what is damaged
//	analytics archive replay DIR --to TARGET        sends events again: to the cloud mode or a warehouse
//	analytics archive forget DIR --user ID          erases somebody, in a warehouse too
//	analytics destinations [NAME]                   the destinations, or the settings and limits of one
//
// A warehouse is named by --store or ANALYTICS_WAREHOUSE: sqlite:PATH or
// postgres://USER@HOST/DATABASE, and --source. No password is ever printed.
//
// Nothing is changed or sent without --yes: without it, the commands that could do so say
// what they would do, and the others have no --yes since they only read. Reading takes
// no locks and makes no files, but for that of a warehouse, which waits for the load that
// is under way. What waits in a spool is in no warehouse and no archive yet.
//
// Tables are for people, with times in UTC; --json is for programs. Whatever comes from
// files is escaped where it is not printable. What takes long shows a bar on a terminal;
// elsewhere a line every few seconds.
//
// It exits with 0 when all is well; with 1 when there is damage, the last load has
// failed, or something could not be read or done; with 2 when it was called wrongly.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tributary-dev/analytics/destinations/catalog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	c := command{
		ctx: ctx, stdout: os.Stdout, stderr: os.Stderr, terminal: isTerminal(os.Stderr), now: time.Now, catalog: catalog.All(),
	}
	code := c.run(os.Args[1:])
	stop()
	os.Exit(code)
}

// command is what the program is given from outside.
type command struct {
	ctx            context.Context // of the whole program
	stdout, stderr io.Writer
	terminal       bool // stderr is one
	now            func() time.Time
	transport      http.RoundTripper // nil: the network
	catalog        []catalog.Entry   // of destinations

	json bool
}

// Exit codes.
const (
	exitFine = iota
	exitFault
	exitUsage
)

// grammar is the command line.
type grammar struct {
	JSON bool `name:"json" help:"Print JSON instead of tables."`

	Spool struct {
		Ls         spoolLs         `cmd:"" help:"List the slots: who works in them and what is there."`
		Cat        spoolCat        `cmd:"" help:"Print events as NDJSON, those that are only in the ring too."`
		Verify     spoolVerify     `cmd:"" help:"Read every frame and record and name each damaged place; exit with 1 if there is one."`
		Stats      spoolStats      `cmd:"" help:"Show where each destination stands and what is before it."`
		DropCursor spoolDropCursor `cmd:"" help:"Remove the cursor of a destination that is gone, so that its events hold no space."`
	} `cmd:"" help:"Look into the directory of a spool."`

	Deadletter struct {
		Ls     letterLs     `cmd:"" help:"List dead letters, and count them by reason."`
		Replay letterReplay `cmd:"" help:"Send the letters of the cloud mode again."`
	} `cmd:"" help:"Look into dead letters, and send them again."`

	Warehouse struct {
		Sync   warehouseSync   `cmd:"" help:"Load what an archive has."`
		Status warehouseStatus `cmd:"" help:"Show the latest loads and what did not go into its place; exit with 1 if the last load has failed."`
		Schema warehouseSchema `cmd:"" help:"List the tables of a source, or the columns of one."`
		Retype warehouseRetype `cmd:"" help:"Give a column another kind, with the values in _unmapped that fit then."`
	} `cmd:"" help:"Look into a warehouse, and load it."`

	Archive struct {
		Ls     archiveLs     `cmd:"" help:"List the files, or those that may have certain events, and count them by source."`
		Cat    archiveCat    `cmd:"" help:"Print events as NDJSON."`
		Verify archiveVerify `cmd:"" help:"Compare every file with its manifest and name what is damaged; exit with 1 if something is."`
		Replay archiveReplay `cmd:"" help:"Send events again, to the cloud mode or a warehouse."`
		Forget archiveForget `cmd:"" help:"Erase somebody, in a warehouse too."`
	} `cmd:"" help:"Look into an archive, send what it has, and erase from it."`

	Destinations destinations `cmd:"" help:"List the destinations that come with the library, or the settings and limits of one."`
}

const description = `Looks into spools, dead letters, warehouses and archives, also beside a running process, and repairs them by hand. Sends, loads and erases what they have. Tells what destinations take.

Nothing is changed or sent without --yes. Times are in UTC. Exit codes: 0 all is well; 1 there is damage, the last load has failed, or something could not be read or done; 2 the command was called wrongly.`

// exited ends the program from within the parser, after it has printed help.
type exited int

func (c *command) run(args []string) (code int) {
	defer func() {
		if v := recover(); v != nil {
			early, ok := v.(exited)
			if !ok {
				panic(v)
			}
			code = int(early)
		}
	}()
	var g grammar
	parser, err := kong.New(&g, kong.Name("analytics"), kong.Description(description),
		kong.Writers(c.stdout, c.stderr), kong.Exit(func(code int) { panic(exited(code)) }))
	if err != nil {
		c.complain(err)
		return exitUsage
	}
	call, err := parser.Parse(args)
	if err != nil {
		c.complain(err)
		return exitUsage
	}
	c.json = g.JSON
	switch err := call.Run(c); {
	case err == nil:
		return exitFine
	case errors.Is(err, errUsage):
		c.complain(err)
		return exitUsage
	case errors.Is(err, errTold):
		return exitFault
	default:
		c.complain(err)
		return exitFault
	}
}

var (
	errUsage = errors.New("usage")
	errTold  = errors.New("the output says what is wrong")
)

func (c *command) complain(err error) { fmt.Fprintln(c.stderr, "analytics:", printable(err.Error())) }

// warn says on the side what has not gone well.
func (c *command) warn(format string, args ...any) {
	fmt.Fprintln(c.stderr, printable(fmt.Sprintf(format, args...)))
}
