//go:build !unix

package main

import (
	"errors"
	"time"
)

func cpuTime() time.Duration { return 0 }

func peakRSS() int64 { return 0 }

func allocated(string) (int64, error) { return 0, errors.ErrUnsupported }
