//go:build unix && !linux

package celeriac

import "syscall"

func redirect(to, descriptor int) error {
	return syscall.Dup2(to, descriptor)
}
