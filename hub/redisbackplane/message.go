package redisbackplane

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// A message between two ends of a link is a JSON object, written in this order:
//
//	{"from": hub, "incarnation": of the sender's end, "to": incarnation of the receiver's end,
//	 "seq": n, "sizes": [bytes of each frame], "frames": […]}
//
// seq counts the messages that have frames or a close; the others name the last
// one. "to" is empty as long as the sender does not know it. "sizes" spares the receiver
// a scan and may be left out, as may the order. Without frames a message has one of: "open" true for the first, "tick" true
// with "busy", "reset" true, or "close" {code, reason}. Two more kinds have only a "from":
// "mail", a letter of the directory, and "probe", with which a hub sees whether it hears itself.
type message struct {
	From        string            `json:"from"`
	Incarnation string            `json:"incarnation"`
	To          string            `json:"to"`
	Seq         uint64            `json:"seq"`
	Frames      []json.RawMessage `json:"frames"`
	Open        bool              `json:"open"`
	Tick        bool              `json:"tick"`
	Busy        bool              `json:"busy"`
	Reset       bool              `json:"reset"`
	Close       *closing          `json:"close"`

	texts []string // the frames; nil for a message that has no list of them
}

type closing struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

type kind int

const (
	kindGarbage kind = iota
	kindLink
	kindMail
	kindProbe
)

var errNotMessage = errors.New("not a message between hubs")

func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}

// kindOf looks what a message is, and gives the mail or the probe in it.
func kindOf(text string) (k kind, body string) {
	rest, ok := strings.CutPrefix(text, `{"from":"`)
	if !ok {
		return kindOther(text)
	}
	end := strings.IndexByte(rest, '"')
	if end < 0 || strings.IndexByte(rest[:end], '\\') >= 0 {
		return kindOther(text)
	}
	if strings.HasPrefix(rest[end:], `","incarnation":"`) {
		return kindLink, ""
	}
	return kindOther(text)
}

func kindOther(text string) (k kind, body string) {
	var m struct {
		From  string          `json:"from"`
		Mail  json.RawMessage `json:"mail"`
		Probe string          `json:"probe"`
	}
	switch err := json.Unmarshal([]byte(text), &m); {
	case err != nil || m.From == "":
		return kindGarbage, ""
	case m.Mail != nil:
		return kindMail, string(m.Mail)
	case m.Probe != "":
		return kindProbe, m.Probe
	default:
		return kindLink, ""
	}
}

func appendMail(b, from []byte, text []byte) []byte {
	b = append(append(b, `{"from":`...), from...)
	b = append(append(b, `,"mail":`...), text...)
	return append(b, '}')
}

func appendProbe(b, from []byte, id string) []byte {
	b = append(append(b, `{"from":`...), from...)
	b = append(append(b, `,"probe":"`...), id...)
	return append(b, `"}`...)
}

// appendHead writes what all messages of a link begin with.
func appendHead(b, from []byte, incarnation, to string, seq uint64) []byte {
	b = append(append(b, `{"from":`...), from...)
	b = append(append(b, `,"incarnation":"`...), incarnation...)
	b = append(append(b, `","to":"`...), to...)
	return strconv.AppendUint(append(b, `","seq":`...), seq, 10)
}

// appendFrames writes the rest of a message with frames.
func appendFrames(b []byte, frames [][]byte) []byte {
	b = append(b, `,"sizes":[`...)
	for i, f := range frames {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(len(f)), 10)
	}
	b = append(b, `],"frames":[`...)
	for i, f := range frames {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, f...)
	}
	return append(b, `]}`...)
}

// parseMessage reads a message of a link: in the order in which ours are written, else as any JSON.
func parseMessage(text string) (m message, err error) {
	if parseOurs(text, &m) {
		return m, nil
	}
	m = message{}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return message{}, errNotMessage
	}
	if m.From == "" || m.Incarnation == "" && !m.Reset {
		return message{}, errNotMessage
	}
	if m.Frames != nil { // an empty list too: the message has a number then
		m.texts = make([]string, len(m.Frames))
	}
	for i, f := range m.Frames {
		m.texts[i] = string(f)
	}
	return m, nil
}

// parseOurs reads a message with frames that was written by appendHead and appendFrames.
func parseOurs(text string, m *message) bool {
	s := scan{text}
	m.From = s.between(`{"from":"`)
	m.Incarnation = s.between(`,"incarnation":"`)
	m.To = s.between(`,"to":"`)
	var ok bool
	if m.Seq, ok = s.number(`,"seq":`); !ok || m.From == "" || m.Incarnation == "" || !s.skip(`,"sizes":[`) {
		return false
	}
	sizes := s.rest
	end := strings.Index(sizes, `],"frames":[`)
	if end < 0 {
		return false
	}
	body := sizes[end+len(`],"frames":[`):]
	sizes = sizes[:end]
	m.texts = make([]string, 0, strings.Count(sizes, ",")+1)
	for len(sizes) > 0 {
		text, more, _ := strings.Cut(sizes, ",")
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n >= len(body) {
			return false
		}
		m.texts = append(m.texts, body[:n])
		body, sizes = body[n:], more
		if more != "" {
			if body[0] != ',' {
				return false
			}
			body = body[1:]
		}
	}
	return body == `]}`
}

// scan reads a text from its beginning. What is not as expected stays unread, and no other prefix matches it, except
// that a member may be missing: it has its zero value then, as in any JSON.
type scan struct{ rest string }

func (s *scan) skip(prefix string) (ok bool) {
	s.rest, ok = strings.CutPrefix(s.rest, prefix)
	return ok
}

// between reads a string without escapes behind the prefix.
func (s *scan) between(prefix string) string {
	text, ok := strings.CutPrefix(s.rest, prefix)
	text, rest, found := strings.Cut(text, `"`)
	if !ok || !found || strings.Contains(text, `\`) {
		return ""
	}
	s.rest = rest
	return text
}

func (s *scan) number(prefix string) (uint64, bool) {
	if !s.skip(prefix) {
		return 0, false
	}
	end := 0
	for end < len(s.rest) && s.rest[end] >= '0' && s.rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(s.rest[:end], 10, 64)
	s.rest = s.rest[end:]
	return n, err == nil
}
