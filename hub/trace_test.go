package hub_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/internal/bubble"
)

var update = flag.Bool("update", false, "write what the hub says into the traces")

// Each file in testdata/trace is a conversation with a hub. Lines that begin with
// a connection's name say what it does, the lines behind them what it is told:
//
//	a registers {…}     connects, and sends hub.register with this input
//	a connects [as ID [SCOPE...]]  connects only, with this identity
//	a> …                sends a message
//	a closes CODE       closes; also: a aborts, a stops reading, a reads
//	hub> …              something that the embedding program does, see traceHub
//	far> …              likewise at the second hub; "option hubs 2" makes it, and connections whose
//	                    names begin with "far" go there
//	+ 10s               time passes
//	a< …                what a gets: a frame, or the end of its connection
//	hub< …              what the embedding program gets
//	# …                 prose
//
// In messages <x*N> is N times x and <hex …> are bytes; what differs in each run (ids, times) has names
// like <call1>, which can be used in what is sent. The first lines may set options of the hub: "option maxInFlight 1".
func TestTraces(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "trace", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal("no traces", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			bubble.Test(t, func(t *testing.T) { got = runTrace(t, string(want)) })
			if bytes.Equal(got, want) {
				return
			}
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s", firstDifference(string(got), string(want)))
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		line := func(l []string) string {
			if i < len(l) {
				return l[i]
			}
			return "(the end)"
		}
		if line(g) != line(w) {
			return "line " + itoa(i+1) + "\n got " + line(g) + "\nwant " + line(w) + "\n(go test -update writes what it got)"
		}
	}
	return "no difference"
}

// runTrace does what the trace says and gives it back with what came of it.
func runTrace(t *testing.T, text string) []byte {
	r := newTraceRun(t, text)
	defer r.end()
	var out bytes.Buffer
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if r.isOutput(line) {
			continue
		}
		out.WriteString(line + "\n")
		r.do(line)
		synctest.Wait()
		for _, said := range r.said() {
			out.WriteString(said + "\n")
		}
	}
	return out.Bytes()
}

// do does what one line says.
func (r *traceRun) do(line string) {
	who, what, _ := strings.Cut(line, " ")
	switch {
	case line == "" || who == "#" || who == "option" || who == "--":
	case who == "+":
		d, err := time.ParseDuration(what)
		if err != nil {
			r.t.Fatal(err)
		}
		<-time.After(d)
	case who == "hub>":
		r.hub.do(r, what)
	case who == "far>" && r.conns["far"] == nil:
		r.far.do(r, what)
	case strings.HasSuffix(who, ">"):
		r.conn(strings.TrimSuffix(who, ">")).send(r.names.expand(what))
	default:
		r.connection(who, what)
	}
}

func (r *traceRun) connection(name, what string) {
	verb, rest, _ := strings.Cut(what, " ")
	switch verb {
	case "connects":
		r.connect(name, strings.TrimPrefix(rest, "as "))
	case "registers":
		r.connect(name, "")
		r.conn(name).send(r.names.expand(`{"type":"call.requested","payload":{"requestId":"reg","operationId":"hub.register","input":` + rest + `}}`))
	case "closes":
		r.conn(name).close(rest)
	case "aborts":
		r.conn(name).inner.Abort()
	case "stops": // reading
		r.conn(name).pause(true)
	case "reads":
		r.conn(name).pause(false)
	case "pings": // a WebSocket ping
		r.conn(name).ping()
	default:
		r.t.Fatalf("what is %q?", name+" "+what)
	}
}
