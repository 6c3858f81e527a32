//go:build !unix

package usage

import (
	"errors"
	"time"
)

// CPU is not known here.
func CPU() time.Duration { return 0 }

// PeakRSS is not known here.
func PeakRSS() int64 { return 0 }

// Disk is not known here.
func Disk(string) (int64, error) { return 0, errors.ErrUnsupported }
