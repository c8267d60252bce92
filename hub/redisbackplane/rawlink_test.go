package redisbackplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/transport"
)

// These tests hold section 9 of the protocol, "Hub to hub": one side is a backplane, the other one writes and reads the messages.

// wire is a message as it is in Redis.
type wire struct {
	From        string            `json:"from"`
	Incarnation string            `json:"incarnation"`
	To          string            `json:"to"`
	Seq         uint64            `json:"seq"`
	Sizes       []int             `json:"sizes,omitempty"`
	Frames      []json.RawMessage `json:"frames,omitempty"`
	Open        bool              `json:"open,omitempty"`
	Tick        bool              `json:"tick,omitempty"`
	Busy        bool              `json:"busy,omitempty"`
	Reset       bool              `json:"reset,omitempty"`
	Close       *wireClose        `json:"close,omitempty"`
}

type wireClose struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

func (w wire) String() string {
	text, _ := json.Marshal(w) // it always can be marshalled
	return string(text)
}

func framesOf(texts ...string) []json.RawMessage {
	var list []json.RawMessage
	for _, s := range texts {
		list = append(list, json.RawMessage(s))
	}
	return list
}

// rawHub is another hub, named far, that the test plays, and the near one, which is a backplane.
type rawHub struct {
	*testing.T
	server   *redistest.Server
	client   rueidis.Client
	got      chan wire
	deaf     func() // ends the subscription
	near     *redisbackplane.Backplane
	links    hub.Links
	accepted chan accepted
	leave    func()
	incs     int
}

type accepted struct {
	from string
	conn transport.Conn
}

func newRawHub(t *testing.T, server *redistest.Server, o *redisOptions) *rawHub {
	t.Helper()
	return newRawHubOf(t, server, func(t *testing.T) *redisbackplane.Backplane { return join(t, server.URL(), o) })
}

// newRawHubOf is newRawHub with the near hub's backplane.
func newRawHubOf(t *testing.T, server *redistest.Server, near func(*testing.T) *redisbackplane.Backplane) *rawHub {
	t.Helper()
	server.Do("FLUSHALL")
	client, err := redisbackplane.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r := &rawHub{T: t, server: server, client: client, got: make(chan wire, 100_000), accepted: make(chan accepted, 10_000)}
	dedicated, cancel := client.Dedicate()
	t.Cleanup(cancel)
	dedicated.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) {
		var w wire
		if err := json.Unmarshal([]byte(m.Message), &w); err != nil {
			t.Errorf("%q: %v", m.Message, err)
		}
		r.got <- w
	}})
	r.deaf = func() {
		r.do(dedicated, dedicated.B().Unsubscribe().Channel("alk:hubspoke:inbox:{far}").Build())
	}
	r.do(dedicated, dedicated.B().Subscribe().Channel("alk:hubspoke:inbox:{far}").Build())
	r.near = near(t)
	r.links = r.near.Backplane().Links
	r.leave, err = r.links.Join("near", func(from string, c transport.Conn) { r.accepted <- accepted{from, c} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.leave() })
	return r
}

func (r *rawHub) do(c interface {
	Do(context.Context, rueidis.Completed) rueidis.RedisResult
}, cmd rueidis.Completed) {
	r.Helper()
	if err := c.Do(r.Context(), cmd).Error(); err != nil {
		r.Fatal(err)
	}
}

func (r *rawHub) post(text string) {
	r.Helper()
	r.do(r.client, r.client.B().Publish().Channel("alk:hubspoke:inbox:{near}").Message(text).Build())
}

func (r *rawHub) send(w wire) {
	r.Helper()
	r.post(w.String())
}

// next reads the next message to far.
func (r *rawHub) next() wire {
	r.Helper()
	select {
	case w := <-r.got:
		return w
	case <-time.After(longest):
		r.Fatal("no message")
		return wire{}
	}
}

func (r *rawHub) want(want wire) {
	r.Helper()
	if got := r.next(); got.String() != want.String() {
		r.Errorf("got  %s\nwant %s", got, want)
	}
}

// nothing checks that no message has come: the near hub answers what is sent now before anything later.
func (r *rawHub) nothing() {
	r.Helper()
	r.incs++
	stray := fmt.Sprint("stray.", r.incs)
	r.send(wire{From: "far", Incarnation: stray, To: "unknown", Seq: 1, Frames: framesOf("1")})
	if w := r.next(); !w.Reset || w.To != stray {
		r.Errorf("got %s, want nothing", w)
		r.next()
	}
}

// rawLink is one link: the ends of far and near.
type rawLink struct {
	*rawHub
	conn      transport.Conn
	far, near string // incarnations
	seq       uint64
}

// open opens a link from far.
func (r *rawHub) open(incarnation string) *rawLink {
	r.Helper()
	r.send(wire{From: "far", Incarnation: incarnation, Open: true})
	a := <-r.accepted
	w := r.next()
	if a.from != "far" || !w.Tick || w.From != "near" || w.To != incarnation || w.Incarnation == "" || w.Seq != 0 {
		r.Fatalf("accepted from %q, answered with %s", a.from, w)
	}
	return &rawLink{r, a.conn, incarnation, w.Incarnation, 0}
}

func (l *rawLink) head() wire { return wire{From: "far", Incarnation: l.far, To: l.near, Seq: l.seq} }

// frames sends the next message with frames.
func (l *rawLink) frames(texts ...string) {
	l.Helper()
	l.seq++
	w := l.head()
	w.Frames = framesOf(texts...)
	l.send(w)
}

func (l *rawLink) reads(texts ...string) {
	l.Helper()
	for _, want := range texts {
		if got, err := l.conn.Read(); err != nil || string(got) != want {
			l.Fatalf("read %q, %v, want %q", got, err, want)
		}
	}
}

// lost reads the end of a link that was reset, and checks that writing fails.
func (l *rawLink) lost(why string) {
	l.Helper()
	if got, err := l.conn.Read(); !errors.Is(err, transport.ErrLost) || !strings.Contains(err.Error(), why) {
		l.Errorf("Read: %q, %v, want it lost: %s", got, err, why)
	}
	if err := l.conn.Write([][]byte{[]byte("1")}); !errors.Is(err, transport.ErrLost) || !strings.Contains(err.Error(), why) {
		l.Errorf("Write: %v, want it lost: %s", err, why)
	}
}

// works checks that frames still pass both ways.
func (l *rawLink) works(written uint64) {
	l.Helper()
	l.frames(`"hello"`)
	l.reads(`"hello"`)
	if err := l.conn.Write([][]byte{[]byte(`"back"`)}); err != nil {
		l.Fatal(err)
	}
	l.want(wire{From: "near", Incarnation: l.near, To: l.far, Seq: written + 1, Sizes: []int{6}, Frames: framesOf(`"back"`)})
}

func (l *rawLink) isReset() {
	l.Helper()
	l.want(wire{From: "near", Incarnation: l.near, To: l.far, Reset: true})
}

// What the other hub sends on a link, and what becomes of the link.
func TestLinkMessages(t *testing.T) {
	server := redistest.Start(t)
	for name, c := range map[string]struct {
		run  func(l *rawLink)
		want redisbackplane.Stats // what the run makes it count
	}{
		"both ways": {func(l *rawLink) { l.works(0); l.works(1); l.works(2) }, redisbackplane.Stats{}},
		"any order, without sizes": {func(l *rawLink) {
			l.post(fmt.Sprintf(` { "frames": [ {"a" : 1} , [2]], "seq": 1, "more": {}, "to": %q, "incarnation": %q, "from": "far"} `, l.near, l.far))
			l.reads(`{"a" : 1}`, `[2]`)
			l.seq++
			l.works(0)
		}, redisbackplane.Stats{}},
		"with sizes": {func(l *rawLink) {
			l.post(fmt.Sprintf(`{"from":"far","incarnation":%q,"to":%q,"seq":1,"sizes":[3,0,2],"frames":[],[,,{}]}`, l.far, l.near))
			l.reads(`],[`, ``, `{}`)
			l.seq++
			l.works(0)
		}, redisbackplane.Stats{}},
		"no frames": {func(l *rawLink) { // a message without frames still has a number
			l.post(fmt.Sprintf(`{"from":"far","incarnation":%q,"to":%q,"seq":1,"sizes":[],"frames":[]}`, l.far, l.near))
			l.post(fmt.Sprintf(`{"frames":[],"seq":2,"to":%q,"incarnation":%q,"from":"far"}`, l.near, l.far))
			l.seq = 2
			l.works(0)
		}, redisbackplane.Stats{}},
		"the end of near not named": {func(l *rawLink) { // as before far knows it
			w := l.head()
			w.To, w.Seq, w.Frames = "", 1, framesOf("1")
			l.send(w)
			l.seq++
			l.reads("1")
			l.works(0)
		}, redisbackplane.Stats{}},
		"a message twice": {func(l *rawLink) {
			l.frames("1")
			l.frames("2")
			for l.seq = 0; l.seq < 2; {
				l.frames("3")
			}
			l.reads("1", "2")
			l.works(0)
		}, redisbackplane.Stats{}},
		"ticks": {func(l *rawLink) {
			for range 3 {
				w := l.head()
				w.Tick = true
				l.send(w)
				l.frames("1")
				l.send(w) // an old one
				l.reads("1")
			}
			l.works(0)
		}, redisbackplane.Stats{}},
		"a second open": {func(l *rawLink) {
			l.send(wire{From: "far", Incarnation: l.far, Open: true})
			l.nothing()
			l.works(0)
			if n := len(l.accepted); n != 0 {
				l.Errorf("%d more links were accepted", n)
			}
		}, redisbackplane.Stats{Strays: 1}},
		"a message is missing": {func(l *rawLink) {
			l.frames("1", "2")
			l.seq++
			l.frames("4")
			l.isReset()
			l.reads("1", "2") // what came before
			l.lost("a message was lost")
			l.frames("5")
			if w := l.next(); !w.Reset || w.To != l.far {
				l.Errorf("got %s", w)
			}
		}, redisbackplane.Stats{LinksReset: 1, Gaps: 1, Strays: 1}},
		"the first message is missing": {func(l *rawLink) {
			l.seq++
			l.frames("2")
			l.isReset()
			l.lost("a message was lost")
		}, redisbackplane.Stats{LinksReset: 1, Gaps: 1}},
		"a tick shows that one is missing": {func(l *rawLink) {
			l.frames("1")
			w := l.head()
			w.Tick, w.Seq = true, 2
			l.send(w)
			l.isReset()
			l.reads("1")
			l.lost("a message was lost")
		}, redisbackplane.Stats{LinksReset: 1, Gaps: 1}},
		"a close shows that one is missing": {func(l *rawLink) {
			w := l.head()
			w.Close, w.Seq = &wireClose{1000, ""}, 2
			l.send(w)
			l.isReset()
			l.lost("a message was lost")
		}, redisbackplane.Stats{LinksReset: 1, Gaps: 1}},
		"reset": {func(l *rawLink) {
			l.frames("1")
			w := l.head()
			w.Reset = true
			l.send(w)
			l.reads("1")
			l.lost("reset")
			l.nothing() // it is not answered
		}, redisbackplane.Stats{LinksReset: 1, Strays: 1}},
		"reset by the incarnation of far alone": {func(l *rawLink) {
			l.send(wire{From: "far", Incarnation: l.far, Reset: true})
			l.lost("reset")
		}, redisbackplane.Stats{LinksReset: 1}},
		"reset without an incarnation": {func(l *rawLink) {
			l.send(wire{From: "far", To: l.near, Reset: true})
			l.lost("reset")
		}, redisbackplane.Stats{LinksReset: 1}},
		"resets of something else": {func(l *rawLink) {
			for _, w := range []wire{
				{From: "other", Incarnation: l.far, To: l.near}, {From: "other", Incarnation: l.far},
				{From: "far", Incarnation: l.far, To: "unknown"}, {From: "far", Incarnation: "unknown"}, {From: "far"},
			} {
				w.Reset = true
				l.send(w)
			}
			l.nothing()
			l.works(0)
		}, redisbackplane.Stats{Strays: 1}},
		"frames for something else": {func(l *rawLink) {
			for _, w := range []wire{
				{From: "far", Incarnation: l.far, To: "unknown"}, {From: "far", Incarnation: "unknown"},
				{From: "far", Incarnation: "another", To: l.near},
			} {
				w.Seq, w.Frames = 1, framesOf("1")
				l.send(w)
				l.want(wire{From: "near", To: w.Incarnation, Reset: true})
			}
			l.send(wire{From: "other", Incarnation: l.far, To: l.near, Seq: 1, Frames: framesOf("1")}) // the answer is not for far
			l.works(0)
		}, redisbackplane.Stats{Strays: 4}},
		"closed by far": {func(l *rawLink) {
			l.frames("1")
			l.seq++
			w := l.head()
			w.Close = &wireClose{4010, "a reason"}
			l.send(w)
			l.want(wire{From: "near", Incarnation: l.near, To: l.far, Seq: 1, Close: w.Close})
			l.reads("1")
			for range 2 {
				_, err := l.conn.Read()
				ce, ok := errors.AsType[*transport.CloseError](err)
				if !ok || ce.Code != 4010 || ce.Reason != "a reason" || !ce.Remote {
					l.Errorf("%v", err)
				}
			}
		}, redisbackplane.Stats{}},
		"frames after the end": {func(l *rawLink) { // nothing that comes later is read, not even what was missing
			lost := l.open("life.2")
			l.frames("1")
			l.seq++
			w := l.head()
			w.Close = &wireClose{4010, "a reason"}
			l.send(w)
			l.want(wire{From: "near", Incarnation: l.near, To: l.far, Seq: 1, Close: w.Close})
			l.frames("3")
			l.nothing() // so it has arrived
			l.reads("1")
			_, err := l.conn.Read()
			wantClose(l.T, err, 4010, true)
			lost.frames("1")
			lost.seq = 2
			lost.frames("3")
			lost.isReset()
			lost.seq = 1
			lost.frames("2")
			lost.frames("3")
			lost.nothing()
			lost.reads("1")
			lost.lost("a message was lost")
		}, redisbackplane.Stats{LinksReset: 1, Gaps: 1, Strays: 2}},
		"closed by near": {func(l *rawLink) {
			l.works(0)
			l.conn.Close(4011, "why")
			l.want(wire{From: "near", Incarnation: l.near, To: l.far, Seq: 2, Close: &wireClose{4011, "why"}})
			wantClose(l.T, l.conn.Write([][]byte{[]byte("late")}), 4011, false)
			l.nothing()
			l.frames("1") // it is discarded
			l.seq++
			w := l.head()
			w.Close = &wireClose{4012, "another"}
			l.send(w)
			_, err := l.conn.Read()
			wantClose(l.T, err, 4011, false)
			l.nothing()
		}, redisbackplane.Stats{Strays: 2}},
		"garbage": {func(l *rawLink) {
			for _, text := range []string{`{"from":"far","incarnation":"x","to":"","seq":1,"sizes":[1],"frames":[`, `{"from":"far","incarnation":"","open":true}`,
				`{"from":"far","incarnation":"x","seq":-1,"open":true}`, `{"from":"far","incarnation":"x"`} {
				l.post(text)
			}
			l.nothing()
			l.works(0)
		}, redisbackplane.Stats{Strays: 1, GarbageMessages: 4}},
		"aborted": {func(l *rawLink) {
			l.works(0)
			l.conn.Abort()
			l.isReset()
			l.lost("aborted")
		}, redisbackplane.Stats{}},
		"left": {func(l *rawLink) {
			l.frames("1")
			l.nothing() // near has received it
			l.leave()
			l.isReset()
			l.reads("1")
			l.lost("left")
			if _, err := l.links.Dial(l.Context(), "near", "far"); err == nil {
				l.Error("a hub that has left dials")
			}
		}, redisbackplane.Stats{LinksReset: 1, Strays: 1}},
		"left after a close": {func(l *rawLink) {
			l.conn.Close(4011, "why")
			l.leave()
			l.want(wire{From: "near", Incarnation: l.near, To: l.far, Seq: 1, Close: &wireClose{4011, "why"}})
			_, err := l.conn.Read()
			wantClose(l.T, err, 4011, false)
		}, redisbackplane.Stats{}},
		"nobody hears": {func(l *rawLink) {
			l.works(0)
			l.deaf()
			if err := l.conn.Write([][]byte{[]byte("1")}); !errors.Is(err, transport.ErrLost) || !strings.Contains(err.Error(), "no hub hears") {
				l.Errorf("Write: %v", err)
			}
			l.lost("no hub hears")
		}, redisbackplane.Stats{LinksReset: 1}},
		"the other hub has a new life": {func(l *rawLink) {
			l.frames("1")
			second := l.open("life.2")
			third := l.open("new.1")
			for _, old := range []*rawLink{l, second} {
				if old == l {
					old.reads("1")
				}
				old.lost("begun anew")
			}
			third.works(0)
			l.nothing()
		}, redisbackplane.Stats{LinksReset: 2, Strays: 1}},
		"two links": {func(l *rawLink) {
			second := l.open("life.2")
			l.works(0)
			second.works(0)
			l.conn.Abort()
			l.isReset()
			second.works(1)
			if l.near == second.near {
				l.Errorf("both are %s", l.near)
			}
		}, redisbackplane.Stats{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRawHub(t, server, nil)
			l := r.open("life.1")
			if addr := l.conn.RemoteAddr(); addr != "redis:far" {
				t.Errorf("remote address %q", addr)
			}
			c.run(l)
			s := r.near.Stats()
			if got := (redisbackplane.Stats{LinksReset: s.LinksReset, Gaps: s.Gaps, Strays: s.Strays,
				GarbageMessages: s.GarbageMessages}); got != c.want {
				t.Errorf("counted %+v, want %+v", got, c.want)
			}
		})
	}
}

// A hub dials: the other hub learns of the link and reports the incarnation of its end.
func TestLinkDial(t *testing.T) {
	server := redistest.Start(t)
	r := newRawHub(t, server, nil)
	if _, err := r.links.Dial(t.Context(), "near", "nobody"); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("a hub that is not there: %v", err)
	}
	if _, err := r.links.Dial(t.Context(), "far", "near"); err == nil {
		t.Error("a hub that has not joined dialled")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.links.Dial(ctx, "near", "far"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	given := r.next()
	if given.Open { // it came through all the same
		given = r.next()
	}
	if want := (wire{From: "near", Incarnation: given.Incarnation, Reset: true}); given.String() != want.String() {
		t.Errorf("got  %s\nwant %s", given, want)
	}
	conn, err := r.links.Dial(t.Context(), "near", "far")
	if err != nil {
		t.Fatal(err)
	}
	open := r.next()
	if want := (wire{From: "near", Incarnation: open.Incarnation, Open: true}); open.String() != want.String() {
		t.Errorf("got  %s\nwant %s", open, want)
	}
	write := func(seq uint64, to string) {
		t.Helper()
		if err := conn.Write([][]byte{[]byte("1"), []byte("22")}); err != nil {
			t.Fatal(err)
		}
		r.want(wire{From: "near", Incarnation: open.Incarnation, To: to, Seq: seq, Sizes: []int{1, 2}, Frames: framesOf("1", "22")})
	}
	write(1, "") // far has sent nothing yet
	l := &rawLink{r, conn, "life.1", open.Incarnation, 0}
	before := conn.LastReceived()
	w := l.head()
	w.Tick = true
	r.send(w)
	within(t, time.Second, "it is heard", func() bool { return conn.LastReceived().After(before) })
	write(2, "life.1")
	l.works(2)
	if s := r.near.Stats(); s.Published != 3 || s.Frames != 5 {
		t.Errorf("%d messages, %d frames", s.Published, s.Frames)
	}
	if _, err := r.links.Join("near", func(string, transport.Conn) {}); !errors.Is(err, hub.ErrHubIDInUse) {
		t.Errorf("a second Join: %v", err)
	}
	l.works(3)
	r.leave()
	l.isReset()
	r.leave, err = r.links.Join("near", func(from string, c transport.Conn) { r.accepted <- accepted{from, c} })
	if err != nil {
		t.Fatal(err)
	}
	r.open("life.2").works(0)
}

// Frames go together up to 1 MiB, the commas between them included; a larger one goes alone.
func TestLinkBatches(t *testing.T) {
	const most = 1 << 20
	server := redistest.Start(t)
	l := newRawHub(t, server, nil).open("life.1")
	text := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }
	for _, c := range []struct{ sizes, messages []int }{
		{[]int{2}, []int{1}},
		{[]int{most, 2}, []int{1, 1}},
		{[]int{most - 4, 3}, []int{2}},
		{[]int{most - 3, 3}, []int{1, 1}},
		{[]int{3, most - 4, 3}, []int{2, 1}},
		{[]int{2 * most, 3, 3, most - 9, 3}, []int{1, 3, 1}},
	} {
		var batch [][]byte
		for _, n := range c.sizes {
			batch = append(batch, text(n))
		}
		if err := l.conn.Write(batch); err != nil {
			t.Fatal(err)
		}
		for i, n := range c.messages {
			if w := l.next(); len(w.Frames) != n || len(w.Sizes) != n {
				t.Errorf("%v: message %d has %d frames and %d sizes, want %d", c.sizes, i, len(w.Frames), len(w.Sizes), n)
			}
		}
	}
	l.nothing()
}

// A link whose large frame has been read keeps no memory for it once a small one is.
func TestLinkKeepsNoLargeBuffer(t *testing.T) {
	l := newRawHub(t, redistest.Start(t), nil).open("life.1")
	for _, c := range []struct{ size, most int }{{1 << 20, 2 << 20}, {100, 64 << 10}, {60 << 10, 128 << 10}, {5, 128 << 10}} {
		l.frames(`"` + strings.Repeat("x", c.size-2) + `"`)
		if msg, err := l.conn.Read(); err != nil || len(msg) != c.size || cap(msg) > c.most {
			t.Errorf("a frame of %d bytes in a buffer of %d: %v", len(msg), cap(msg), err)
		}
	}
}

// A hub that has left and joins again hears, also while its place in the directory, which has the same
// subscription, remains.
func TestLeaveAndJoinAgain(t *testing.T) {
	r := newRawHub(t, redistest.Start(t), nil)
	dir := r.near.Backplane().Directory
	n := 0
	rejoin := func() {
		t.Helper()
		r.leave()
		leave, err := r.links.Join("near", func(from string, c transport.Conn) { r.accepted <- accepted{from, c} })
		if err != nil {
			t.Fatal(err)
		}
		r.leave = leave
		n++
		l := r.open(fmt.Sprint("life.", n))
		l.works(0)
		l.conn.Abort()
		l.isReset()
	}
	rejoin()
	leave, err := dir.Join(t.Context(), "near", func(hub.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	rejoin()
	leave(t.Context())
	rejoin()
}

// Unread frames are bounded; each frame counts with 32 bytes more.
func TestLinkUnread(t *testing.T) {
	server := redistest.Start(t)
	for over := range 2 {
		t.Run(fmt.Sprint(over), func(t *testing.T) {
			l := newRawHub(t, server, &redisOptions{LinkBytes: 1000}).open("life.1")
			for range 3 { // what has been read does not count
				l.frames(`"` + strings.Repeat("x", 798) + `"`)
				if _, err := l.conn.Read(); err != nil {
					t.Fatal(err)
				}
			}
			l.frames(`"`+strings.Repeat("x", 398)+`"`, `"`+strings.Repeat("x", 398)+`"`)
			l.frames(`"` + strings.Repeat("x", 1000-864-32-2+over) + `"`)
			if over == 0 {
				l.nothing()
			} else {
				l.isReset()
			}
			for range 3 {
				if _, err := l.conn.Read(); err != nil {
					t.Fatal(err)
				}
			}
			if over == 0 {
				l.works(0)
			} else {
				l.lost("too much is waiting")
			}
		})
	}
}

// The links of a hub are bounded.
func TestLinksAtMost(t *testing.T) {
	const most = 4096
	server := redistest.Start(t)
	r := newRawHub(t, server, nil)
	for i := range most {
		r.send(wire{From: "far", Incarnation: fmt.Sprint("life.", i), Open: true})
	}
	var last accepted
	for range most {
		last = <-r.accepted
		for !r.next().Tick {
		}
	}
	r.send(wire{From: "far", Incarnation: "life.x", Open: true})
	r.want(wire{From: "near", To: "life.x", Reset: true})
	if _, err := r.links.Dial(t.Context(), "near", "far"); err == nil || !strings.Contains(err.Error(), "too many links: limit 4096 of one hub") {
		t.Errorf("one more: %v", err)
	}
	last.conn.Abort()
	if w := r.next(); !w.Reset {
		t.Errorf("got %s", w)
	}
	r.open("life.y").works(0)
}

// While something is in flight at one of two hubs, both send ticks, and three seconds of silence end the link.
func TestLinkTicks(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := newRawHub(t, server, nil)
	l := r.open("life.1")
	idle := r.open("life.2")
	idle.conn.(hub.Watched).Watch(func() bool { return false })
	theirs := l.head()
	theirs.Tick, theirs.Busy = true, true
	l.send(theirs)
	l.want(wire{From: "near", Incarnation: l.near, To: l.far, Tick: true}) // far is busy
	l.conn.(hub.Watched).Watch(func() bool { return true })
	theirs.Busy = false
	for range 5 { // longer than the silence that ends a link
		l.want(wire{From: "near", Incarnation: l.near, To: l.far, Tick: true, Busy: true})
		l.send(theirs)
	}
	begin := time.Now()
	for ticks := 0; ; ticks++ {
		w := l.next()
		if w.Reset && ticks >= 2 && ticks <= 3 {
			break
		} else if !w.Tick || !w.Busy {
			t.Fatalf("after %d ticks: %s", ticks, w)
		}
	}
	if d := time.Since(begin); d < 2*time.Second {
		t.Errorf("the link ended after %v of silence", d)
	}
	l.lost("nothing was heard")
	if s := r.near.Stats(); s.Silences != 1 || s.LinksReset != 1 {
		t.Errorf("%+v", s)
	}
	idle.works(0) // it is silent all the while, since nothing is in flight on it
	within(t, time.Second, "the hub checks its own subscription", func() bool { return r.near.Stats().Probes == 1 })
}

// A close without an answer ends the link after a second.
func TestLinkCloseLingers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l := newRawHub(t, server, nil).open("life.1")
	begin := time.Now()
	l.conn.Close(4011, "why")
	l.want(wire{From: "near", Incarnation: l.near, To: l.far, Seq: 1, Close: &wireClose{4011, "why"}})
	err := readEnd(l.conn)
	wantClose(t, err, 4011, false)
	if d := time.Since(begin); d < time.Second {
		t.Errorf("it did not wait for the answer: %v", d)
	}
}

// A link closes with what RFC 6455 lets a close carry: a code that may be sent, or none, and 123 bytes of UTF-8.
func TestLinkCloseFrames(t *testing.T) {
	server := redistest.Start(t)
	r := newRawHub(t, server, nil)
	n := 0
	for _, c := range []struct {
		code         transport.CloseCode
		reason, want string
		sendable     bool
	}{
		{0, "x", "", false}, {999, "x", "", false}, {1004, "x", "", false}, {1005, "x", "", false}, {1006, "x", "", false}, {1015, "x", "", false},
		{1016, "x", "", false}, {2999, "x", "", false}, {5000, "x", "", false},
		{1000, "x", "x", true}, {1003, "x", "x", true}, {1007, "x", "x", true}, {1014, "x", "x", true}, {3000, "x", "x", true}, {4999, "x", "x", true},
		{4000, "", "", true}, {4000, "\"\\\n\xff", "\"\\\n\uFFFD", true},
		{4000, strings.Repeat("x", 123), strings.Repeat("x", 123), true}, {4000, strings.Repeat("x", 124), strings.Repeat("x", 123), true},
		{4000, strings.Repeat("x", 122) + "ü", strings.Repeat("x", 122), true}, {4000, strings.Repeat("x", 120) + "€", strings.Repeat("x", 120) + "€", true},
		{4000, strings.Repeat("x", 121) + "€y", strings.Repeat("x", 121), true},
	} {
		n++
		l := r.open(fmt.Sprint("life.", n))
		l.conn.Close(c.code, c.reason)
		want := wire{From: "near", Incarnation: l.near, To: l.far, Seq: 1, Close: &wireClose{1005, c.want}}
		if c.sendable {
			want.Close.Code = int(c.code)
		}
		l.want(want)
		l.send(wire{From: "far", Incarnation: l.far, To: l.near, Seq: 1, Close: want.Close})
		wantClose(t, readEnd(l.conn), transport.CloseCode(want.Close.Code), false)
	}
}
