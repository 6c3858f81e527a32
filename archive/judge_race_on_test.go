//go:build race

package archive_test

// raced tells that the race detector is on, under which everything takes ten times as long.
const raced = true
