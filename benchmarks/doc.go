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
// internal/sdk holds the work and the libraries, internal/receiver the server that
// counts, and fails on request.
package benchmarks
