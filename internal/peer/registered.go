package peer

import (
	"strconv"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/session"
	"github.com/alkdev/hubspoke/transport"
)

// What the hub answers is written by hand: thousands of spokes register at once when a hub has restarted.

// WriteRegistered answers a registration.
func WriteRegistered(conn transport.Conn, id string, r *Registered) error {
	data, frame := session.NewBuffer(), session.NewBuffer() // conn keeps neither
	defer data.Free()
	defer frame.Free()
	data.B = r.appendTo(data.B)
	req := call.Request{ID: id, Operation: OperationRegister}
	frame.B = appendLocal(frame.B, &req, call.Envelope{Data: data.B}, time.Now())
	return conn.Write([][]byte{frame.B})
}

// RegisteredOutput is the output of hub.register.
func RegisteredOutput(r *Registered) []byte {
	return call.AppendLocal(nil, OperationRegister, call.Envelope{Data: r.appendTo(nil)}, time.Now())
}

func (r *Registered) appendTo(dst []byte) []byte {
	dst = jsonscan.AppendString(append(dst, `{"hubId":`...), r.HubID)
	dst = jsonscan.AppendString(append(dst, `,"spokeId":`...), r.SpokeID)
	dst = jsonscan.AppendString(append(dst, `,"connectionId":`...), r.ConnectionID)
	dst = strconv.AppendInt(append(dst, `,"generation":`...), r.Generation, 10)
	dst = strconv.AppendInt(append(dst, `,"heartbeatInterval":`...), r.HeartbeatInterval, 10)
	dst = strconv.AppendInt(append(dst, `,"maxMessageBytes":`...), r.MaxMessageBytes, 10)
	dst = strconv.AppendInt(append(dst, `,"maxDepth":`...), int64(r.MaxDepth), 10)
	dst = strconv.AppendInt(append(dst, `,"maxRegistrationBytes":`...), int64(r.MaxRegistrationBytes), 10)
	dst = strconv.AppendInt(append(dst, `,"maxOperations":`...), int64(r.MaxOperations), 10)
	if r.Session != nil {
		dst = r.Session.appendTo(append(dst, `,"session":`...))
	}
	return append(dst, '}')
}

func (a *SessionAnswer) appendTo(dst []byte) []byte {
	dst = jsonscan.AppendString(append(dst, `{"id":`...), a.ID)
	dst = strconv.AppendUint(append(dst, `,"received":`...), a.Received, 10)
	dst = strconv.AppendInt(append(dst, `,"buffer":`...), a.Buffer, 10)
	dst = strconv.AppendInt(append(dst, `,"window":`...), a.Window, 10)
	if a.URL != "" {
		dst = jsonscan.AppendString(append(dst, `,"url":`...), a.URL)
	}
	return append(dst, '}')
}
