//go:build !unix

package transport

import "net"

// poller exists on unix only; elsewhere a buffer is held while waiting.
type poller struct{}

func newPoller(net.Conn) *poller { return nil }

func (*poller) read([]byte) (*[]byte, int, error) { panic("transport: no poller on this system") }

func (*poller) tryWrite([]byte) (int, error) { panic("transport: no poller on this system") }
