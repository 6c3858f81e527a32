package warehousetest

import "time"

// Quick returns a Setup whose rules wait no longer than a store in memory needs.
func Quick(s Setup, patience time.Duration) Setup {
	s.patience, s.brief = patience, 20*time.Millisecond
	return s
}
