package peer

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/internal/jsonscan"
)

// answer is what the frames behind a request have in common. Its slices alias
// the frame.
type answer struct {
	id      []byte
	others  [][]byte // further ids, of an answer that has more than one requestId
	output  []byte
	reason  string
	credit  int
	details []byte // of call.error
	payload []byte
}

// parseAnswer reads call.responded, call.completed, call.error, call.aborted and
// call.credit. Members that the frame's type does not define are ignored. An answer
// that is malformed still has its id, unless that is what is wrong.
func parseAnswer(typ string, payload []byte) (a answer, err error) {
	if jsonscan.Kind(payload) != '{' {
		return a, errNoID
	}
	a.payload = payload
	var s seen
	o := jsonscan.OpenValid(payload)
	for o.Next() {
		bit := answerBit(typ, o.Name())
		if bit < 0 {
			continue
		}
		switch {
		case s.twice(bit):
			if bit == answerID { // each could be meant
				a.others = append(a.others, plainString(o.Value()))
			}
			err = fmt.Errorf("duplicate member %q", o.Name())
		case !a.set(bit, o.Value()):
			err = fmt.Errorf("member %q has the wrong kind", o.Name())
		}
	}
	switch {
	case o.Err() != nil || len(a.id) == 0 || len(a.id) > maxIDBytes:
		return answer{}, errNoID
	case err == nil && typ == call.EventCredit && s&(1<<answerCredit) == 0:
		err = errors.New("no credit")
	}
	return a, err
}

const (
	answerID = iota
	answerOutput
	answerCredit
	answerReason
	answerDetails
	answerError // the first of the others that call.ParseError reads
)

// answerBit gives a bit for each member that the type defines, else -1.
func answerBit(typ string, name []byte) int {
	if string(name) == "requestId" {
		return answerID
	}
	switch typ {
	case call.EventResponded:
		if string(name) == "output" {
			return answerOutput
		}
	case call.EventCredit:
		if string(name) == "credit" {
			return answerCredit
		}
	case call.EventAborted:
		if string(name) == "reason" {
			return answerReason
		}
	case call.EventError:
		if string(name) == "details" {
			return answerDetails
		}
		if i := slices.Index([]string{"code", "message", "retryable"}, string(name)); i >= 0 {
			return answerError + i
		}
	}
	return -1
}

func (a *answer) set(bit int, raw []byte) bool {
	switch bit {
	case answerID:
		a.id = plainString(raw)
	case answerOutput:
		a.output = raw
	case answerReason:
		a.reason, _ = jsonscan.String(raw)
	case answerDetails:
		a.details = raw
	case answerCredit:
		n, err := count("credit", raw)
		a.credit = n
		return err == nil
	}
	return true
}

// plainString gives a string's bytes, without a copy where it has no escapes.
func plainString(raw []byte) []byte {
	if jsonscan.Kind(raw) != '"' {
		return nil
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	s, _ := jsonscan.String(raw)
	return []byte(s)
}

func appendHead(dst []byte, typ, id string) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, typ...)
	dst = append(dst, `","payload":{"requestId":`...)
	return jsonscan.AppendString(dst, id)
}

func appendResponded(dst []byte, id string, output []byte) []byte {
	dst = append(appendHead(dst, call.EventResponded, id), `,"output":`...)
	if len(output) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, output...)
	}
	return append(dst, "}}"...)
}

// appendLocal is appendResponded with the output of a handler of this program.
func appendLocal(dst []byte, req *call.Request, e call.Envelope, at time.Time) []byte {
	dst = append(appendHead(dst, call.EventResponded, req.ID), `,"output":`...)
	return append(call.AppendLocal(dst, req.Operation, e, at), "}}"...)
}

func appendCompleted(dst []byte, id string) []byte {
	return append(appendHead(dst, call.EventCompleted, id), "}}"...)
}

func appendError(dst []byte, id string, e *call.Error) []byte {
	dst = append(appendHead(dst, call.EventError, id), ',')
	return append(call.AppendErrorMembers(dst, e), "}}"...)
}

func appendAborted(dst []byte, id, reason string) []byte {
	dst = appendHead(dst, call.EventAborted, id)
	if reason != "" {
		dst = jsonscan.AppendString(append(dst, `,"reason":`...), jsonscan.Cut(reason, reasonBytes))
	}
	return append(dst, "}}"...)
}

func appendCredit(dst []byte, id string, n int) []byte {
	dst = append(appendHead(dst, call.EventCredit, id), `,"credit":`...)
	return append(strconv.AppendInt(dst, int64(n), 10), "}}"...)
}
