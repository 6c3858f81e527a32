//go:build !race

package analytics

// underRace tells whether the race detector is on.
const underRace = false
