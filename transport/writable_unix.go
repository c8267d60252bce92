//go:build unix

package transport

import "syscall"

// pollWriter is a write in one try.
type pollWriter struct {
	fn    func(fd uintptr) bool // once, made once
	out   []byte
	wrote int
	err   error
}

// tryWrite writes what the system takes at once. It is for the one whose turn it
// is to write.
func (p *poller) tryWrite(out []byte) (n int, err error) {
	w := p.writer
	if w == nil {
		w = &pollWriter{}
		w.fn = w.once
		p.writer = w
	}
	w.out, w.wrote, w.err = out, 0, nil
	err = p.raw.Write(w.fn)
	if err == nil {
		err = w.err
	}
	w.out = nil
	return w.wrote, err
}

func (w *pollWriter) once(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.out)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		case nil:
			w.wrote = n
		default:
			w.err = writeError(err)
		}
		return true // whatever came of it, nobody waits
	}
}
