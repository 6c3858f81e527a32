//go:build !race

package warehousetest_test

// underRace tells whether the race detector is on.
const underRace = false
