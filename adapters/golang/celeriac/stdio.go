package celeriac

import (
	"os"
	"syscall"
)

// takeStdio answers the process' standard input and output under descriptors of their own, which no child inherits.
// Descriptor 0 is empty from then on, and descriptor 1 is standard error.
func takeStdio() (in, out *os.File, err error) {
	if in, err = private(os.Stdin); err != nil {
		return nil, nil, err
	}
	if out, err = private(os.Stdout); err != nil {
		return nil, nil, err
	}
	empty, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, err
	}
	defer empty.Close()
	if err = redirect(int(empty.Fd()), syscall.Stdin); err != nil {
		return nil, nil, err
	}
	return in, out, redirect(syscall.Stderr, syscall.Stdout)
}

func private(file *os.File) (*os.File, error) {
	syscall.ForkLock.RLock() // no child is made between the two calls
	defer syscall.ForkLock.RUnlock()
	descriptor, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(descriptor)
	return os.NewFile(uintptr(descriptor), file.Name()), nil
}
