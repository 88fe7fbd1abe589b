package command

import "syscall"

// ownGroup starts a command as the head of a process group, which ends with
// this program even where that is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
