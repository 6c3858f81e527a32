//go:build race

package warehousetest

// goldenOrders is how many orders of the same events are loaded, under the race
// detector fewer.
const goldenOrders = 12
