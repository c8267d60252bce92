package redistarget

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Health says whether the target hears Redis.
type Health struct {
	// Up is true while every link hears. While a link is down, the events of its topics
	// reach the listeners of this target only.
	Up bool
	// Reason says what is wrong where Up is false, one sentence for each link
	// that is down.
	Reason string
	// Since is when Up took its value.
	Since time.Time
}

// Health returns the present state. Trouble that nobody has noticed yet is not in
// it: a half-open connection is found after Options.Probe and Options.Timeout,
// earlier where something is published.
func (t *Target) Health() Health {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.health
}

// assessLocked computes the health anew and has a change of Up told.
func (t *Target) assessLocked() {
	var reasons []string
	for _, l := range t.links {
		if l.state.Load() == linkDown {
			reasons = append(reasons, l.reasonLocked())
		}
	}
	if t.router != nil && t.router.homeless {
		reasons = append(reasons, errNowhere.Error())
	}
	slices.Sort(reasons)
	now := Health{Up: len(reasons) == 0, Reason: strings.Join(reasons, "; "), Since: t.health.Since}
	first, changed := now.Since.IsZero(), now.Up != t.health.Up
	if first || changed {
		now.Since = time.Now()
	}
	t.health = now
	if told := t.opts.OnHealth; told != nil && changed && !first {
		t.inbox.changed(func() { t.call("Options.OnHealth", func() { told(t.Health()) }) })
	}
}

// messageError is why a message did not parse.
type messageError struct {
	topic string
	err   error
}

func (e *messageError) Error() string {
	return fmt.Sprintf("redistarget: a message on %q is lost: %v", e.topic, e.err)
}

func (e *messageError) Unwrap() error { return e.err }

// call calls a function of the program's, whose panic is reported: it would end the program.
func (t *Target) call(what string, fn func()) {
	defer func() {
		if p := recover(); p != nil {
			t.report(fmt.Errorf("redistarget: %s panicked: %v\n%s", what, p, debug.Stack()))
		}
	}()
	fn()
}

// report has an error of the background told.
func (t *Target) report(err error) {
	if told := t.opts.OnError; told != nil && !errors.Is(err, errClosing) {
		t.inbox.error(func() { told(err) })
	}
}
