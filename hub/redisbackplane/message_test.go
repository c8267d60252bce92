package redisbackplane

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestMessage(t *testing.T) {
	frames := [][]byte{[]byte(`{"type":"x","payload":[1,"]}"]}`), []byte(`{}`), []byte(``)}
	text := string(appendFrames(appendHead(nil, quote("hub-a"), "l.1", "m.2", 7), frames))
	m, err := parseMessage(text)
	if err != nil || m.From != "hub-a" || m.Incarnation != "l.1" || m.To != "m.2" || m.Seq != 7 ||
		!slices.Equal(m.texts, []string{string(frames[0]), "{}", ""}) {
		t.Errorf("%+v, %v", m, err)
	}
	if k, _ := kindOf(text); k != kindLink {
		t.Errorf("kind %v", k)
	}
	// Any program may write it, in any order and without the sizes.
	m, err = parseMessage(`{"frames": [{"type":"x"}, {}], "seq": 3, "to": "m.2", "more": 1, "incarnation": "l.1", "from": "hub \"a\""}`)
	if err != nil || m.From != `hub "a"` || m.Seq != 3 || !slices.Equal(m.texts, []string{`{"type":"x"}`, "{}"}) {
		t.Errorf("%+v, %v", m, err)
	}
	// A hub id that needs escapes takes the slow way.
	text = string(appendFrames(appendHead(nil, quote("hub \"a\"\n"), "l.1", "", 1), frames[:2]))
	if m, err = parseMessage(text); err != nil || m.From != "hub \"a\"\n" || len(m.texts) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(string(appendFrames(appendHead(nil, quote("a"), "l.1", "m.2", 7), [][]byte{[]byte(`{}`), []byte(`{"type":"x"}`)})))
	f.Add(string(appendMail(nil, quote("a"), []byte(`{"spoke":"x"}`))))
	f.Add(string(appendProbe(nil, quote("a"), "x")))
	f.Add(`{"from":"a","incarnation":"x","to":"","seq":1,"sizes":[1,],"frames":[`)
	f.Add(`{"from":"a","incarnation":"x","close":{"code":1000,"reason":"x"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		kindOf(text)
		m, err := parseMessage(text)
		if err != nil {
			return
		}
		total := 0
		for _, s := range m.texts {
			total += len(s)
		}
		if total > len(text) {
			t.Errorf("%d bytes of frames in %d", total, len(text))
		}
		// What is ours and is JSON says the same when it is read as JSON.
		var plain message
		if parseOurs(text, &message{}) && json.Unmarshal([]byte(text), &plain) == nil && (plain.From != m.From || plain.Seq != m.Seq) {
			t.Errorf("read as %+v and as %+v", m, plain)
		}
	})
}
