package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/transport"
)

// scriptedDirectory is a directory in memory that a test lets report and answer what it wants.
type scriptedDirectory struct {
	hub.MemoryDirectory

	mu       sync.Mutex // guards the fields below
	lost     func(hub.Record)
	claims   []hub.Record
	onClaim  func(rec hub.Record) (int64, error) // instead of the directory's own answer, if not nil
	onSpoke  func(id string) (hub.Record, bool, error)
	released []int64
}

func (d *scriptedDirectory) Join(ctx context.Context, hubID string, lost func(hub.Record)) (func(context.Context), error) {
	d.lost = lost
	return d.MemoryDirectory.Join(ctx, hubID, lost)
}

func (d *scriptedDirectory) Claim(ctx context.Context, rec hub.Record) (int64, error) {
	d.mu.Lock()
	d.claims = append(d.claims, rec)
	on := d.onClaim
	d.mu.Unlock()
	if on != nil {
		return on(rec)
	}
	return d.MemoryDirectory.Claim(ctx, rec)
}

func (d *scriptedDirectory) Spoke(ctx context.Context, id string) (hub.Record, bool, error) {
	d.mu.Lock()
	on := d.onSpoke
	d.mu.Unlock()
	if on != nil {
		return on(id)
	}
	return d.MemoryDirectory.Spoke(ctx, id)
}

func (d *scriptedDirectory) Release(ctx context.Context, hubID, spokeID string, generation int64) error {
	d.mu.Lock()
	d.released = append(d.released, generation)
	d.mu.Unlock()
	return d.MemoryDirectory.Release(ctx, hubID, spokeID, generation)
}

func (d *scriptedDirectory) set(onClaim func(hub.Record) (int64, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onClaim = onClaim
}

// scriptedHub is hub-a, which believes that there are others.
func scriptedHub(t *testing.T, d *scriptedDirectory) *hub.Hub {
	t.Helper()
	h, err := hub.New(&hub.Options{AllowAnonymous: true, ID: "hub-a", DrainTimeout: 15 * time.Second,
		Backplane: &hub.Backplane{Directory: d, Links: &hub.MemoryLinks{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// readToEnd returns the frames that are left, and the code and reason of the close frame; "" if the connection is open.
func readToEnd(conn transport.Conn) (frames []string, end string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			frame, err := conn.Read()
			if ce, ok := errors.AsType[*transport.CloseError](err); ok {
				end = fmt.Sprintf("%d %s", ce.Code, ce.Reason)
			} else if err != nil {
				end = err.Error()
			}
			if err != nil {
				return
			}
			frames = append(frames, string(frame))
		}
	}()
	synctest.Wait()
	select {
	case <-done:
		return frames, end
	default:
		return nil, ""
	}
}

// Another hub takes a spoke over: its connection here is closed with the code that says for whom, unless the news is older than
// the connection.
func TestAnotherHubTakesASpoke(t *testing.T) {
	const (
		other      = "4004 the id is held by another identity"
		replaced   = "4502 replaced by another instance"
		superseded = "4006 superseded by a newer connection"
	)
	refuse := func(err error) func(hub.Record) (int64, error) {
		return func(hub.Record) (int64, error) { return 0, err }
	}
	for name, test := range map[string]struct {
		newer      hub.Record // without its generation
		older      bool       // its generation is lower
		withoutID  bool       // the spoke has no instance id
		claim      func(hub.Record) (int64, error)
		want       string
		claimed    int // how often the record was claimed
		generation int64
	}{
		"by another identity":          {newer: hub.Record{IdentityID: "b", InstanceID: "i", Attempt: 9}, want: other, claimed: 1},
		"by another instance":          {newer: hub.Record{IdentityID: "a", InstanceID: "j", Attempt: 9}, want: replaced, claimed: 1},
		"by the same instance":         {newer: hub.Record{IdentityID: "a", InstanceID: "i", Attempt: 6}, want: superseded, claimed: 1},
		"by the same attempt":          {newer: hub.Record{IdentityID: "a", InstanceID: "i", Attempt: 5}, want: superseded, claimed: 1},
		"no instance ids":              {newer: hub.Record{IdentityID: "a"}, withoutID: true, want: replaced, claimed: 1},
		"older news":                   {newer: hub.Record{IdentityID: "b", InstanceID: "j"}, older: true, claimed: 1},
		"of another spoke":             {newer: hub.Record{SpokeID: "t", IdentityID: "b", InstanceID: "j"}, claimed: 1},
		"older attempt":                {newer: hub.Record{IdentityID: "a", InstanceID: "i", Attempt: 4}, claimed: 2, claim: func(hub.Record) (int64, error) { return 1 << 60, nil }, generation: 1 << 60},
		"older attempt, ErrHeld":       {newer: hub.Record{IdentityID: "a", InstanceID: "i", Attempt: 4}, claimed: 2, claim: refuse(hub.ErrHeld), want: other},
		"older attempt, ErrSuperseded": {newer: hub.Record{IdentityID: "a", InstanceID: "i", Attempt: 4}, claimed: 2, claim: refuse(hub.ErrSuperseded), want: superseded},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				d := &scriptedDirectory{}
				h := scriptedHub(t, d)
				registration := `{"spokeId":"s","instanceId":"i","attempt":5,"operations":[{"name":"test.op"}]}`
				if test.withoutID {
					registration = `{"spokeId":"s","operations":[{"name":"test.op"}]}`
				}
				conn := rawSpoke(t, h, &call.Identity{ID: "a"}, registration)
				defer conn.Abort()
				d.set(test.claim)
				newer := test.newer
				if newer.SpokeID == "" {
					newer.SpokeID = "s"
				}
				newer.HubID, newer.Generation = "hub-b", h.Spokes(nil)[0].Generation+1
				if test.older {
					newer.Generation -= 2
				}
				d.lost(newer)
				if _, end := readToEnd(conn); end != test.want {
					t.Errorf("the connection ended with %q, want %q", end, test.want)
				}
				d.mu.Lock()
				claims := d.claims
				d.mu.Unlock()
				if len(claims) != test.claimed || claims[len(claims)-1].SpokeID != "s" || !test.withoutID && claims[len(claims)-1].Attempt != 5 {
					t.Errorf("claims %+v, want %d", claims, test.claimed)
				}
				left := h.Spokes(nil)
				if (len(left) == 1) != (test.want == "") {
					t.Errorf("spokes afterwards: %+v", left)
				}
				if test.generation != 0 && left[0].Generation != test.generation {
					t.Errorf("generation %d, want %d", left[0].Generation, test.generation)
				}
				providers, err := d.Providers(t.Context(), "test.op")
				if err != nil || (len(providers) == 1) != (test.want == "") {
					t.Errorf("providers afterwards: %v, %v", providers, err)
				}
			})
		})
	}
}

// The spoke ends while its record is claimed back: the new record is released, or others would look for it here.
func TestSpokeEndsWhileItIsReclaimed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := &scriptedDirectory{}
		h := scriptedHub(t, d)
		conn := rawSpoke(t, h, &call.Identity{ID: "a"}, `{"spokeId":"s","instanceId":"i","attempt":5}`)
		d.set(func(hub.Record) (int64, error) {
			conn.Close(transport.CloseLeft, "")
			conn.Abort()
			synctest.Wait()
			return 1 << 60, nil
		})
		d.lost(hub.Record{SpokeID: "s", HubID: "hub-b", Generation: h.Spokes(nil)[0].Generation + 1, IdentityID: "a", InstanceID: "i", Attempt: 4})
		if len(d.released) != 2 || d.released[1] != 1<<60 {
			t.Errorf("released %v, want the generation that was claimed", d.released)
		}
	})
}

// A spoke that leaves and is taken by another hub finishes its calls; it has lost its id and what it serves.
func TestAnotherHubTakesADrainingSpoke(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := &scriptedDirectory{}
		h := scriptedHub(t, d)
		conn := rawSpoke(t, h, &call.Identity{ID: "a"}, `{"spokeId":"s","instanceId":"i","attempt":5,"operations":[{"name":"test.op"}]}`)
		defer conn.Abort()
		answer := make(chan string, 1)
		go func() {
			got, err := call.Invoke[string](t.Context(), h, "test.op", nil)
			answer <- fmt.Sprintf("%s, %v", got, err)
		}()
		frame, err := conn.Read()
		if err != nil {
			t.Fatal(err)
		}
		var request struct{ Payload struct{ RequestID string } }
		if err := json.Unmarshal(frame, &request); err != nil {
			t.Fatal(err)
		}
		if err := conn.Write([][]byte{[]byte(`{"type":"__drain","payload":{}}`)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		d.lost(hub.Record{SpokeID: "s", HubID: "hub-b", Generation: 1 << 60, IdentityID: "a", InstanceID: "j"})
		synctest.Wait()
		if left := h.Spokes(nil); len(left) != 0 {
			t.Errorf("it is still listed: %+v", left)
		}
		if providers, err := d.Providers(t.Context(), "test.op"); len(providers) != 0 || err != nil {
			t.Errorf("it still provides: %v, %v", providers, err)
		}
		response := `{"type":"call.responded","payload":{"requestId":"` + request.Payload.RequestID + `","output":"done"}}`
		if err := conn.Write([][]byte{[]byte(response)}); err != nil {
			t.Fatal(err)
		}
		if got := <-answer; got != "done, <nil>" {
			t.Error(got)
		}
		later(20 * time.Second)
		if _, end := readToEnd(conn); end != "4502 replaced by another instance" {
			t.Errorf("after its time the connection ended with %q", end)
		}
	})
}

// registerRaw sends a registration and returns the answer, if there is one, and how the connection ends.
func registerRaw(t *testing.T, h *hub.Hub, identity, registration string) (answer, end string) {
	t.Helper()
	near := sendRegistration(t, h, &call.Identity{ID: identity}, registration)
	defer near.Abort()
	first, err := near.Read()
	if ce, ok := errors.AsType[*transport.CloseError](err); ok {
		return "", fmt.Sprintf("%d %s", ce.Code, ce.Reason)
	} else if err != nil {
		t.Fatal(err)
	}
	_, end = readToEnd(near)
	return string(first), end
}

// Another hub takes the spoke while this one asks the directory for its generation: the higher generation wins.
func TestTakenWhileItRegisters(t *testing.T) {
	for name, test := range map[string]struct {
		news []hub.Record // what the directory reports before it answers with generation 100
		want string
	}{
		"nothing":             {nil, ""},
		"an older one":        {[]hub.Record{{Generation: 99, IdentityID: "b"}}, ""},
		"another identity":    {[]hub.Record{{Generation: 100, IdentityID: "b", InstanceID: "i"}}, "4004 the id is held by another identity"},
		"another instance":    {[]hub.Record{{Generation: 101, IdentityID: "a", InstanceID: "j"}}, "4502 replaced by another instance"},
		"the same instance":   {[]hub.Record{{Generation: 101, IdentityID: "a", InstanceID: "i", Attempt: 6}}, "4006 superseded by a newer connection"},
		"the newest of three": {[]hub.Record{{Generation: 101, IdentityID: "a", InstanceID: "i"}, {Generation: 103, IdentityID: "b"}, {Generation: 102, IdentityID: "a", InstanceID: "j"}}, "4004 the id is held by another identity"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				d := &scriptedDirectory{}
				h := scriptedHub(t, d)
				d.set(func(hub.Record) (int64, error) {
					for _, n := range test.news {
						n.SpokeID, n.HubID = "s", "hub-b"
						d.lost(n)
					}
					return 100, nil
				})
				answer, end := registerRaw(t, h, "a", `{"spokeId":"s","instanceId":"i","attempt":5,"operations":[{"name":"test.op"}]}`)
				if end != test.want || (answer != "") != (test.want == "") {
					t.Errorf("answer %s, end %q, want %q", answer, end, test.want)
				}
				synctest.Wait()
				if test.want == "" {
					return
				}
				if left := h.Spokes(nil); len(left) != 0 {
					t.Errorf("it is listed: %+v", left)
				}
				if providers, err := d.Providers(t.Context(), "test.op"); len(providers) != 0 || err != nil {
					t.Errorf("it provides: %v, %v", providers, err)
				}
			})
		})
	}
}

// A spoke offers a session that this hub does not hold: it is finally refused if another hub has a newer instance of it.
func TestOfferOfASessionThatAnotherHubReplaced(t *testing.T) {
	const replaced = "4502 replaced by another instance"
	for name, test := range map[string]struct {
		rec     hub.Record
		none    bool
		err     error
		session string
		want    string
	}{
		"another instance":               {rec: hub.Record{HubID: "hub-b", IdentityID: "a", InstanceID: "j"}, want: replaced},
		"without a session":              {rec: hub.Record{HubID: "hub-b", IdentityID: "a", InstanceID: "j"}, session: `{}`},
		"the same instance":              {rec: hub.Record{HubID: "hub-b", IdentityID: "a", InstanceID: "i"}},
		"another identity":               {rec: hub.Record{HubID: "hub-b", IdentityID: "b", InstanceID: "j"}},
		"this hub's own record":          {rec: hub.Record{HubID: "hub-a", IdentityID: "a", InstanceID: "j"}},
		"no record":                      {none: true, rec: hub.Record{HubID: "hub-b", IdentityID: "a", InstanceID: "j"}},
		"the directory cannot be asked ": {err: errRefusal, rec: hub.Record{HubID: "hub-b", IdentityID: "a", InstanceID: "j"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				d := &scriptedDirectory{onSpoke: func(id string) (hub.Record, bool, error) {
					if id != "s" {
						t.Errorf("asked for spoke %q", id)
					}
					return test.rec, !test.none, test.err
				}}
				session := `{"id":"gone","received":0}`
				if test.session != "" {
					session = test.session
				}
				answer, end := registerRaw(t, scriptedHub(t, d), "a", `{"spokeId":"s","instanceId":"i","attempt":5,"session":`+session+`}`)
				if end != test.want || strings.Contains(answer, "call.responded") != (test.want == "") {
					t.Errorf("answer %s, end %q, want %q", answer, end, test.want)
				}
			})
		})
	}
}

// A directory that is in trouble does not keep a spoke from registering: it is found on this hub, under the generation that the
// directory gives all the same, or under one of the hub's clock.
func TestDirectoryInTrouble(t *testing.T) {
	for _, given := range []int64{0, 77} {
		bubble.Test(t, func(t *testing.T) {
			d := &scriptedDirectory{}
			h := scriptedHub(t, d)
			d.set(func(hub.Record) (int64, error) { return given, errRefusal })
			conn := rawSpoke(t, h, &call.Identity{ID: "a"}, `{"spokeId":"s","operations":[{"name":"test.op"}]}`)
			defer conn.Abort()
			want := given
			if want == 0 {
				want = time.Now().UnixMilli()
			}
			if list := h.Spokes(nil); len(list) != 1 || list[0].Generation != want {
				t.Errorf("spokes %+v, want generation %d", list, want)
			}
			go func() { _, _ = call.Invoke[any](t.Context(), h, "test.op", nil, call.Timeout(time.Second)) }()
			if frame, err := conn.Read(); err != nil || !strings.Contains(string(frame), "test.op") {
				t.Errorf("%s, %v", frame, err)
			}
			later(2 * time.Second)
		})
	}
}

// Of a spoke that was replaced by another instance, or superseded by its own newer connection, nothing is left: not in the
// lists, not in the counts, not among those that are called.
func TestNothingIsLeftOfAReplacedSpoke(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h, err := hub.New(&hub.Options{AllowAnonymous: true})
		must(t, err)
		defer h.Close()
		registration := func(instance string, attempt int) string {
			return fmt.Sprintf(`{"spokeId":"w","instanceId":%q,"attempt":%d,"operations":[{"name":"a.%s"},{"name":"a.b"}]}`, instance, attempt, instance)
		}
		var last transport.Conn
		for i, c := range []struct {
			instance string
			attempt  int
		}{{"one", 1}, {"one", 2}, {"two", 1}, {"three", 7}} {
			before := last
			last = rawSpoke(t, h, &call.Identity{ID: "who"}, registration(c.instance, c.attempt))
			if before != nil {
				before.Abort() // it does not answer the close
			}
			synctest.Wait()
			spokes, err := h.AllSpokes(t.Context(), nil, nil)
			if err != nil || len(spokes) != 1 || len(h.Spokes(nil)) != 1 {
				t.Errorf("registration %d: %+v, %v", i, spokes, err)
			}
			operations, err := h.AllOperations(t.Context(), nil)
			served := 0
			for _, op := range operations {
				if strings.HasPrefix(op.Name, "a.") {
					if served++; op.Spokes != 1 || op.Name != "a.b" && op.Name != "a."+c.instance {
						t.Errorf("registration %d: %+v", i, op)
					}
				}
			}
			if s := h.Stats(); err != nil || served != 2 || s.Spokes != 1 || s.Operations != 2 {
				t.Errorf("registration %d: %d operations, %v, %+v", i, served, err, s)
			}
		}
		last.Abort()
		synctest.Wait()
		if s := h.Stats(); s.Spokes != 0 || s.Operations != 0 || s.Connections != 0 || len(h.Spokes(nil)) != 0 {
			t.Errorf("at the end: %+v, %+v", s, h.Spokes(nil))
		}
	})
}
