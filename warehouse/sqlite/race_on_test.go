//go:build race

package sqlite_test

// underRace tells whether the race detector is on: then tests of many runs do fewer.
const underRace = true
