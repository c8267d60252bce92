package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alkdev/hubspoke/internal/bubble"
)

// A frame that no caller waits for is dropped, or replaced under its number if the other side lacks it, and not if it has it.
func TestAbandon(t *testing.T) {
	const skip = "skip"
	frames := []string{"before", "a answer 1", "b answer", "a answer 2", "a end", "behind"}
	for name, c := range map[string]struct {
		when     string // queued, written, detached, acknowledged
		open     bool   // without a terminal frame
		received uint64
		want     []string // on the next connection
	}{
		"queued":             {"queued", false, 0, []string{"before", "b answer", "a end aborted", "behind"}},
		"queued, open":       {"queued", true, 0, []string{"before", "b answer", "behind"}},
		"written, lacking":   {"written", false, 1, []string{skip, "b answer", skip, "a end aborted", "behind"}},
		"written, open":      {"written", true, 1, []string{skip, "b answer", skip, "behind"}},
		"written, some":      {"written", false, 3, []string{skip, "a end aborted", "behind"}},
		"written, received":  {"written", false, 5, []string{"behind"}},
		"detached":           {"detached", false, 0, []string{"before", skip, "b answer", skip, "a end aborted", "behind"}},
		"detached, received": {"detached", false, 6, nil},
		"acknowledged":       {"acknowledged", false, 6, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s, conn := attached(t, Options{Resumable: true})
				release := func() {}
				if c.when == "queued" {
					release = conn.hold()
					mustSend(t, s, "held")
					synctest.Wait()
				}
				sent := slices.DeleteFunc(slices.Clone(frames), func(f string) bool { return c.open && f == "a end" })
				for _, text := range sent {
					mustSend(t, s, text)
				}
				synctest.Wait()
				switch c.when {
				case "detached":
					s.Detach(conn)
				case "acknowledged":
					if err := s.Ack(6); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 { // the second time there is nothing more to do
					s.Abandon(quoted("a"), c.open)
				}
				if s.Abandon(quoted("c"), c.open) {
					t.Error("found what is not there")
				}
				release()
				synctest.Wait()
				if c.when == "queued" {
					conn.want(t, append([]string{"held"}, c.want...)...)
					if err := s.Ack(1); err != nil {
						t.Fatal(err)
					}
					c.received++
				} else {
					conn.want(t, sent...)
				}
				s.Detach(conn)
				next := &fakeConn{}
				if err := s.Resume(next, c.received); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				next.want(t, c.want...)
				if err := s.Ack(s.queue.numbered); err != nil {
					t.Fatal(err)
				}
				if n := s.QueuedBytes(); n != 0 || s.index.last != nil {
					t.Errorf("%d bytes are left, an index of %d", n, len(s.index.last))
				}
			})
		})
	}
}

// The response of a unary request is its terminal frame.
func TestAbandonUnary(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, conn := attached(t, Options{Resumable: true})
		mustSend(t, s, "a answer")
		synctest.Wait()
		if !s.Abandon(quoted("a"), false) {
			t.Error("not found")
		}
		s.Detach(conn)
		next := &fakeConn{}
		if err := s.Resume(next, 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		next.want(t, "a end aborted")
	})
}

// What is dropped makes room for what waits.
func TestAbandonMakesRoom(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, _, release := stuck(t, Options{LimitBytes: 260})
		mustSend(t, s, "a answer "+strings.Repeat("x", 150))
		sent := make(chan error, 1)
		go func() {
			_, err := s.Append(t.Context(), Response, frame("b answer "+strings.Repeat("x", 100)), 0, nil)
			sent <- err
		}()
		synctest.Wait()
		if len(sent) != 0 {
			t.Fatal("there was room")
		}
		s.Abandon(quoted("a"), true)
		synctest.Wait()
		if len(sent) != 1 || <-sent != nil {
			t.Error("there is no room")
		}
		release()
	})
}

// indexed returns how many entries the index has.
func indexed(s *Session) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.index.last)
}

// However many requests are aborted, the index covers the queue and no more.
func TestAbandonIndex(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, _ := attached(t, Options{Resumable: true})
		const n = 5000
		for i := range n {
			mustSend(t, s, fmt.Sprintf("%d answer", i%1000))
			if i%2 == 0 {
				s.Abandon(quoted("none"), false)
			}
		}
		for i := range n {
			s.Abandon(quoted(fmt.Sprint(i%1000)), true)
		}
		if k := indexed(s); k > 2*n+64 {
			t.Errorf("the index has %d entries", k)
		}
		synctest.Wait()
		const kept = 20
		before := s.queue.numbered
		for i := range n {
			mustSend(t, s, fmt.Sprintf("%d answer", i))
			synctest.Wait()
			if i >= kept {
				if err := s.Ack(before + uint64(i+1-kept)); err != nil {
					t.Fatal(err)
				}
			}
			s.Abandon(quoted("none"), false)
			if k := indexed(s); k > 2*kept+64 {
				t.Fatalf("the index has %d entries for %d frames", k, kept)
			}
		}
	})
}

// In any order of responses, aborts, losses and acknowledgements: counts agree, every frame that was not abandoned arrives once and in
// order, every request that ended has one terminal frame, and a frame that was abandoned arrives only on the connection it was first
// written to.
func TestAbandonAtRandom(t *testing.T) {
	for seed := range uint64(100) {
		bubble.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 11))
			s, conn := attached(t, Options{Resumable: true})
			var got, posted []string // of all connections; __skip included
			gone := map[string]bool{}
			ended := map[int]bool{}
			taken := 0
			take := func(all bool) {
				synctest.Wait()
				frames := conn.written()[taken:]
				if !all {
					frames = frames[:rnd.IntN(len(frames)+1)]
				}
				taken += len(frames)
				got = append(got, frames...)
			}
			for step := range 200 {
				s.mu.Lock()
				wrong := miscounted(&s.queue)
				s.mu.Unlock()
				if wrong != "" {
					t.Fatalf("seed %d: %s", seed, wrong)
				}
				id := rnd.IntN(6)
				switch k := rnd.IntN(12); {
				case k < 6:
					what := "answer"
					if ended[id] {
						continue
					}
					if rnd.IntN(8) == 0 {
						what, ended[id] = "end", true
					}
					text := fmt.Sprintf("%d %s %d", id, what, step)
					mustSend(t, s, text)
					posted = append(posted, text)
				case k < 8:
					s.Abandon(quoted(fmt.Sprint(id)), !ended[id])
					for _, f := range posted {
						if strings.HasPrefix(f, fmt.Sprint(id, " ")) {
							gone[f] = true
						}
					}
				case k < 10:
					take(rnd.IntN(2) == 0)
				case k < 11:
					take(false)
					if err := s.Ack(uint64(rnd.IntN(len(got) + 1))); err != nil {
						t.Fatal(err)
					}
				default:
					take(false)
					s.Detach(conn)
					conn, taken = &fakeConn{}, 0
					if err := s.Resume(conn, uint64(len(got))); err != nil {
						t.Fatal(err)
					}
				}
			}
			take(true)
			if err := s.Ack(uint64(len(got))); err != nil {
				t.Fatal(err)
			}
			if n := s.QueuedBytes(); n != 0 || s.queue.numbered != uint64(len(got)) {
				t.Fatalf("seed %d: %d bytes are left, %d numbers for %d frames", seed, n, s.queue.numbered, len(got))
			}
			next := 0
			for _, f := range got {
				if id, aborted := strings.CutSuffix(f, " end aborted"); aborted {
					f = id + " end"
				} else if f == "skip" {
					continue
				}
				i := slices.IndexFunc(posted[next:], func(p string) bool { return strings.HasPrefix(p, f) })
				if i < 0 {
					t.Fatalf("seed %d: %q arrived twice or out of order", seed, f)
				}
				for _, p := range posted[next : next+i] {
					if !gone[p] || strings.Contains(p, " end ") {
						t.Fatalf("seed %d: %q did not arrive", seed, p)
					}
				}
				next += i + 1
			}
			for _, p := range posted[next:] {
				if !gone[p] || strings.Contains(p, " end ") {
					t.Fatalf("seed %d: %q did not arrive", seed, p)
				}
			}
		})
	}
}
