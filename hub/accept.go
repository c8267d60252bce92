package hub

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/alkdev/hubspoke/call"
	weborigin "github.com/alkdev/hubspoke/internal/origin"
	"github.com/alkdev/hubspoke/transport"
)

// Subprotocol is what a spoke offers (protocol section 1).
const Subprotocol = "hubspoke.v1"

// ServeHTTP takes the connection of a spoke: it authenticates, upgrades, and returns when the spoke has
// registered, while the connection stays open. Section 1 of the protocol lists the answers to a client
// that is not accepted.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 { // the server would wait for it before it answers, and again before it closes
		h.refused.Add(1)
		w.Header().Set("Connection", "close")
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a test's writer has none
		http.Error(w, "a handshake has no body", http.StatusBadRequest)
		return
	}
	a, busy := h.enterConnection()
	if busy != nil {
		h.comeBack(w, busy.status, busy.reason)
		return
	}
	handed := false
	defer func() {
		if !handed {
			a.leave()
		}
	}()
	if _, err := h.origins.Check(r); err != nil {
		h.refuse(w, r, err)
		return
	}
	id, err := h.opts.Authenticate.Identify(r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	if busy := a.seat(id, r.RemoteAddr); busy != nil {
		h.comeBack(w, busy.status, busy.reason)
		return
	}
	t, err := h.upgrade(w, r)
	if err != nil {
		h.refused.Add(1)
		h.log.Info().Err(err).Str("remote", r.RemoteAddr).Msg("handshake refused")
		return // upgrade has answered
	}
	handed = h.accept(t, id, a)
}

// Accept takes a connection that the caller has made and authenticated, for example one end of
// [transport.Pipe], and returns when the spoke has registered or has been refused. It reports whether it
// registered; the Hub owns the connection in any case. The limits of the options hold as for ServeHTTP:
// if one is reached, or the hub drains, Accept closes the connection with 1013, as for an
// identity that is not valid (no ID, text that is not UTF-8, or control characters in the ID). If the identity is
// nil, it closes the connection with 4500.
func (h *Hub) Accept(t transport.Conn, id *call.Identity) bool {
	a, busy := h.enterConnection()
	if busy != nil {
		t.Close(transport.CloseTryAgainLater, busy.reason)
		readOut(t)
		return false
	}
	if !h.acceptAs(t, id, a) {
		a.leave()
		return false
	}
	return true
}

// acceptAs checks the identity that the caller of Accept names, then accepts as ServeHTTP does.
func (h *Hub) acceptAs(t transport.Conn, id *call.Identity, a *admission) bool {
	if id == nil {
		h.refused.Add(1)
		t.Close(transport.CloseNotAuthenticated, transport.RefusedUnauthenticated+": no identity")
		readOut(t)
		return false
	}
	if err := checkIdentity(id); err != nil {
		h.refused.Add(1)
		h.log.Error().Err(err).Str("remote", t.RemoteAddr()).Msg("connection refused")
		t.Close(transport.CloseTryAgainLater, reasonUnchecked)
		readOut(t)
		return false
	}
	if busy := a.seat(id, t.RemoteAddr()); busy != nil {
		t.Close(transport.CloseTryAgainLater, busy.reason)
		readOut(t)
		return false
	}
	return h.accept(t, id, a)
}

// reasonUnchecked is the reason of a client whose credentials could not be checked.
const reasonUnchecked = "the hub cannot check credentials now"

// accept registers the spoke and starts its reader. If it returns true, the end of the reader releases the
// admission; otherwise the caller does.
func (h *Hub) accept(t transport.Conn, id *call.Identity, a *admission) bool {
	h.guard(t)
	from := &origin{identity: id, connection: uuid.New(), remote: t.RemoteAddr()}
	uncut := context.AfterFunc(h.open, func() { t.Close(transport.CloseTryAgainLater, "the hub is draining") })
	if id.Ended(time.Now()) {
		t.Close(transport.CloseCredentialsExpired, "credentials expired")
	}
	c, err := h.register(&arrival{conn: t, from: from})
	uncut()
	if err != nil {
		h.refused.Add(1)
		h.logOf(from).Info().Err(err).Msg("registration refused")
		readOut(t)
		return false
	}
	go c.run(c.now.Load(), a) // counted by enterConnection; Shutdown waits for it
	return true
}

// readOut reads on until the close has been answered, so that a refusal arrives.
func readOut(t transport.Conn) {
	for {
		if _, err := t.Read(); err != nil {
			t.Abort()
			return
		}
	}
}

// upgrade makes a WebSocket of a request whose origin has been checked.
func (h *Hub) upgrade(w http.ResponseWriter, r *http.Request) (transport.Conn, error) {
	return transport.Accept(w, r, &h.handshake)
}

func handshakeOptions(o *Options) transport.AcceptOptions {
	return transport.AcceptOptions{
		Subprotocols:    []string{Subprotocol},
		AnyOrigin:       true,
		MaxMessageBytes: o.MaxMessageBytes,
		WriteTimeout:    o.WriteTimeout,
	}
}

// refuse answers a request that is not let in because of its origin or its credentials, or because these
// could not be checked.
func (h *Hub) refuse(w http.ResponseWriter, r *http.Request, err error) {
	h.refused.Add(1)
	status, word := http.StatusServiceUnavailable, ""
	log := h.log.Info()
	switch {
	case errors.Is(err, weborigin.ErrNotAllowed):
		status, word = http.StatusForbidden, "origin not allowed"
	case errors.Is(err, ErrForbidden):
		status, word = http.StatusForbidden, transport.RefusedForbidden
	case errors.Is(err, ErrUnauthenticated):
		status, word = http.StatusUnauthorized, transport.RefusedUnauthenticated
	default:
		log = h.log.Error()
	}
	log.Err(err).Str("remote", r.RemoteAddr).Int("status", status).Msg("connection refused")
	switch {
	case seesStatus(r):
		if word != "" {
			Refuse(w, status)
			return
		}
		h.comeBack(w, status, reasonUnchecked)
	case word != "":
		h.refuseByClose(w, r, transport.CloseNotAuthenticated, word)
	default:
		h.refuseByClose(w, r, transport.CloseTryAgainLater, reasonUnchecked)
	}
}

// refuseByClose accepts the connection in order to close it.
func (h *Hub) refuseByClose(w http.ResponseWriter, r *http.Request, code transport.CloseCode, reason string) {
	t, err := h.upgrade(w, r)
	if err != nil {
		return // upgrade has answered
	}
	t.Close(code, reason)
	readOut(t)
}

// seesStatus reports whether the client of a handshake can see the status of the answer: the WebSocket of a
// platform cannot, and sends an Origin or, since it cannot set a header, its token as a subprotocol.
func seesStatus(r *http.Request) bool {
	if !transport.IsHandshake(r) {
		return true
	}
	return r.Header.Get("Origin") == "" && !offersBearer(r)
}

// Refuse answers a handshake as the hub does when it refuses a client: with the status, 401 or 403, and
// the header that makes the refusal final. Middleware in front of the hub uses it for clients that must
// not reconnect: after a 401 or 403 without that header a spoke reconnects. Any other status is written
// without the header. A client on a platform WebSocket, such as a browser, cannot see the status and
// reconnects in any case.
func Refuse(w http.ResponseWriter, status int) {
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.Header().Set(transport.RefusedHeader, transport.RefusedUnauthenticated)
	case http.StatusForbidden:
		w.Header().Set(transport.RefusedHeader, transport.RefusedForbidden)
	}
	http.Error(w, http.StatusText(status), status)
}

func (h *Hub) comeBack(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Retry-After", strconv.Itoa(int(max(1, h.opts.DrainSpread/time.Second))))
	http.Error(w, reason, status)
}
