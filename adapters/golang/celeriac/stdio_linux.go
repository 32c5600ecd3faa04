package celeriac

import "syscall"

// redirect lets one descriptor be what another one is; not every processor has dup2 on Linux.
func redirect(to, descriptor int) error {
	return syscall.Dup3(to, descriptor, 0)
}
