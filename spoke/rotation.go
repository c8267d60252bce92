package spoke

import "time"

// rotation is the order in which the hubs' URLs are dialed, and how long each of them asks to be left
// alone. It belongs to the goroutine of Run.
type rotation struct {
	urls []string
	turn int
	busy map[string]time.Time // by URL, until when its hub asked not to be dialed
}

func (r *rotation) url() string { return r.urls[r.turn] }

func (r *rotation) advance() { r.turn = (r.turn + 1) % len(r.urls) }

// hold notes that the hub at url asked not to be dialed for d.
func (r *rotation) hold(url string, d time.Duration) {
	if r.busy == nil {
		r.busy = make(map[string]time.Time)
	}
	r.busy[url] = time.Now().Add(d)
}

// settle chooses the URL for the next dial, which is due after delay, and returns the delay until it
// may be made: it passes over URLs whose hubs ask for more than delay and more than patience, as long as there is
// another; if there is none, it takes the one that is free first.
func (r *rotation) settle(delay, patience time.Duration) time.Duration {
	first, least := r.turn, time.Duration(-1)
	for i := range r.urls {
		n := (r.turn + i) % len(r.urls)
		wait := time.Until(r.busy[r.urls[n]])
		if wait <= max(delay, patience) {
			first, least = n, wait
			break
		}
		if least < 0 || wait < least {
			first, least = n, wait
		}
	}
	r.turn = first
	return max(delay, least)
}
