//go:build !linux

package command

import "syscall"

// ownGroup starts a command as the head of a process group.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
