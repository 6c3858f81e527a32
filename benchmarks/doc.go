// Package benchmarks compares this library with other Go SDKs on the same work.
//
// Its tests are Go benchmarks, one figure each:
//
//	go test -run '^$' -bench . ./benchmarks
//
// The command cmd/compare measures all libraries side by side in one run, every one
// in a process of its own against a receiver in another, and writes the tables of
// docs/benchmarks.md:
//
//	go run ./benchmarks/cmd/compare -out docs/benchmarks.md
//	go run ./benchmarks/cmd/compare -quick
//
// The command cmd/spool measures what is asked of the spool alone, beside destinations
// that fail and programs that want the same disk, for docs/benchmarks-spool.md:
//
//	go run ./benchmarks/cmd/spool -out docs/benchmarks-spool.md
//
// The command cmd/devicemode measures the adapters, cmd/receiving what receives other
// clients' messages, and cmd/storage what loads databases and archives:
//
//	go run ./benchmarks/cmd/devicemode -out docs/benchmarks-devicemode.md
//	go run ./benchmarks/cmd/receiving -out docs/benchmarks-receiving.md
//	go run ./benchmarks/cmd/storage -out docs/benchmarks-storage.md
//
// The folder stores is a module of its own, outside of go.work, for the databases that
// it needs. It compares the spool with other ways to keep events on disk:
//
//	cd benchmarks/stores
//	GOWORK=off go run . -out ../../docs/benchmarks-stores.md
//
// internal/sdk holds the work and the libraries, internal/receiver the server that
// counts, and fails on request.
package benchmarks
