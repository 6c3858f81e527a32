//go:build race

package destinationtest_test

// underRace tells whether the race detector is on, under which everything takes ten times as long.
const underRace = true
