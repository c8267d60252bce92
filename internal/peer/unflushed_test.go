package peer

import (
	"errors"
	"testing"

	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// endless is a connection on which the next message has always arrived.
type endless struct {
	transport.Conn
	reads, tries int
}

var errReads = errors.New("enough was read")

func (c *endless) TryRead() ([]byte, bool, error) {
	if c.tries++; c.tries > 10*maxGathered {
		return nil, false, errReads
	}
	return []byte("{}"), true, nil
}

func (c *endless) Read() ([]byte, error) { c.reads++; return []byte("{}"), nil }

// A reader that always finds another message writes what it passed on all the same.
func TestOutboxIsWrittenUnderLoad(t *testing.T) {
	var o unflushed
	to, told := session.New(session.Options{}), &counting{}
	if err := to.Attach(told); err != nil {
		t.Fatal(err)
	}
	b := session.NewBuffer(0)
	b.B = append(b.B, "{}"...)
	if _, _, ready := to.TryAppend(session.Request, b, nil); !ready {
		t.Fatal("not ready")
	}
	o.add(to)
	conn := &endless{}
	for conn.reads == 0 {
		if _, err := o.read(conn); err != nil {
			t.Fatal(err)
		}
	}
	if n := told.frames(); n != 1 {
		t.Errorf("%d frames were written", n)
	}
	to.End(nil)
	to.Wait()
}
