package spoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/callcore"
	"github.com/alkdev/hubspoke/internal/peer"
	"github.com/alkdev/hubspoke/internal/registration"
	outbound "github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/internal/wire"
)

// offering is what the spoke registers, its operations and its labels, and what hubs have answered to that.
type offering struct {
	operations call.Registry

	mu            sync.Mutex // guards the fields below; locked before the registry's
	labels        labels
	labelsChanged chan struct{} // closed at the next change of labels; nil while nothing waits for it
	taken         offer         // what a hub has taken last
	// What a hub has answered last: what differs from taken it has refused.
	answeredAt      <-chan struct{} // the Changed of the registry that has the operations
	answeredVersion uint64          // of the labels
	refusal         error           // of the labels that were refused last

	// What the hub accepts of a registration; 0 is unknown.
	maxOperations int
	maxBytes      int
}

// labels are one version of the spoke's labels.
type labels struct {
	all     map[string]string // never changed
	version uint64
	bytes   int // of a registration with them and no operations
}

// offer is what one registration announces.
type offer struct {
	operations []call.Operation
	at         <-chan struct{} // the Changed of the registry that has these operations, or others that a hub has refused
	labels     labels
}

// registrationSlack is what a registration may grow by without a new operation or label: its session and its attempt.
const registrationSlack = 512

// registration describes the spoke, without its operations.
func (s *Spoke) registration(l labels) *wire.Registration {
	return &wire.Registration{
		SpokeID: s.opts.ID, InstanceID: s.instanceID, Attempt: s.attempts.Load(), Name: s.opts.Name,
		Labels: l.all, Version: s.opts.Version,
		MaxInFlight: s.opts.MaxInFlight, MaxMessageBytes: s.opts.MaxMessageBytes, MaxDepth: s.opts.MaxDepth,
	}
}

// SetLabels replaces the labels ([Options.Labels]), and returns nil when the hub selects the spoke by the new ones
// ([call.Select]), or by those of a later call. While the spoke is not registered it waits for the next registration, which
// announces them. If ctx ends first, the error wraps the context's cause, and the labels are announced nevertheless. Of
// several calls the last one whose labels the hub takes counts.
//
// Labels that are not UTF-8, or with which the registration would be larger than the hub accepts
// (hub.Options.MaxRegistrationBytes), change nothing; the error wraps [ErrOptions]. If the hub refuses them, the error is
// its [*call.Error], and the spoke keeps the labels that the hub took last. After Shutdown the error is [ErrStopped].
func (s *Spoke) SetLabels(ctx context.Context, labels map[string]string) error {
	if s.status.isLeaving() {
		return s.errStopped()
	}
	version, err := s.setLabels(labels)
	if err != nil {
		return err
	}
	var refusal error
	if err := s.until(ctx, func() (answered bool) {
		answered, refusal = s.offering.answered(version)
		return answered
	}); err != nil {
		return err
	}
	return refusal
}

// setLabels replaces the labels and returns their version.
func (s *Spoke) setLabels(all map[string]string) (version uint64, err error) {
	next := labels{all: maps.Clone(all)}
	reg := s.registration(next)
	if err := registration.Validate(reg); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	text, _ := json.Marshal(reg) // has strings and numbers only
	next.bytes = len(text)
	o := &s.offering
	operations := o.registry().Bytes()
	o.mu.Lock()
	defer o.mu.Unlock()
	if need := next.bytes + operations + registrationSlack; o.maxBytes > 0 && need > o.maxBytes {
		return 0, fmt.Errorf("%w: with these labels the registration may have %d bytes: limit %d (hub.Options.MaxRegistrationBytes)",
			ErrOptions, need, o.maxBytes)
	}
	next.version = max(o.labels.version, o.answeredVersion) + 1
	o.labels = next
	o.limitLocked()
	if o.labelsChanged != nil {
		close(o.labelsChanged)
		o.labelsChanged = nil
	}
	return next.version, nil
}

// answered reports whether a hub has answered to labels of this version or a later one, and its refusal if it has taken
// none of these.
func (o *offering) answered(version uint64) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.taken.labels.version >= version {
		return true, nil
	}
	return o.answeredVersion >= version, o.refusal
}

// registry returns the operations with what only the framework uses of them.
func (o *offering) registry() *callcore.Registry[call.Operation, call.Handler] {
	return (*callcore.Registry[call.Operation, call.Handler])(&o.operations)
}

// limitLocked sets the limits of the registry, beyond which the hub would refuse the registration: now, or after the next
// reconnect, when it would refuse the spoke with it.
func (o *offering) limitLocked() {
	limits := callcore.Limits{Operations: o.maxOperations, Reserved: wire.HubPrefix}
	if o.maxBytes > 0 {
		limits.Bytes = max(o.maxBytes-o.labels.bytes-registrationSlack, 1)
	}
	o.registry().SetLimits(limits)
}

// current returns what a registration on a new connection announces. Operations that a hub has refused on a live one
// are not among it: they would cost the spoke its connection.
func (o *offering) current() offer {
	now := offer{at: o.registry().Changed(), operations: o.operations.Operations()}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.at == o.answeredAt {
		now.operations = o.taken.operations
	}
	now.labels = o.labels
	return now
}

// due returns what is to be announced on a live connection, if anything: the labels if they have changed, else the
// operations. Only one of them changes at a time, so that it is clear what the hub refuses.
func (o *offering) due() (due offer, ok bool) {
	now := o.current()
	o.mu.Lock()
	defer o.mu.Unlock()
	due = o.taken
	due.at = o.answeredAt
	switch {
	case now.labels.version > o.answeredVersion:
		due.labels = now.labels
	case now.at != o.answeredAt:
		due.operations, due.at = now.operations, now.at
	default:
		return due, false
	}
	return due, true
}

// changed returns channels that are closed at the next change of operations and of labels.
func (o *offering) changed() (operations, labels <-chan struct{}) {
	operations = o.registry().Changed()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.labelsChanged == nil {
		o.labelsChanged = make(chan struct{})
	}
	return operations, o.labelsChanged
}

// accepted notes what a hub has taken, and what more it accepts.
func (o *offering) accepted(taken offer, answer *wire.Registered) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = taken
	o.answeredAt, o.answeredVersion = taken.at, max(o.answeredVersion, taken.labels.version)
	o.maxOperations, o.maxBytes = answer.MaxOperations, answer.MaxRegistrationBytes
	o.limitLocked()
}

// refused notes that the hub has refused what was due and keeps what it took before.
func (o *offering) refused(due offer, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answeredAt = due.at
	if due.labels.version <= o.answeredVersion {
		return
	}
	o.answeredVersion, o.refusal = due.labels.version, err
	if o.labels.version == due.labels.version {
		o.labels = o.taken.labels
		o.limitLocked()
	}
}

// announce registers again when operations or labels have changed. It ends with ctx, which is the connection's.
func (se *session) announce(ctx context.Context) {
	for ctx.Err() == nil {
		operations, labels := se.spoke.offering.changed()
		var retry <-chan time.Time
		if due, ok := se.spoke.offering.due(); ok {
			var done bool
			if done, retry = se.registerAgain(ctx, due); done {
				continue
			}
		}
		select {
		case <-ctx.Done():
		case <-operations:
		case <-labels:
		case <-retry:
		}
	}
}

// registerAgainAfter is the pause before a registration is repeated at a hub that was too busy.
const registerAgainAfter = time.Second

// registerAgain announces what is due. A hub that refuses it keeps the old registration. If the
// hub was too busy, or has not answered in time, the channel reports when to repeat it.
func (se *session) registerAgain(ctx context.Context, due offer) (done bool, retry <-chan time.Time) {
	reg := se.spoke.registration(due.labels)
	reg.SpokeID = se.spokeID
	req, err := registration.Request(reg, due.operations)
	if err == nil {
		req.Timeout = se.registerTimeout()
		_, err = se.peer.Call(ctx, req)
	}
	if ctx.Err() != nil {
		return false, nil // the next registration has the change
	}
	switch {
	case err == nil:
		se.spoke.offering.accepted(due, se.conn.Load().answer)
	case errors.Is(err, call.CodeDisconnected), errors.Is(err, call.CodeAborted):
		return false, nil
	default:
		if e, ok := errors.AsType[*call.Error](err); ok && (e.Retryable || e.Code == call.CodeTimeout) {
			se.log.Warn().Err(err).Dur("delay", registerAgainAfter).Msg("registration postponed")
			return false, time.After(registerAgainAfter)
		}
		se.log.Error().Err(err).Msg("the hub refused a changed registration and keeps the earlier one")
		se.spoke.offering.refused(due, err)
	}
	se.spoke.status.update(func() {}) // wakes SetLabels
	return true, nil
}

// registerTimeout is the time for another registration on a live connection. Both queues may be full, and it has to cross
// behind what they hold: sent again, it would only make them longer.
func (se *session) registerTimeout() time.Duration {
	theirs := int64(outbound.DefaultBufferBytes)
	if s := se.conn.Load().answer.Session; s != nil && s.Buffer > 0 {
		theirs = s.Buffer
	}
	ahead := int64(se.spoke.opts.LogBytes) + theirs + int64(se.spoke.offering.registry().Bytes())
	return se.spoke.opts.HandshakeTimeout + peer.CrossingTime(ahead)
}
