//go:build !race

package sqlite_test

// underRace tells whether the race detector is on.
const underRace = false
