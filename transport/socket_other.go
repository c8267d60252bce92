//go:build !unix

package transport

import "net"

// socket exists on unix only. Elsewhere a connection holds its buffer while it waits, and writes wait.
type socket struct{}

func newSocket(net.Conn) *socket { return nil }

func (*socket) readBuffer(int) (*[]byte, int, error) { panic("transport: no socket on this system") }

func (*socket) write([]byte) (int, error) { panic("transport: no socket on this system") }
