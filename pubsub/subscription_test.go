package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

var numbers = NewTopic[int]("numbers")

func subscribe(ctx context.Context, t *testing.T, target EventTarget, opts ...SubscribeOption) *Subscription[int] {
	t.Helper()
	sub, err := numbers.Subscribe(ctx, target, "", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Stop)
	return sub
}

func publish(t *testing.T, target EventTarget, values ...int) {
	t.Helper()
	for _, v := range values {
		if err := numbers.Publish(t.Context(), target, "", v); err != nil {
			t.Fatal(err)
		}
	}
}

// story reads what is there, gaps included, until the subscription would wait.
type story struct {
	*Subscription[int]
	told []string
}

func newStory(t *testing.T, target EventTarget, opts ...SubscribeOption) *story {
	s := new(story)
	opts = append(opts, OnGap(func(dropped int) { s.told = append(s.told, fmt.Sprintf("-%d", dropped)) }))
	s.Subscription = subscribe(t.Context(), t, target, opts...)
	return s
}

// read must be called in a bubble: its time-out comes when nothing else can.
func (s *story) read(t *testing.T) []string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for {
		v, err := s.Next(ctx)
		if err != nil {
			told := s.told
			s.told = nil
			return told
		}
		s.told = append(s.told, fmt.Sprint(v))
	}
}

func TestSubscriptionPolicies(t *testing.T) {
	for _, test := range []struct {
		policy  Policy
		want    []string
		err     error
		dropped uint64
		gaps    uint64
	}{
		{DropOldest, []string{"-2", "3", "4", "5"}, nil, 2, 1},
		{DropNewest, []string{"1", "2", "3", "-2"}, nil, 2, 1},
		{EndSubscription, []string{"1", "2", "3"}, ErrSlowConsumer, 1, 0},
	} {
		t.Run(test.policy.String(), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var local Local
				s := newStory(t, &local, Buffer(3), OnFull(test.policy))
				publish(t, &local, 1, 2, 3, 4, 5)
				if err := s.Err(); !errors.Is(err, test.err) {
					t.Errorf("Err %v, want %v", err, test.err)
				}
				if got := s.read(t); !slices.Equal(got, test.want) {
					t.Errorf("read %q, want %q", got, test.want)
				}
				if d, g := s.Dropped(), s.Gaps(); d != test.dropped || g != test.gaps {
					t.Errorf("dropped %d, gaps %d; want %d, %d", d, g, test.dropped, test.gaps)
				}
				publish(t, &local, 6)
				want := []string{"6"}
				if test.err != nil {
					want = nil
					if local.topics != nil {
						t.Error("a subscription that ended still listens")
					}
				}
				if got := s.read(t); !slices.Equal(got, want) {
					t.Errorf("then read %q, want %q", got, want)
				}
			})
		})
	}
}

func TestSubscriptionBufferBytes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var local Local
		s := newStory(t, &local, BufferBytes(4))
		publish(t, &local, 11, 22, 3)
		if got := s.read(t); !slices.Equal(got, []string{"-1", "22", "3"}) {
			t.Errorf("read %q", got)
		}
		publish(t, &local, 1, 2, 1234567) // larger than the budget, and alone then
		if got := s.read(t); !slices.Equal(got, []string{"-2", "1234567"}) {
			t.Errorf("read %q", got)
		}
	})
}

// Gaps of the target and of the buffer are told in their place, and those next
// to each other are one.
func TestSubscriptionGaps(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var local Local
		s := newStory(t, &local, Buffer(2))
		lose := func(n int) {
			if err := local.Dispatch(t.Context(), Event{Topic: "numbers", Gap: true, Dropped: n}); err != nil {
				t.Fatal(err)
			}
		}
		publish(t, &local, 1)
		lose(5)
		publish(t, &local, 2)
		lose(0)
		if got := s.read(t); !slices.Equal(got, []string{"1", "-5", "2", "-0"}) {
			t.Errorf("read %q", got)
		}
		publish(t, &local, 1)
		lose(5)
		publish(t, &local, 2, 3)
		lose(2)
		lose(3)
		if got := s.read(t); !slices.Equal(got, []string{"-6", "2", "3", "-5"}) {
			t.Errorf("read %q", got)
		}
		lose(0)
		lose(3)
		if got := s.read(t); !slices.Equal(got, []string{"-0"}) {
			t.Errorf("read %q, want one gap of unknown size", got)
		}
		if d, g := s.Dropped(), s.Gaps(); d != 5+5+2+3+1+3 || g != 5 {
			t.Errorf("dropped %d, gaps %d", d, g)
		}
	})
}

// Stop in OnGap keeps back the event behind the gap.
func TestSubscriptionStopInOnGap(t *testing.T) {
	var local Local
	var sub *Subscription[int]
	sub = subscribe(t.Context(), t, &local, Buffer(1), OnGap(func(int) { sub.Stop() }))
	publish(t, &local, 1, 2)
	for v, err := range sub.All() {
		t.Errorf("got %d, %v after Stop", v, err)
	}
	if err := sub.Err(); err != nil {
		t.Errorf("Err: %v", err)
	}
}

func TestSubscriptionStop(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var local Local
		sub := subscribe(t.Context(), t, &local)
		var reading sync.WaitGroup
		for range 3 {
			reading.Go(func() {
				for v, err := range sub.All() {
					t.Errorf("got %d, %v", v, err)
				}
			})
		}
		synctest.Wait() // all three wait
		sub.Stop()
		sub.Stop()
		reading.Wait()
		publish(t, &local, 1)
		if _, err := sub.Next(t.Context()); !errors.Is(err, ErrClosed) || sub.Err() != nil {
			t.Errorf("Next: %v, Err: %v", err, sub.Err())
		}
		if local.topics != nil || local.hooks != nil {
			t.Error("the target still knows the subscription")
		}
	})
}

// Leaving a loop ends the subscription, however it is left.
func TestSubscriptionLoopIsLeft(t *testing.T) {
	for name, leave := range map[string]func(*Subscription[int]){
		"break": func(sub *Subscription[int]) {
			for range sub.All() {
				break
			}
		},
		"return through an operator": func(sub *Subscription[int]) {
			for range Map(Filter(Take(sub.All(), 1), func(int) bool { return true }), strconv.Itoa) {
				return
			}
		},
		"the last of Take": func(sub *Subscription[int]) {
			for range Take(sub.All(), 1) {
			}
		},
		"panic": func(sub *Subscription[int]) {
			defer func() { _ = recover() }()
			for range sub.All() {
				panic("of the body")
			}
		},
		"Goexit": func(sub *Subscription[int]) {
			var left sync.WaitGroup
			left.Go(func() {
				for range sub.All() {
					runtime.Goexit()
				}
			})
			left.Wait()
		},
		"a pull iterator": func(sub *Subscription[int]) {
			next, stop := iter.Pull2(sub.All())
			if v, err, ok := next(); v != 1 || err != nil || !ok {
				panic(fmt.Sprint(v, err, ok))
			}
			stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				var local Local
				sub := subscribe(t.Context(), t, &local)
				publish(t, &local, 1, 2, 3, 4)
				leave(sub)
				if local.topics != nil || local.hooks != nil {
					t.Error("the target still knows the subscription")
				}
				if err := sub.Err(); err != nil {
					t.Errorf("Err: %v", err)
				}
				if got := collect(sub.All()); got != "[]" {
					t.Errorf("a second loop got %s", got)
				}
				if _, err := sub.Next(t.Context()); !errors.Is(err, ErrClosed) {
					t.Errorf("Next: %v", err)
				}
			})
		})
	}
}

func TestSubscriptionContextEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var local Local
		cause := errors.New("cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		sub := subscribe(ctx, t, &local)
		publish(t, &local, 1, 2)
		var got []int
		var last error
		for v, err := range sub.All() {
			if last = err; err == nil {
				got = append(got, v)
			}
			cancel(cause) // and the second is dropped
		}
		if !slices.Equal(got, []int{1}) || !errors.Is(last, cause) || !errors.Is(sub.Err(), cause) {
			t.Errorf("got %d and %v, Err %v", got, last, sub.Err())
		}
		synctest.Wait()
		if local.topics != nil || local.hooks != nil {
			t.Error("the target still knows the subscription")
		}
		if _, err := numbers.Subscribe(ctx, &local, ""); !errors.Is(err, cause) {
			t.Errorf("Subscribe with an ended context: %v", err)
		}
	})
}

// The context of Next bounds that call and loses no event.
func TestSubscriptionNextContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var local Local
		sub := subscribe(t.Context(), t, &local)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := sub.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next: %v", err)
		}
		publish(t, &local, 1)
		if _, err := sub.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next with an ended context: %v", err)
		}
		if v, err := sub.Next(t.Context()); v != 1 || err != nil {
			t.Errorf("Next: %d, %v", v, err)
		}
	})
}

// When the target closes, what is buffered can be read, then it ends.
func TestSubscriptionTargetCloses(t *testing.T) {
	var local Local
	sub := subscribe(t.Context(), t, &local)
	publish(t, &local, 1, 2)
	local.Close()
	for _, want := range []string{"[1 2 pubsub: closed]", "[pubsub: closed]"} {
		if got := collect(sub.All()); got != want || !errors.Is(sub.Err(), ErrClosed) {
			t.Errorf("got %s, want %s; Err %v", got, want, sub.Err())
		}
	}
	if _, err := numbers.Subscribe(t.Context(), &local, ""); !errors.Is(err, ErrClosed) {
		t.Errorf("Subscribe: %v", err)
	}
}

// An event that cannot be decoded is an error in its place, which ends nothing.
func TestSubscriptionInvalid(t *testing.T) {
	var local Local
	next, all := subscribe(t.Context(), t, &local), subscribe(t.Context(), t, &local)
	for _, payload := range []string{`1`, `"one"`, `{}`, ``, `1.5`, `7`} {
		if err := local.Dispatch(t.Context(), Event{Topic: "numbers", Payload: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
	}
	wrong := func(err error) bool {
		_, decoding := errors.AsType[*json.UnmarshalTypeError](err)
		return errors.Is(err, ErrDecode) && decoding && strings.Contains(err.Error(), `"numbers"`)
	}
	for i, want := range []int{1, -1, -1, 0, -1, 7} {
		if v, err := next.Next(t.Context()); want >= 0 && (err != nil || v != want) || want < 0 && (!wrong(err) || v != 0) {
			t.Errorf("event %d: got %d, %v, want %d", i, v, err, want)
		}
	}
	var values []int
	failed := 0
	for v, err := range Take(all.All(), 3) {
		switch {
		case err == nil:
			values = append(values, v)
		case wrong(err):
			failed++
		default:
			t.Error(err)
		}
	}
	if !slices.Equal(values, []int{1, 0, 7}) || failed != 3 || all.Invalid() != 3 || next.Invalid() != 3 || next.Err() != nil {
		t.Errorf("All yields %v and %d errors, with %d invalid; Err %v", values, failed, all.Invalid(), next.Err())
	}
}

// A loop that does not look at what an error is ends with the subscription, whose reason may itself be one of decoding.
func TestSubscriptionEndsWithAnErrorOfDecoding(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var local Local
	sub := subscribe(ctx, t, &local)
	cancel(ErrDecode)
	n := 0
	for range sub.All() {
		n++
	}
	if n != 1 || sub.Invalid() != 0 {
		t.Errorf("%d elements, %d invalid", n, sub.Invalid())
	}
}
