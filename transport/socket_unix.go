//go:build unix

package transport

import (
	"net"
	"os"
	"syscall"
)

// socket reads from a socket of the system without a buffer while it waits, and writes to it without
// waiting.
type socket struct {
	raw syscall.RawConn

	// The reader's.
	readable func(fd uintptr) bool // tryRead, made once
	size     int
	buffer   *[]byte
	read     int
	readErr  error

	// The writer's.
	writable func(fd uintptr) bool // tryWrite, made once when it is needed
	out      []byte
	wrote    int
	writeErr error
}

// newSocket returns nil if conn has no file descriptor: TLS, a connection in memory, and a program's own
// net.Conn around a socket, which must not be bypassed.
func newSocket(conn net.Conn) *socket {
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
	s := &socket{raw: raw}
	s.readable = s.tryRead
	return s
}

// readBuffer waits for bytes, gets a buffer of the size once there are some, and reads them into it. The
// caller owns the buffer. No bytes and no error is the end of the stream.
func (s *socket) readBuffer(size int) (buffer *[]byte, n int, err error) {
	s.size, s.buffer, s.read, s.readErr = size, nil, 0, nil
	err = s.raw.Read(s.readable)
	if err == nil {
		err = s.readErr
	}
	buffer = s.buffer
	s.buffer = nil
	return buffer, s.read, err
}

// tryRead is called by the runtime when the socket may be readable, and returns false if it was not.
func (s *socket) tryRead(fd uintptr) bool {
	s.buffer = getBuffer(s.size)
	for {
		n, err := syscall.Read(int(fd), (*s.buffer)[:s.size])
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			putBuffer(s.buffer)
			s.buffer = nil
			return false
		case nil:
			s.read = n
		default:
			s.readErr = os.NewSyscallError("read", err)
		}
		return true
	}
}

// write writes what the system accepts without waiting.
func (s *socket) write(p []byte) (n int, err error) {
	if s.writable == nil {
		s.writable = s.tryWrite
	}
	s.out, s.wrote, s.writeErr = p, 0, nil
	err = s.raw.Write(s.writable)
	if err == nil {
		err = s.writeErr
	}
	s.out = nil
	return s.wrote, err
}

func (s *socket) tryWrite(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), s.out)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		case nil:
			s.wrote = n
		default:
			s.writeErr = os.NewSyscallError("write", err)
		}
		return true // in any case: do not wait
	}
}
