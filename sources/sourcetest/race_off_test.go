//go:build !race

package sourcetest_test

// underRace tells whether the race detector is on.
const underRace = false
