package redistarget

import (
	"errors"
	"fmt"
)

// The errors of this package. Test for them with [errors.Is].
var (
	// ErrUnavailable reports that Redis could not be reached. It is wrapped by an [*UnavailableError].
	ErrUnavailable = errors.New("redistarget: Redis is unavailable")

	// ErrQueueFull reports that the event was not published: those that already wait to be published have
	// Options.MaxQueueBytes. The error that wraps it names the limit.
	ErrQueueFull = errors.New("redistarget: too many events wait to be published")
)

// UnavailableError says that an event did not go through Redis, or that nobody
// knows whether it did. It matches [ErrUnavailable] and its cause.
type UnavailableError struct {
	// Local is true where the link was known to be down: the event was not
	// published, and has been handed to the listeners of this target.
	// False means that it was not handed to them by the target, and that it is unknown whether
	// Redis got it.
	Local bool
	// Err says what is wrong. It is never nil.
	Err error
}

// Error implements error.
func (e *UnavailableError) Error() string {
	if e.Local {
		return fmt.Sprintf("%v, delivered in this process only: %v", ErrUnavailable, e.Err)
	}
	return fmt.Sprintf("%v: %v", ErrUnavailable, e.Err)
}

// Unwrap gives [ErrUnavailable] and the cause.
func (e *UnavailableError) Unwrap() []error { return []error{ErrUnavailable, e.Err} }

// DeliveredLocally is Local, for who does not know this package.
func (e *UnavailableError) DeliveredLocally() bool { return e.Local }
