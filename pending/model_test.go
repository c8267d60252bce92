package pending_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/pending"
)

// modelRequest is what the documentation says of one request, written down plainly.
type modelRequest struct {
	r               *pending.Request
	id              string
	stream, metered bool
	credit          int
	values          []string
	over, inMap     bool
	err             error // of the end; nil for completion
	deadline        time.Time
	idle            time.Duration
}

type model struct {
	t        *testing.T
	rnd      *rand.Rand
	m        pending.Map
	all      []*modelRequest
	inMap    map[string]*modelRequest
	recent   []string
	limit    int
	closed   error
	unknown  uint64
	overruns uint64
	n        int
}

// Random orders of everything that can happen must give what the model says.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				md := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), inMap: map[string]*modelRequest{}}
				for range 400 {
					md.step()
					md.check()
					if t.Failed() {
						t.FailNow()
					}
				}
			})
		})
	}
}

func (md *model) step() {
	r := md.pick()
	switch k := md.rnd.IntN(100); {
	case k < 20 || r == nil:
		md.add()
	case k < 45:
		md.respond(r)
	case k < 52:
		md.end(r, nil)
	case k < 58:
		md.end(r, errRemote)
	case k < 80:
		md.next(r)
	case k < 86:
		r.r.Grant(2)
		r.credit += 2
	case k < 91:
		md.leave(r)
	case k < 95:
		md.drop(r)
	case k < 98:
		<-time.After(time.Duration(md.rnd.IntN(100)) * time.Millisecond)
	case k < 99:
		md.limit = md.rnd.IntN(12)
		md.m.SetLimit(md.limit)
	case md.rnd.IntN(8) == 0:
		md.close()
	}
}

func (md *model) pick() *modelRequest {
	if len(md.all) == 0 {
		return nil
	}
	from := max(0, len(md.all)-8) // the newer ones are the more interesting
	return md.all[from+md.rnd.IntN(len(md.all)-from)]
}

func (md *model) add() {
	md.n++
	x := &modelRequest{id: fmt.Sprint("r", md.rnd.IntN(md.n)), stream: md.rnd.IntN(2) == 0, credit: md.rnd.IntN(4) - 1}
	x.metered = x.stream && x.credit >= 0
	o := pending.Options{Stream: x.stream, Credit: x.credit}
	if md.rnd.IntN(3) == 0 {
		o.Timeout = time.Duration(1+md.rnd.IntN(100)) * time.Millisecond
		x.deadline = time.Now().Add(o.Timeout)
	}
	if md.rnd.IntN(3) == 0 {
		o.IdleTimeout = time.Duration(1+md.rnd.IntN(100)) * time.Millisecond
		if x.stream {
			x.idle = o.IdleTimeout
		}
	}
	var want error
	switch {
	case md.closed != nil:
		want = md.closed
	case md.limit > 0 && len(md.inMap) >= md.limit:
		want = pending.ErrFull
	case md.inMap[x.id] != nil:
		want = pending.ErrDuplicate
	}
	r, err := md.m.Add(x.id, o)
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		md.t.Errorf("Add(%s): %v, want %v", x.id, err, want)
	}
	if err == nil {
		x.r, x.inMap = r, true
		md.all, md.inMap[x.id] = append(md.all, x), x
	}
}

func (md *model) respond(x *modelRequest) {
	value := fmt.Sprint("v", md.rnd.IntN(1000))
	got := md.m.Respond([]byte(x.id), []byte(value))
	want := md.respondWant(md.inMap[x.id], x.id, value)
	if got != want {
		md.t.Errorf("Respond(%s): %d, want %d", x.id, got, want)
	}
}

func (md *model) respondWant(x *modelRequest, id, value string) pending.Outcome {
	if x == nil {
		md.unknown++
		for i, r := range md.recent {
			if r == id {
				md.recent = append(md.recent[:i:i], md.recent[i+1:]...)
				return pending.Surplus
			}
		}
		return pending.Unknown
	}
	if !x.stream {
		md.remove(x)
		md.recent = append(md.recent, id)
		md.recent = md.recent[max(0, len(md.recent)-16):]
	}
	if x.stream && !x.over && !x.deadline.IsZero() && !time.Now().Before(x.deadline) {
		x.over, x.err = true, pending.ErrTimeout
	}
	switch {
	case x.over:
		md.unknown++
		return pending.Unknown
	case x.metered && x.credit <= 0:
		md.overruns++
		x.over, x.err = true, pending.ErrOverrun
		return pending.Overrun
	}
	if x.metered {
		x.credit--
	}
	x.values = append(x.values, value)
	x.over = !x.stream
	return pending.Delivered
}

func (md *model) end(x *modelRequest, err error) {
	var got pending.Outcome
	if err == nil {
		got = md.m.Complete([]byte(x.id))
	} else {
		got = md.m.Fail([]byte(x.id), err)
	}
	want := pending.Unknown
	switch x := md.inMap[x.id]; {
	case x == nil:
		md.unknown++
	case x.over:
		md.remove(x)
		md.unknown++
	default:
		md.remove(x)
		want = pending.Delivered
		if err == nil && !x.stream {
			x.values = append(x.values, "")
		}
		x.over, x.err = true, err
	}
	if got != want {
		md.t.Errorf("end of %s: %d, want %d", x.id, got, want)
	}
}

func (md *model) remove(x *modelRequest) {
	if md.inMap[x.id] == x {
		delete(md.inMap, x.id)
	}
	x.inMap = false
}

func (md *model) leave(x *modelRequest) {
	if got := x.r.Leave(); got != x.inMap {
		md.t.Errorf("Leave(%s): %v, want %v", x.id, got, x.inMap)
	}
	md.leaveState(x)
}

func (md *model) drop(x *modelRequest) {
	x.r.Drop()
	md.leaveState(x)
	md.remove(x)
}

func (md *model) leaveState(x *modelRequest) {
	x.over, x.values = true, nil
	if x.err == nil {
		x.err = pending.ErrClosed
	}
}

func (md *model) close() {
	cause := errors.New("closed")
	md.m.Close(cause)
	if md.closed == nil {
		md.closed = cause
		for _, x := range md.inMap {
			if !x.over {
				x.over, x.err = true, cause
			}
			md.remove(x)
		}
	}
}
