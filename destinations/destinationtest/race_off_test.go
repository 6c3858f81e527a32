//go:build !race

package destinationtest_test

// underRace tells whether the race detector is on.
const underRace = false
