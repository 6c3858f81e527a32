package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockHolder looks the lock up in the list of the kernel, and, since that names devices
// in its own way on some file systems, among the open files of the process that stands
// in the file. A process in a container that this one cannot see is not found.
func lockHolder(name string, pid int) (holder int, known bool) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, os.IsNotExist(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if holder = inLockTable(st); holder > 0 {
			return holder, true
		}
	}
	if pid <= 0 {
		return 0, true
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if _, procErr := os.Stat("/proc/self/fd"); err != nil || procErr != nil {
		return 0, false
	}
	for _, fd := range fds {
		if open, err := os.Stat(fd); err == nil && os.SameFile(info, open) {
			return pid, true
		}
	}
	return 0, true
}

// inLockTable finds who has the lock of a file: "1: FLOCK  ADVISORY  WRITE 71 08:01:42 0 EOF".
func inLockTable(st *syscall.Stat_t) int {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer f.Close()
	dev := uint64(st.Dev) //nolint:unconvert // the types differ between processors
	major := (dev>>8)&0xfff | (dev>>32)&^0xfff
	minor := dev&0xff | (dev>>12)&^0xff
	file := fmt.Sprintf("%02x:%02x:%d", major, uint32(minor), st.Ino)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 6 && fields[1] == "FLOCK" && fields[3] == "WRITE" && fields[5] == file {
			pid, _ := strconv.Atoi(fields[4])
			return pid
		}
	}
	return 0
}
