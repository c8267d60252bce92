package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// history is what a test did to a session and what must therefore be on the wire.
type history struct {
	t         *testing.T
	s         *Session
	c         *fakeConn
	rnd       *rand.Rand
	release   func()
	calls     []string // in order of their positions
	positions []Position
	withdrawn map[Position]bool
	posted    map[string]int // events by topic
}

// In every order of sends, events, withdrawals and slow writes: what was not taken back arrives, in
// order; what was taken back never does; every event arrives or is in a gap at its place.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 3))
				s, c := attached(t, Options{LimitBytes: 4000, EventBytes: 200 + rnd.IntN(800)})
				h := &history{t: t, s: s, c: c, rnd: rnd, release: func() {},
					withdrawn: map[Position]bool{}, posted: map[string]int{}}
				for range 300 {
					h.step()
				}
				h.release()
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				h.check()
			})
		})
	}
}

func (h *history) step() {
	defer func() {
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		if wrong := miscounted(&h.s.queue); wrong != "" {
			h.t.Error(wrong)
		}
	}()
	switch k := h.rnd.IntN(20); {
	case k < 6:
		h.send()
	case k < 13:
		topic := string(rune('a' + h.rnd.IntN(3)))
		appendEvent(h.s, topic, frame(fmt.Sprintf("event %s %d %s", topic, h.posted[topic], strings.Repeat("e", h.rnd.IntN(60)))))
		h.posted[topic]++
	case k < 15 && len(h.positions) > 0:
		p := h.positions[max(0, len(h.positions)-1-h.rnd.IntN(6))]
		written := h.s.Written(p)
		if ok := h.s.Withdraw(p); ok {
			if written || h.withdrawn[p] {
				h.t.Errorf("%d withdrawn, but written %v or withdrawn %v", p, written, h.withdrawn[p])
			}
			h.withdrawn[p] = true
		} else if !h.s.Written(p) && !h.withdrawn[p] {
			h.t.Errorf("%d not written and not withdrawn", p)
		}
	case k < 17:
		h.release()
		h.release = func() {}
	case k < 19:
		next := h.c.hold()
		h.release()
		h.release = next
	default:
		synctest.Wait()
	}
}

func (h *history) send() {
	text := fmt.Sprintf("call %d %s", len(h.calls), strings.Repeat("c", h.rnd.IntN(200)))
	if h.rnd.IntN(4) == 0 {
		if err := h.s.AppendControl(Control, frame(text)); err != nil {
			h.t.Errorf("AppendControl: %v", err)
		}
		h.calls = append(h.calls, text) // its position is not known
		return
	}
	p, err := h.s.Append(h.t.Context(), Response, frame(text), time.Millisecond, nil)
	if errors.Is(err, ErrNoRoom) {
		if n := h.s.QueuedBytes(); n == 0 || n+len(text) <= 4000 {
			h.t.Errorf("no room for %d bytes behind %d", len(text), n)
		}
		return
	}
	if err != nil {
		h.t.Errorf("Append: %v", err)
		return
	}
	h.positions = append(h.positions, p)
	h.calls = append(h.calls, fmt.Sprint(p, "\x00", text))
}

func (h *history) check() {
	next := map[string]int{}
	var calls []string
	for _, f := range h.c.written() {
		var topic string
		var n int
		switch {
		case strings.HasPrefix(f, "call "):
			calls = append(calls, f)
		case strings.HasPrefix(f, "event "):
			fmt.Sscanf(f, "event %s %d", &topic, &n)
			if n != next[topic] {
				h.t.Errorf("event %d of %s where %d is due", n, topic, next[topic])
			}
			next[topic] = n + 1
		default:
			fmt.Sscanf(f, "gap %s %d", &topic, &n)
			next[topic] += n
		}
	}
	for topic, n := range h.posted {
		if next[topic] != n {
			h.t.Errorf("%d of %d events of %s are accounted for", next[topic], n, topic)
		}
	}
	var want []string
	for _, text := range h.calls {
		pos, call, known := strings.Cut(text, "\x00")
		var p Position
		if fmt.Sscan(pos, &p); known && h.withdrawn[p] {
			continue
		} else if !known {
			call = text
		}
		want = append(want, call)
	}
	if strings.Join(calls, "\n") != strings.Join(want, "\n") {
		h.t.Errorf("%d calls written, want %d, or in another order", len(calls), len(want))
	}
	if n := h.s.QueuedBytes(); n != 0 || h.c.spoiled {
		h.t.Errorf("%d bytes are left, spoiled %v", n, h.c.spoiled)
	}
}
