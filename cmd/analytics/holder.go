package main

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// holder tells which process has a slot, without touching its lock: taking it even for
// a moment would turn away a process that starts just now. pid is what stands in the
// file. 0: nobody has it, as far as can be seen from here.
func holder(slot string, pid int) int {
	name := filepath.Join(slot, "LOCK")
	if locked, known := lockHolder(name, pid); known {
		return locked
	}
	if pid > 0 && alive(pid) {
		return pid
	}
	return 0
}

// alive tells whether there is a process of this number, which need not be the one that
// has written it.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }()
	if runtime.GOOS == "windows" {
		return true // FindProcess has opened it
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || os.IsPermission(err)
}
