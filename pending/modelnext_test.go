package pending_test

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/alkdev/hubspoke/pending"
)

// next waits with a bound that never falls together with a deadline.
func (md *model) next(x *modelRequest) {
	wait := time.Duration(md.rnd.IntN(50))*time.Millisecond + 1
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	value, want := md.nextWant(x, wait)
	got, err := x.r.Next(ctx)
	if string(got) != value || !errors.Is(err, want) || (err == nil) != (want == nil) {
		md.t.Errorf("Next(%s) = %q, %v; want %q, %v", x.id, got, err, value, want)
	}
}

func (md *model) nextWant(x *modelRequest, wait time.Duration) (string, error) {
	if len(x.values) > 0 {
		v := x.values[0]
		x.values = x.values[1:]
		return v, nil
	}
	if x.over {
		if x.err == nil {
			return "", io.EOF
		}
		return "", x.err
	}
	first := wait
	end := context.DeadlineExceeded
	if x.idle > 0 && x.idle < first {
		first, end = x.idle, pending.ErrIdleTimeout
	}
	if !x.deadline.IsZero() {
		if d := max(0, time.Until(x.deadline)); d <= first {
			end = pending.ErrTimeout
		}
	}
	if !errors.Is(end, context.DeadlineExceeded) {
		x.over, x.err = true, end
	}
	return "", end
}

func (md *model) check() {
	want := pending.Stats{InFlight: len(md.inMap), Unknown: md.unknown, Overruns: md.overruns}
	if got := md.m.Stats(); got != want || md.m.Len() != want.InFlight {
		md.t.Errorf("stats %+v, want %+v", got, want)
	}
	full := md.closed != nil || md.limit > 0 && len(md.inMap) >= md.limit
	if got := md.m.Full(); got != full {
		md.t.Errorf("full %v, want %v", got, full)
	}
	select {
	case <-md.m.Empty():
		if len(md.inMap) > 0 {
			md.t.Error("empty, but it is not")
		}
	default:
		if len(md.inMap) == 0 {
			md.t.Error("not empty, but it is")
		}
	}
}
