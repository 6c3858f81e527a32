package wal

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// syncFile asks the disk itself to write, which fsync does not on this system.
func syncFile(f *os.File) error { return f.Sync() } // package os uses F_FULLFSYNC

// Local tells whether the file system of a directory is one of this machine.
func (OS) Local(name string) bool {
	var st unix.Statfs_t
	return unix.Statfs(name, &st) == nil && st.Flags&unix.MNT_LOCAL != 0
}

// BootID is when the system was started.
func (OS) BootID() string {
	t, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return strconv.FormatInt(t.Sec, 10)
}

func allocate(f *os.File, size int64) error { return fill(f, size) }
