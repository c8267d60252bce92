//go:build unix

package transport

import (
	"net"
	"os"
	"syscall"
)

// poller reads from a socket without holding a buffer while it waits: the
// runtime calls try when the socket may be readable, and only then is a
// buffer borrowed. It is the reader's alone.
type poller struct {
	raw syscall.RawConn
	fn  func(fd uintptr) bool // try, made once

	into   []byte  // where to read; nil: borrow
	buffer *[]byte // what was borrowed
	n      int
	err    error

	writer *pollWriter // of who writes; made when it is needed
}

// newPoller returns nil if conn has no file descriptor to read from: TLS, a
// connection in memory; and for what a program has put around a socket, which would be passed by.
func newPoller(conn net.Conn) *poller {
	var sys syscall.Conn
	switch c := conn.(type) {
	case *net.TCPConn:
		sys = c
	case *net.UnixConn:
		sys = c
	default:
		return nil
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return nil
	}
	p := &poller{raw: raw}
	p.fn = p.try
	return p
}

// read waits for bytes and reads them into the buffer given or, if that is nil,
// into one that it borrows and that is the caller's then. No bytes and no error is the end
// of the stream.
func (p *poller) read(into []byte) (buffer *[]byte, n int, err error) {
	p.into, p.buffer, p.n, p.err = into, nil, 0, nil
	err = p.raw.Read(p.fn)
	if err == nil {
		err = p.err
	}
	buffer, n = p.buffer, p.n
	p.into, p.buffer = nil, nil
	return buffer, n, err
}

func (p *poller) try(fd uintptr) bool {
	into := p.into
	if into == nil {
		p.buffer = borrow(readBytes)
		into = (*p.buffer)[:readBytes]
	}
	for {
		n, err := syscall.Read(int(fd), into)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			giveBack(p.buffer)
			p.buffer = nil
			return false
		case nil:
			p.n = n
		default:
			p.err = os.NewSyscallError("read", err)
		}
		return true
	}
}
