//go:build unix

package transport

import "syscall"

// tryWrite writes what the system takes at once. It is for the one whose turn it
// is to write.
func (p *poller) tryWrite(out []byte) (n int, err error) {
	p.out, p.wrote, p.writeErr = out, 0, nil
	err = p.raw.Write(p.writeFn)
	if err == nil {
		err = p.writeErr
	}
	p.out = nil
	return p.wrote, err
}

func (p *poller) writeOnce(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), p.out)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		case nil:
			p.wrote = n
		default:
			p.writeErr = writeError(err)
		}
		return true // whatever came of it, nobody waits
	}
}
