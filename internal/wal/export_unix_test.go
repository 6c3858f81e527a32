//go:build linux || darwin

package wal

import "os"

// Fill writes zeros behind the end of a file.
func Fill(f *os.File, size int64) error { return fill(f, size) }
