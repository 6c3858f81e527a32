//go:build !race

package warehousetest

// goldenOrders is how many orders of the same events are loaded.
const goldenOrders = 60
