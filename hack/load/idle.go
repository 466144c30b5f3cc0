//go:build unix

package main

import "syscall"

// usable reports whether a connection on which nothing is under way can take a request: whether the server has neither closed it nor
// sent anything. It looks at what has arrived, and waits for nothing.
func (c *connection) usable() bool {
	if c.answers.Buffered() > 0 {
		return false
	}
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// An end of stream is no error: 0 bytes without one. So is an answer that nobody asked for.
		quiet = err == syscall.EAGAIN || err == syscall.EINTR
	})
	return err == nil && quiet
}
