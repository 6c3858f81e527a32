package wal

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func syncFile(f *os.File) error { return fdError(f, "fdatasync", unix.Fdatasync) }

// Local tells whether the file system of a directory is one of this machine.
func (OS) Local(name string) bool {
	var st unix.Statfs_t
	if unix.Statfs(name, &st) != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC:
		return true
	}
	return false
}

// BootID is what the kernel made up when it started.
func (OS) BootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// allocate gives a file its blocks. On a file system that copies on write, stores
// into them would need space all the same, so that is turned off while the file is
// empty.
func allocate(f *os.File, size int64) error {
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		_ = fdError(f, "ioctl", func(fd int) error {
			attr, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
			if err != nil {
				return err
			}
			return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, attr|fsNoCopyOnWrite)
		})
	}
	err := fdError(f, "fallocate", func(fd int) error { return unix.Fallocate(fd, 0, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fill(f, size)
	}
	return err
}

const fsNoCopyOnWrite = 0x00800000 // FS_NOCOW_FL of linux/fs.h
