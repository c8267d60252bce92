package peer

import (
	"bytes"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
	"github.com/alkdev/hubspoke/internal/session"
)

// errLeft answers a request whose caller has left.
var errLeft = &call.Error{Code: call.CodeAborted, Message: "the caller canceled", Sent: true}

// Answers lets a session find the frames that answer a request. Every session of a peer has it.
func Answers() session.Answers { return session.Answers{Request: answeredID, Aborted: appendLeft} }

var answerHeads = [...][]byte{ // the others are terminal for streams too
	[]byte(`{"type":"` + call.EventResponded + `","payload":{"requestId":`),
	[]byte(`{"type":"` + call.EventCompleted + `","payload":{"requestId":`),
	[]byte(`{"type":"` + call.EventError + `","payload":{"requestId":`),
}

// answeredID is [session.Answers.Request] for the frames that this package makes. The id is a JSON string.
func answeredID(frame []byte) (id []byte, terminal bool) {
	for i, head := range answerHeads {
		rest, ok := bytes.CutPrefix(frame, head)
		if !ok {
			continue
		}
		for k := 1; k < len(rest); k++ {
			switch rest[k] {
			case '\\':
				k++
			case '"':
				return rest[:k+1], i > 0
			}
		}
	}
	return nil, false
}

func appendLeft(id []byte) *session.Buffer {
	b := session.NewBuffer()
	b.B = append(append(append(b.B, answerHeads[2]...), id...), ',')
	b.B = append(call.AppendErrorMembers(b.B, errLeft), "}}"...)
	return b
}

// abandon drops the frames that answer a request whose caller has left; open says that it is a stream in flight. It reports whether
// there were any.
func (p *Peer) abandon(id string, open bool) bool {
	return p.sess.Abandon(jsonscan.AppendString(nil, id), open)
}

// abandonIfLeft is for a response that was sent: its caller may have left just before, and what was queued then has been dropped
// without it.
func (in *Inbound) abandonIfLeft() {
	if in.left.Load() {
		in.peer.abandon(in.Request.ID, in.Request.Stream)
	}
}
