// Warehouse loads a recorded day of a shop into tables and into an archive of files, and
// asks the tables what a shop wants to know: when money came in, where visitors were
// lost, who bought most.
//
//	go run ./examples/warehouse [-dir DIR]
//
// Then it fills a second database from the archive, and ends with 0 only if the archive
// and both databases have each event once and give the same answers. The databases, the
// archive and a chart stay in DIR, or in a temporary folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/examples"
)

func main() {
	dir := flag.String("dir", "", "folder for all files, which is empty or not there yet; empty means a temporary one")
	flag.Parse()
	if err := play(os.Stdout, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "warehouse:", err)
		os.Exit(1)
	}
}

// play runs the example in a folder that has nothing in it.
func play(out io.Writer, dir string) (err error) {
	if dir == "" {
		dir, err = os.MkdirTemp("", "warehouse-")
	} else {
		err = claim(dir)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return run(ctx, out, dir)
}

// claim refuses a folder with files: what an earlier day has left there would be counted
// with this one.
func claim(dir string) error {
	switch files, err := os.ReadDir(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return err
	case len(files) > 0:
		return fmt.Errorf("%s is not empty", dir)
	}
	return nil
}

// run feeds the day, asks, and rebuilds.
func run(ctx context.Context, out io.Writer, dir string) error {
	day, err := examples.ShopDay()
	if err != nil {
		return err
	}
	shop, rebuilt := filepath.Join(dir, "shop.db"), filepath.Join(dir, "rebuilt.db")
	files := &archive.Folder{Path: filepath.Join(dir, "archive")}

	if err := load(ctx, day.Events, filepath.Join(dir, "spool"), shop, files); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	r := result{day: day}
	if r.shop, err = ask(ctx, shop); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	r.printAnswers(out)
	chart := filepath.Join(dir, "shop.png")
	if err := draw(chart, day.Midnight, r.shop.answers); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	fmt.Fprintf(out, "The first two are drawn in %s.\n\n", chart)

	if r.archive, err = rebuild(ctx, files, rebuilt); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	if r.rebuilt, err = ask(ctx, rebuilt); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	r.printCounts(out)
	if err := r.check(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nThe archive has each of the %s events once, and the database that was rebuilt from it gives the same answers.\n",
		grouped(len(day.Events)))
	return err
}
