package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/internal/jsonscan"
)

var now = time.UnixMilli(1_764_331_200_000)

// messages has every message of the protocol, as this package writes it.
var messages = []string{
	`{"type":"call.requested","payload":{"requestId":"1","operationId":"a.b","stream":true,"timeout":30000,"credit":3,"to":"w","originId":"o","parentRequestId":"9","idleTimeout":5,"failFast":true,"selector":{"a":"b"},"identity":{"id":"i","scopes":["s"],"resources":{"r":["a"]}},"metadata":{"traceparent":"00"},"input":{"x":[1,2]}}}`,
	`{"type":"call.requested","payload":{"requestId":"1","operationId":"a.b","stream":false,"input":null}}`,
	`{"type":"call.responded","payload":{"requestId":"1","output":{"data":{"words":2},"meta":{"source":"local","operationId":"a.b","timestamp":1764331200000}}}}`,
	`{"type":"call.responded","payload":{"requestId":"1","output":null}}`,
	`{"type":"call.completed","payload":{"requestId":"1"}}`,
	`{"type":"call.error","payload":{"requestId":"1","code":"OUT_OF_STOCK","message":"m","retryable":true,"details":{"sent":true,"left":0}}}`,
	`{"type":"call.aborted","payload":{"requestId":"1","reason":"the reader has left"}}`,
	`{"type":"call.aborted","payload":{"requestId":"1"}}`,
	`{"type":"call.credit","payload":{"requestId":"1","credit":8}}`,
	`{"type":"__ack","payload":{"received":1041}}`,
	`{"type":"__ping","payload":null}`,
	`{"type":"__pong","payload":null}`,
	`{"type":"__skip","payload":null}`,
	`{"type":"__drain","payload":{"retryAfter":3200}}`,
	`{"type":"__subscribe","payload":{"topic":"a:b"}}`,
	`{"type":"__subscribed","payload":{"topic":"a:b"}}`,
	`{"type":"__unsubscribe","payload":{"topic":"a:b"}}`,
	`{"type":"__gap","payload":{"topic":"a:b","dropped":2}}`,
	`{"type":"__denied","payload":{"action":"subscribe","topic":"private","code":"ACCESS_DENIED","message":"m"}}`,
	`{"type":"session.status:proj_123","payload":{"state":"ready"}}`,
}

func TestEveryMessage(t *testing.T) {
	for _, want := range messages {
		var m Message
		if err := Parse([]byte(want), &m); err != nil || m.Err != nil {
			t.Errorf("%s: %v %v", want, err, m.Err)
			continue
		}
		if got := written(t, &m); string(got) != want {
			t.Errorf("%s\nbecame\n%s", want, got)
		}
	}
}

// written writes a message that was parsed.
func written(t *testing.T, m *Message) []byte {
	t.Helper()
	id := string(m.ID)
	switch m.Type {
	case Event, Unknown:
		return AppendEvent(nil, string(m.Topic), m.Payload)
	case Requested:
		c := &Call{ID: id, Operation: string(m.Operation), Input: m.Input, Stream: m.Stream, Credit: m.Credit, Timeout: m.Timeout(now),
			IdleTimeout: m.IdleTimeout, FailFast: m.FailFast, To: string(m.To), OriginID: string(m.OriginID), ParentID: string(m.ParentID), Metadata: m.Metadata}
		if m.Selector != nil {
			var err error
			if c.Selector, err = ParseLabels(m.Selector); err != nil {
				m.Err = err
			}
		}
		if m.Identity != nil {
			id, scopes, resources, err := ParseIdentity(m.Identity)
			if err != nil {
				m.Err = err
			}
			c.Identity = AppendIdentity(nil, id, scopes, resources)
		}
		return AppendRequested(nil, c)
	case Responded:
		return AppendResponded(nil, id, m.Output)
	case Completed:
		return AppendCompleted(nil, id)
	case Failed:
		return AppendFailed(nil, id, &m.Failure, 0)
	case Aborted:
		return AppendAborted(nil, id, string(m.Reason))
	case Credited:
		return AppendCredited(nil, id, m.Credit)
	case Ack:
		return AppendAck(nil, m.Received)
	case Ping, Pong, Skip:
		return AppendBare(nil, m.Type)
	case Drain:
		return AppendDrain(nil, m.RetryAfter)
	case Subscribe, Subscribed, Unsubscribe:
		return AppendTopic(nil, m.Type, string(m.Topic))
	case Gap:
		return AppendGap(nil, string(m.Topic), m.Dropped)
	case Denied:
		return AppendDenied(nil, string(m.Action), string(m.Topic), string(m.Code), string(m.Text))
	}
	t.Fatalf("no way to write %v", m.Type)
	return nil
}

// roundTrip writes a message that was parsed without an error, parses that, and compares.
func roundTrip(t *testing.T, m *Message) {
	t.Helper()
	text := written(t, m)
	if m.Err != nil { // in the identity or the selector
		return
	}
	var again Message
	if err := Parse(text, &again); err != nil || again.Err != nil {
		t.Fatalf("%+v was accepted and is refused as\n%s\n%v %v", m, text, err, again.Err)
	}
	want, got := *m, again
	for _, m := range []*Message{&want, &got} {
		m.HasStream, m.hasDeadline, m.deadline, m.Failure.hasSent = false, false, 0, false
		m.timeout = 0
		m.Selector, m.Identity, m.Data, m.Meta, m.Depth = nil, nil, nil, nil, 0
		m.Reason = []byte(jsonscan.Cut(string(m.Reason), 1<<10))
		m.Topic = bytes.ToValidUTF8(m.Topic[:min(len(m.Topic), MaxTypeBytes)], nil)
		m.Text = []byte(jsonscan.Cut(string(m.Text), 4<<10))
		if string(m.Output) == "null" {
			m.Output = nil
		}
		if m.Failure.Details != nil {
			m.Failure.Details = bytes.Clone(m.Failure.Details)
		}
	}
	for _, pair := range [][2]*[]byte{{&want.Reason, &got.Reason}, {&want.Topic, &got.Topic}, {&want.Text, &got.Text}, {&want.To, &got.To},
		{&want.OriginID, &got.OriginID}, {&want.ParentID, &got.ParentID}, {&want.Action, &got.Action}, {&want.Code, &got.Code}, {&want.Metadata, &got.Metadata}} {
		for _, p := range pair {
			if len(*p) == 0 { // an empty text is written as none, or read as one
				*p = nil
			}
		}
	}
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("%+v\nbecame, as %s,\n%+v", want, text, got)
	}
	if left, then := m.Timeout(now), again.Timeout(now); then < left || then-left >= time.Millisecond {
		t.Errorf("the timeout %v became %v", left, then)
	}
}

func TestTimeout(t *testing.T) {
	for payload, want := range map[string]time.Duration{
		``:                                     0,
		`"timeout":100`:                        100 * time.Millisecond,
		`"timeout":0`:                          time.Nanosecond,
		`"timeout":-5`:                         time.Nanosecond,
		`"timeout":9223372036854775807`:        maxMillis * time.Millisecond,
		`"deadline":1764331201000`:             time.Second,
		`"deadline":1764331199000`:             time.Nanosecond,
		`"deadline":-9223372036854775808`:      time.Nanosecond,
		`"deadline":9223372036854775807`:       maxMillis * time.Millisecond,
		`"deadline":1764331201000,"timeout":5`: 5 * time.Millisecond,
		`"timeout":5,"deadline":1764331201000`: 5 * time.Millisecond,
	} {
		var m Message
		text := `{"type":"call.requested","payload":{"requestId":"1","operationId":"a.b"` + strings.TrimSuffix(","+payload, ",") + `}}`
		if err := Parse([]byte(text), &m); err != nil || m.Err != nil || m.Timeout(now) != want {
			t.Errorf("%s: %v, want %v; %v %v", payload, m.Timeout(now), want, err, m.Err)
		}
	}
	for d, want := range map[time.Duration]string{1: "1", time.Millisecond: "1", time.Millisecond + 1: "2", 1<<63 - 1: "9223372036855"} {
		if got := string(AppendRequested(nil, &Call{Timeout: d, IdleTimeout: d, Credit: -1})); strings.Count(got, `imeout":`+want+`,`) != 2 {
			t.Errorf("%v: %s", d, got)
		}
	}
}

func TestEnvelope(t *testing.T) {
	for output, want := range map[string]string{
		`{"data":1,"meta":{"source":"local"}}`:                 `1 {"source":"local"}`,
		`{"meta":{"x":1,"source":"http"},"data":[1],"z":2}`:    `[1] {"x":1,"source":"http"}`,
		`{"data":null,"meta":{"source":"mcp"}}`:                `null {"source":"mcp"}`,
		`{"data":1,"data":2,"meta":{"source":"local"}}`:        `{"data":1,"data":2,"meta":{"source":"local"}} `,
		`{"data":1,"meta":{"source":"a"},"meta":{}}`:           `{"data":1,"meta":{"source":"a"},"meta":{}} `,
		`{"data":1,"meta":{"source":""}}`:                      `{"data":1,"meta":{"source":""}} `,
		`{"data":1,"meta":{"source":7}}`:                       `{"data":1,"meta":{"source":7}} `,
		`{"data":1,"meta":{"source":"local","source":"http"}}`: `1 {"source":"local","source":"http"}`,
		`{"data":1,"meta":{"source":"localx"}}`:                `1 {"source":"localx"}`,
		`{"data":1}`:                                           `{"data":1} `,
		`{"data":1,"meta":null}`:                               `{"data":1,"meta":null} `,
		`5`:                                                    `5 `, `null`: `null `, `[1]`: `[1] `, `{}`: `{} `, ``: ` `, `{"data":1`: `{"data":1 `,
	} {
		data, meta := ParseEnvelope([]byte(output))
		if got := string(data) + " " + string(meta); got != want {
			t.Errorf("%s: %s, want %s", output, got, want)
		}
		if !json.Valid([]byte(output)) {
			continue
		}
		var m Message
		if err := Parse([]byte(`{"type":"call.responded","payload":{"requestId":"1","output": `+output+` }}`), &m); err != nil || string(m.Data)+" "+string(m.Meta) != want || string(m.Output) != output {
			t.Errorf("%s in a message: %s %s, %v", output, m.Data, m.Meta, err)
		}
	}
}

func TestAnswered(t *testing.T) {
	for _, id := range []string{"1", `a"\`, "é\n", strings.Repeat(`\`, 128)} {
		for frame, want := range map[string]Type{
			string(AppendResponded(nil, id, []byte(`{"requestId":"x"}`))): Responded, string(AppendCompleted(nil, id)): Completed,
			string(AppendFailed(nil, id, &Failure{Code: "A"}, 0)): Failed,
		} {
			got, typ := Answered([]byte(frame))
			if !bytes.Equal(got, QuotedID(id)) || typ != want {
				t.Errorf("%s: %s %v", frame, got, typ)
			}
			if again, _ := Answered(AppendFailedTo(nil, got, &Failure{})); !bytes.Equal(again, got) {
				t.Errorf("%s answered as %s", got, again)
			}
		}
		for _, frame := range [][]byte{AppendRequested(nil, &Call{ID: id}), AppendAborted(nil, id, ""), AppendCredited(nil, id, 1), AppendEvent(nil, "a", nil)} {
			if got, _ := Answered(frame); got != nil {
				t.Errorf("%s answers %s", frame, got)
			}
		}
	}
	for end := range respondedHead {
		_, _ = Answered([]byte(respondedHead)[:end:end])
	}
}

// An error that does not fit is cut, and its message reports that.
func TestFailedWithin(t *testing.T) {
	f := &Failure{Code: "A", Message: strings.Repeat("語\n", 300), Details: []byte(`{"x":"` + strings.Repeat("y", 500) + `"}`)}
	whole := int64(len(AppendFailed(nil, "1", f, 0)))
	for limit := int64(200); limit < whole+3; limit++ {
		text := AppendFailed(nil, "1", f, limit)
		var m Message
		if err := Parse(text, &m); err != nil || m.Err != nil || int64(len(text)) > limit {
			t.Fatalf("limit %d: %d bytes, %v %v", limit, len(text), err, m.Err)
		}
		if cut := strings.Contains(m.Failure.Message, "bytes in all)"); cut != (m.Failure.Message[:3] != f.Message[:3]) && cut != (limit < whole) {
			t.Fatalf("limit %d of %d: %q", limit, whole, m.Failure.Message)
		}
		if left := strings.HasSuffix(m.Failure.Message, "left out)"); left != (m.Failure.Details == nil) {
			t.Fatalf("limit %d: %q with details %s", limit, m.Failure.Message, m.Failure.Details)
		}
	}
}

// Details are kept while the error without its message takes half of the limit at most.
func TestFailedKeepsSmallDetails(t *testing.T) {
	f := &Failure{Code: "A", Details: []byte(`{"x":"` + strings.Repeat("y", 500) + `"}`)}
	bare := int64(len(AppendFailed(nil, "1", f, 0)))
	f.Message = strings.Repeat("m", 5000)
	for limit, kept := range map[int64]bool{2 * bare: true, 2*bare + 1: true, 2*bare - 1: false, 2*bare - 2: false} {
		var m Message
		if err := Parse(AppendFailed(nil, "1", f, limit), &m); err != nil || m.Err != nil {
			t.Fatal(err, m.Err)
		}
		if got := m.Failure.Details != nil; got != kept || strings.HasSuffix(m.Failure.Message, "details of 508 bytes left out)") == kept {
			t.Errorf("limit %d for %d bytes: details %s, message …%s", limit, bare, m.Failure.Details, m.Failure.Message[max(0, len(m.Failure.Message)-60):])
		}
	}
}

func TestRegisteredRoundTrip(t *testing.T) {
	for _, r := range []*Registered{
		{HubID: "h", SpokeID: `s"\`, ConnectionID: "c", Generation: 1_764_331_200_987, HeartbeatInterval: 25_098, MaxMessageBytes: 1 << 20, MaxDepth: 256, MaxRegistrationBytes: 98_765, MaxOperations: 12_389},
		{SpokeID: "s", Session: &Session{ID: "x", Received: 1<<63 - 1, Window: 15_098, Buffer: 4 << 20, URL: "wss://x"}},
		{SpokeID: "s", Session: &Session{ID: "x"}},
	} {
		text := r.AppendTo(nil)
		got, err := ParseRegistered(text)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{`{}`, `{"spokeId":""}`, `{"spokeId":"s","maxDepth":-1}`, `{"spokeId":"s","session":{}}`, `{"spokeId":"s","session":{"id":"x","window":-1}}`, `[]`, `null`} {
		if r, err := ParseRegistered([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, r)
		}
	}
}

func FuzzRegistration(f *testing.F) {
	for _, s := range []string{`{}`, ``, `null`, `[]`, `{"spokeId":"w","instanceId":"i","attempt":0,"labels":{"a":"b"},"maxInFlight":5,"maxMessageBytes":9,
		"operations":[{"name":"a.b","type":"query","inputSchema":{"a":[1]},"outputSchema":null,"errorCodes":["A_B"],"accessControl":{"requiredScopes":["s"],"resourceType":"t","resourceAction":"a"}}],"session":{"id":"x","received":1}}`,
		`{"SPOKEID":"x","attempt":-1}`, `{"maxInFlight":-1}`, `{"spokeId":"\u0000"}`, `{"operations":{}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 0 && !json.Valid(input) {
			return
		}
		r, err := ParseRegistration(input)
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", r, err)
		}
		again, err := ParseRegistration(text)
		if err != nil {
			t.Fatalf("%s was accepted and is refused as\n%s\n%v", input, text, err)
		}
		x, y := fmt.Sprintf("%+v", *r), fmt.Sprintf("%+v", *again)
		if strings.ReplaceAll(x, " ", "") == "" || len(r.Operations) == 0 != (len(again.Operations) == 0) || r.SpokeID != again.SpokeID || r.Attempt != again.Attempt ||
			(r.Session == nil) != (again.Session == nil) || r.Session != nil && *r.Session != *again.Session {
			t.Errorf("%s\nbecame\n%s", x, y)
		}
		_, _ = ParseOperation(input)
	})
}

func FuzzFailure(f *testing.F) {
	for _, s := range []string{`{"code":"A","message":"m","retryable":true,"details":{"sent":false,"x":[1,{"y":2}]}}`, `{"code":"A"`, `null`,
		`{"details":{"sent":true,"sent":false}}`, `{"code":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := ParseFailure(raw)
		if !ValidCode(e.Code) {
			t.Fatalf("code %q", e.Code)
		}
		text := append(AppendFailureMembers([]byte{'{'}, &e), '}')
		again := ParseFailure(text)
		if json.Valid(raw) && !json.Valid(text) {
			t.Fatalf("%s became %s", raw, text)
		}
		same := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
		if again.Code != e.Code || !strings.EqualFold(same(again.Message), same(e.Message)) && slices.IndexFunc([]byte(e.Message), func(b byte) bool { return b >= 0x80 }) < 0 ||
			again.Sent != e.Sent || again.Retryable != e.Retryable {
			t.Errorf("%+v became %+v", e, again)
		}
	})
}

// benchPayloads are values by shape and size.
func benchPayloads(f func(name string, raw []byte)) {
	for _, z := range []struct {
		name string
		n    int
	}{{"128B", 128}, {"4KiB", 4096}} {
		f("string/"+z.name, []byte(`{"text":"`+strings.Repeat("x", z.n-11)+`"}`))
		f("many/"+z.name, []byte(`{"a":1`+strings.Repeat(`,"name":"v","n":1234`, z.n/20)+`}`))
		f("mixed/"+z.name, []byte(`{"text":"`+strings.Repeat("слово, mot français, 単語. ", z.n/40)+`"}`))
	}
}

func BenchmarkParse(b *testing.B) {
	benchPayloads(func(name string, raw []byte) {
		for kind, data := range map[string][]byte{
			"requested": AppendRequested(nil, &Call{ID: "0193a7c2", Operation: "text.wordcount", To: "worker-17", OriginID: "0193a7c2", Input: raw, Timeout: 30 * time.Second, Credit: -1}),
			"responded": AppendRespondedData(nil, "0193a7c2", raw, nil, "text.wordcount", now),
		} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				var m Message
				for b.Loop() {
					if err := Parse(data, &m); err != nil || m.Err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}
