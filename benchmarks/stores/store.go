package main

import "fmt"

// store keeps events on disk in the order they came. One goroutine appends and
// syncs, another reads and commits, at the same time.
type store interface {
	// append hands over a batch. When it returns nil, the store has the events to the
	// extent that it promises without a sync. The bytes belong to the caller again.
	append(batch [][]byte) error
	// sync returns when all that was appended survives a loss of power.
	sync() error
	// read returns the next events after those already read, in the order they were
	// appended, beginning after the last committed one when the store was opened;
	// about limit of them, more where a store keeps batches whole, and none when
	// nothing is waiting. A client hands out no more either while what it has handed out
	// is not finished. The bytes are valid until the next read.
	read(limit int) ([][]byte, error)
	// commit finishes all that was read: its space may go, and it is not handed out
	// again after the death of the process.
	commit() error
	// close gives back what the store holds, and is called once nothing else runs.
	close() error
}

// options are what a store is opened with.
type options struct {
	dir string // exists
	// batch is how many events each append will bring.
	batch int
	// synced tells that a sync follows each append, for stores that decide at open how
	// durable a write is. Their sync may then have nothing to do.
	synced bool
	// small tells that the disk has a few MB only, for stores that reserve space.
	small bool
}

// contender is a row of the tables.
type contender struct {
	name   string
	module string // of which the version is shown; empty if it is no module's code
	// whole tells that an append is the call of a client, with stamping and encoding,
	// so that its speed stands in a table of its own.
	whole bool
	// copies names a file that has only copies of what is synced; damaging it proves nothing.
	copies string
	open   func(options) (store, error)
}

// contenders returns all rows in their order.
func contenders() []contender {
	return append(ourOwn(),
		contender{name: "file per batch", open: openFiles},
		contender{name: "bbolt", module: "go.etcd.io/bbolt", open: openBolt},
		contender{name: "pebble", module: "github.com/cockroachdb/pebble/v2", open: openPebble},
		contender{name: "sqlite (pure Go)", module: "modernc.org/sqlite", open: openSQLite},
		contender{name: "tidwall/wal", module: "github.com/tidwall/wal", open: openTidwall},
		contender{name: "nsqio/go-diskqueue", module: "github.com/nsqio/go-diskqueue", open: openDiskqueue},
		contender{name: "hashicorp/raft-wal", module: "github.com/hashicorp/raft-wal", open: openRaft},
		contender{name: "JetStream in process", module: "github.com/nats-io/nats-server/v2", open: openJetStream},
	)
}

// find returns the contender of a name.
func find(name string) (contender, error) {
	for _, c := range contenders() {
		if c.name == name {
			return c, nil
		}
	}
	return contender{}, fmt.Errorf("no store is named %q", name)
}
