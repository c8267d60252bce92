package hub

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/transport"
)

// Subprotocol is what a spoke offers (protocol section 1).
const Subprotocol = "hubspoke.v1"

// ServeHTTP takes the connection of a spoke: it authenticates, upgrades, and
// returns when the spoke has registered; the connection lives on.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		h.comeBack(w, http.StatusServiceUnavailable, "the hub is draining")
		return
	}
	handed, seated := false, false
	var id *call.Identity
	defer func() {
		if seated && !handed {
			h.seats.leave(id.ID)
		}
		if !handed {
			h.exit()
		}
	}()
	if h.opts.MaxConnections > 0 && int(h.connections.Load()) > h.opts.MaxConnections {
		h.refused.Add(1)
		h.comeBack(w, http.StatusServiceUnavailable, "the hub is full")
		return
	}
	var err error
	if id, err = h.opts.Authenticate(r); err != nil || id == nil {
		h.refuse(w, r, err)
		return
	}
	if !h.seats.take(id.ID, h.opts.MaxIdentityConnections) {
		h.refused.Add(1)
		h.log.Warn().Str("identity", id.ID).Str("remote", r.RemoteAddr).Msg("the identity has as many connections as may be")
		h.comeBack(w, http.StatusTooManyRequests, "the identity has as many connections as may be")
		return
	}
	seated = true
	t, err := h.upgrade(w, r)
	if err != nil {
		h.refused.Add(1)
		h.log.Info().Err(err).Str("remote", r.RemoteAddr).Msg("handshake refused")
		return // upgrade has answered
	}
	handed = h.accept(t, id)
}

// Accept takes a connection that somebody else has made and authenticated, for
// example one end of [transport.Pipe], and returns when the spoke has registered or has been
// refused. It reports whether it registered; the Hub owns the connection in any case.
func (h *Hub) Accept(t transport.Conn, id *call.Identity) bool {
	if id == nil || !h.enter() {
		t.Close(transport.CloseTryAgainLater, "the hub takes no connection")
		t.Abort()
		return false
	}
	if !h.seats.take(id.ID, h.opts.MaxIdentityConnections) {
		h.exit()
		h.refused.Add(1)
		t.Close(transport.CloseTryAgainLater, "the identity has as many connections as may be")
		readOut(t)
		return false
	}
	ok := h.accept(t, id)
	if !ok {
		h.seats.leave(id.ID)
		h.exit()
	}
	return ok
}

// accept registers the spoke and starts its reader. If it returns true the
// reader's end will call exit.
func (h *Hub) accept(t transport.Conn, id *call.Identity) bool {
	t = h.guard(t)
	from := &origin{identity: id, connection: uuid.New(), remote: t.RemoteAddr()}
	timer := time.AfterFunc(h.opts.HandshakeTimeout, func() {
		t.Close(transport.CloseNotRegistered, "no registration in time")
	})
	uncut := context.AfterFunc(h.open, func() { t.Close(transport.CloseServiceRestart, "the hub goes away") })
	if expired(id, time.Now()) {
		t.Close(transport.CloseCredentialsExpired, "credentials expired")
	}
	c, err := h.register(&arrival{conn: t, from: from})
	uncut()
	timer.Stop()
	if err != nil {
		h.refused.Add(1)
		h.logOf(from).Info().Err(err).Msg("registration refused")
		readOut(t)
		return false
	}
	go c.run(c.now.Load(), id) // counted by enter; Shutdown waits for it
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

func (h *Hub) upgrade(w http.ResponseWriter, r *http.Request) (transport.Conn, error) {
	return transport.Accept(w, r, &h.handshake)
}

func handshakeOptions(o *Options) transport.AcceptOptions {
	t := transport.AcceptOptions{
		Subprotocols:    []string{Subprotocol},
		MaxMessageBytes: o.MaxMessageBytes,
		WriteTimeout:    o.WriteTimeout,
	}
	for _, p := range o.Origins {
		if p == "*" {
			t.AnyOrigin = true
			continue
		}
		t.OriginPatterns = append(t.OriginPatterns, p)
	}
	return t
}

// refuse answers failed credentials: with a status, or, to a browser, which
// cannot see one, with an accepted connection that is closed with 4500.
func (h *Hub) refuse(w http.ResponseWriter, r *http.Request, err error) {
	h.refused.Add(1)
	h.log.Info().Err(err).Str("remote", r.RemoteAddr).Msg("not authenticated")
	if r.Header.Get("Origin") != "" {
		t, err := h.upgrade(w, r)
		if err != nil {
			return
		}
		t.Close(transport.CloseNotAuthenticated, "not authenticated")
		for err == nil {
			_, err = t.Read()
		}
		return
	}
	status := http.StatusUnauthorized
	if errors.Is(err, ErrForbidden) {
		status = http.StatusForbidden
	} else {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	http.Error(w, http.StatusText(status), status)
}

func (h *Hub) comeBack(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Retry-After", strconv.Itoa(int(max(1, h.opts.DrainSpread/time.Second))))
	http.Error(w, why, status)
}
