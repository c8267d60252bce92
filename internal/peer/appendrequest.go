package peer

import (
	"strconv"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// appendRequest builds a call.requested from the members that the protocol
// knows, with the id, the time and the credit of this leg; negative credit is none.
func appendRequest(dst []byte, id string, req *call.Request, timeout time.Duration, credit int) []byte {
	dst = append(dst, `{"type":"`+call.EventRequested+`","payload":{"requestId":`...)
	dst = jsonscan.AppendString(dst, id)
	dst = append(dst, `,"operationId":`...)
	dst = jsonscan.AppendString(dst, req.Operation)
	dst = append(dst, `,"stream":`...)
	dst = strconv.AppendBool(dst, req.Stream)
	if timeout > 0 {
		dst = append(dst, `,"timeout":`...)
		dst = strconv.AppendInt(dst, millis(timeout), 10)
	}
	if credit >= 0 {
		dst = append(dst, `,"credit":`...)
		dst = strconv.AppendInt(dst, int64(credit), 10)
	}
	dst = appendOptional(dst, req)
	dst = append(dst, `,"input":`...)
	if len(req.Input) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, req.Input...)
	}
	return append(dst, "}}"...)
}

// millis rounds up, since 0 would be no time, and must not overflow for the longest of times.
func millis(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

func appendOptional(dst []byte, req *call.Request) []byte {
	str := func(name, v string) {
		if v != "" {
			dst = append(append(append(dst, `,"`...), name...), `":`...)
			dst = jsonscan.AppendString(dst, v)
		}
	}
	str("to", req.To)
	str("originId", req.OriginID)
	str("parentRequestId", req.ParentID)
	if req.IdleTimeout > 0 {
		dst = append(dst, `,"idleTimeout":`...)
		dst = strconv.AppendInt(dst, millis(req.IdleTimeout), 10)
	}
	if req.FailFast {
		dst = append(dst, `,"failFast":true`...)
	}
	if len(req.Selector) > 0 {
		dst = append(dst, `,"selector":{`...)
		dst = appendMembers(dst, req.Selector, jsonscan.AppendString)
	}
	if req.Identity != nil {
		dst = appendIdentity(append(dst, `,"identity":`...), req.Identity)
	}
	if len(req.Metadata) > 0 {
		dst = append(append(dst, `,"metadata":`...), req.Metadata...)
	}
	return dst
}

func appendIdentity(dst []byte, id *call.Identity) []byte {
	dst = append(dst, `{"id":`...)
	dst = jsonscan.AppendString(dst, id.ID)
	if len(id.Scopes) > 0 {
		dst = appendStrings(append(dst, `,"scopes":`...), id.Scopes)
	}
	if len(id.Resources) > 0 {
		dst = appendMembers(append(dst, `,"resources":{`...), id.Resources, appendStrings)
	}
	return append(dst, '}')
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsonscan.AppendString(dst, s)
	}
	return append(dst, ']')
}

// appendMembers writes the members of an object, in no order, and its end.
func appendMembers[V any](dst []byte, m map[string]V, value func([]byte, V) []byte) []byte {
	first := true
	for k, v := range m {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(jsonscan.AppendString(dst, k), ':')
		dst = value(dst, v)
	}
	return append(dst, '}')
}
