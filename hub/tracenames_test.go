package hub_test

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// traceNames gives names to what differs in each run.
type traceNames struct {
	names map[string]string // by what it is
	count map[string]int
}

func newTraceNames() *traceNames {
	return &traceNames{names: map[string]string{}, count: map[string]int{}}
}

var (
	uuidPattern       = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	callPattern       = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-z]{1,3}\b`)
	timePattern       = regexp.MustCompile(`"timestamp":\d+`)
	generationPattern = regexp.MustCompile(`"generation":\d+`)
	jitterPattern     = regexp.MustCompile(`"retryAfter":\d+`)
	repeatPattern     = regexp.MustCompile(`<([^<>*])\*(\d+)>`)
	// registeredPattern is the answer to the line "a registers".
	registeredPattern = regexp.MustCompile(`^\{"type":"call.responded","payload":\{"requestId":"reg","output":\{"data":\{"hubId":"(?:hub|far)",("spokeId":"[^"]*"),"connectionId":"[^"]*",("generation":\d+),"heartbeatInterval":\d+,"maxMessageBytes":\d+,"maxDepth":\d+,"maxRegistrationBytes":\d+,"maxOperations":\d+(?:,("session":\{[^}]*\}))?\}.*$`)
	sessionPattern    = regexp.MustCompile(`\b[A-Z2-7]{26}\b`)
	hexPattern        = regexp.MustCompile(`<hex ([0-9a-f]+)>`)
)

const longRun = 100

func (n *traceNames) name(kind, value string) string {
	if got, ok := n.names[value]; ok {
		return got
	}
	n.count[kind]++
	n.names[value] = "<" + kind + itoa(n.count[kind]) + ">"
	return n.names[value]
}

// shorten makes a line for the trace of what was received.
func (n *traceNames) shorten(line string) string {
	line = strings.TrimRight(registeredPattern.ReplaceAllString(line, `registered $1 $2 $3`), " ")
	line = uuidPattern.ReplaceAllStringFunc(line, func(s string) string { return n.name("id", s) })
	line = sessionPattern.ReplaceAllStringFunc(line, func(s string) string { return n.name("session", s) })
	line = callPattern.ReplaceAllStringFunc(line, func(s string) string { return n.name("call", s) })
	line = timePattern.ReplaceAllString(line, `"timestamp":<time>`)
	line = jitterPattern.ReplaceAllString(line, `"retryAfter":<jitter>`)
	line = generationPattern.ReplaceAllStringFunc(line, func(s string) string {
		return `"generation":` + n.name("generation", strings.TrimPrefix(s, `"generation":`))
	})
	return shortRuns(line)
}

// shortRuns writes long runs of one character as <x*N>.
func shortRuns(line string) string {
	var b strings.Builder
	for i := 0; i < len(line); {
		j := i
		for j < len(line) && line[j] == line[i] {
			j++
		}
		if j-i > longRun {
			b.WriteString("<" + line[i:i+1] + "*" + itoa(j-i) + ">")
		} else {
			b.WriteString(line[i:j])
		}
		i = j
	}
	return b.String()
}

// expand makes what is sent of a line of the trace.
func (n *traceNames) expand(line string) string {
	for value, name := range n.names {
		line = strings.ReplaceAll(line, name, value)
	}
	line = repeatPattern.ReplaceAllStringFunc(line, func(s string) string {
		m := repeatPattern.FindStringSubmatch(s)
		times, _ := strconv.Atoi(m[2])
		return strings.Repeat(m[1], times)
	})
	return hexPattern.ReplaceAllStringFunc(line, func(s string) string {
		b, _ := hex.DecodeString(hexPattern.FindStringSubmatch(s)[1])
		return string(b)
	})
}
