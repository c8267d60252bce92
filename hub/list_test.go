package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/internal/bubble"
	"github.com/alkdev/hubspoke/spoke"
	"github.com/alkdev/hubspoke/transport"
)

// sendRegistration sends a registration on a new connection to the hub.
func sendRegistration(t *testing.T, h *hub.Hub, identity *call.Identity, registration string) transport.Conn {
	t.Helper()
	near, far := transport.Pipe(nil)
	go h.Accept(far, identity)
	writeRegistration(t, near, registration)
	return near
}

func writeRegistration(t *testing.T, conn transport.Conn, registration string) {
	t.Helper()
	frame := `{"type":"call.requested","payload":{"requestId":"r","operationId":"hub.register","input":` + registration + `}}`
	if err := conn.Write([][]byte{[]byte(frame)}); err != nil {
		t.Fatal(err)
	}
}

// rawSpoke registers a connection, and returns it with the answer read.
func rawSpoke(t *testing.T, h *hub.Hub, identity *call.Identity, registration string) transport.Conn {
	t.Helper()
	near := sendRegistration(t, h, identity, registration)
	if answer, err := near.Read(); err != nil || !strings.Contains(string(answer), "call.responded") {
		t.Fatalf("%s, %v", answer, err)
	}
	return near
}

func largeRegistration(id string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"spokeId":%q,"operations":[`, id)
	for i := range 120 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"%s.op%03d","description":%q}`, id, i, strings.Repeat("x", 2000))
	}
	b.WriteString(`]}`)
	return b.String()
}

// One connection that asks for lists and does not read cannot make the hub hold more than its queue and one page.
func TestListsAreBuiltAsTheyAreTaken(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h, err := hub.New(&hub.Options{AllowAnonymous: true})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		who := &call.Identity{ID: "one"}
		for i := range 60 {
			c := rawSpoke(t, h, who, largeRegistration(fmt.Sprintf("w%02d", i)))
			defer c.Abort()
		}
		asker := rawSpoke(t, h, who, `{"spokeId":"asker"}`)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range 32 {
			frame := fmt.Sprintf(`{"type":"call.requested","payload":{"requestId":"%d","operationId":"hub.operations"}}`, i)
			if err := asker.Write([][]byte{[]byte(frame)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if made := int64(after.TotalAlloc-before.TotalAlloc) >> 20; made > 100 {
			t.Errorf("32 requests made the hub allocate %d MiB", made)
		}
		if held := int64(after.HeapAlloc-before.HeapAlloc) >> 20; held > 12 { // the queue of 4 MiB, and what is read and built
			t.Errorf("the hub holds %d MiB for a spoke that does not read", held)
		}
		for range 32 { // every one of them is answered with a page
			answer, err := asker.Read()
			if err != nil || len(answer) > hub.DefaultMaxMessageBytes || !strings.Contains(string(answer), `"next":"w`) {
				t.Fatalf("%d bytes, %.300s, %v", len(answer), answer, err)
			}
		}
		asker.Abort()
	})
}

type listPage struct {
	Items []map[string]any
	Next  string
}

// walk reads a whole list, page by page.
func walk(t *testing.T, c call.Caller, operation, key string, q hub.ListQuery) (names []string) {
	t.Helper()
	for {
		p, err := call.Invoke[listPage](t.Context(), c, operation, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Items) > max(q.Limit, hub.DefaultListLimit) {
			t.Fatalf("%d items, the limit is %d", len(p.Items), q.Limit)
		}
		for _, it := range p.Items {
			names = append(names, it[key].(string))
		}
		if q.After = p.Next; q.After == "" {
			return names
		}
		if len(p.Items) == 0 || q.After != names[len(names)-1] {
			t.Fatalf("next is %q behind %q", q.After, names)
		}
	}
}

// A list of any size reaches a spoke whose messages are small: every page fits, and together they are the list.
func TestLongListsFitIntoSmallMessages(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h, err := hub.New(&hub.Options{AllowAnonymous: true})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		who := &call.Identity{ID: "one"}
		var ids, ops []string
		for i := range 300 {
			id := fmt.Sprintf("w%03d", i)
			ids, ops = append(ids, id), append(ops, id+".op")
			defer rawSpoke(t, h, who, fmt.Sprintf(`{"spokeId":%q,"operations":[{"name":"%s.op","description":%q}]}`, id, id, strings.Repeat("y", i*10))).Abort()
		}
		asker := rawSpoke(t, h, who, `{"spokeId":"asker","maxMessageBytes":2048}`)
		defer asker.Abort()
		for operation, want := range map[string][]string{"hub.spokes": ids, "hub.operations": ops} {
			var got []string
			for after, n := "", 0; n < 1000; n++ {
				frame := fmt.Sprintf(`{"type":"call.requested","payload":{"requestId":"%s%d","operationId":%q,"input":{"after":%q,"prefix":"w"}}}`, operation, n, operation, after)
				if err := asker.Write([][]byte{[]byte(frame)}); err != nil {
					t.Fatal(err)
				}
				answer, err := asker.Read()
				if err != nil || len(answer) > 2048 {
					t.Fatalf("%d bytes, %v", len(answer), err)
				}
				var f struct {
					Payload struct {
						Output struct{ Data listPage }
						Code   string
					}
				}
				if err := json.Unmarshal(answer, &f); err != nil || f.Payload.Code != "" {
					t.Fatalf("%s, %v", answer, err)
				}
				for _, it := range f.Payload.Output.Data.Items {
					name, _ := it["spokeId"].(string)
					if operation == "hub.operations" {
						name, _ = it["name"].(string)
						if _, ok := it["description"]; ok == (it["truncated"] == true) && len(answer) > 0 && name > "w001.op" {
							t.Fatalf("%v", it)
						}
					}
					got = append(got, name)
				}
				if after = f.Payload.Output.Data.Next; after == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %d names, want %d: %q", operation, len(got), len(want), got)
			}
		}
	})
}

// What a query selects is what a plain loop over all spokes selects, on one hub and on three.
func TestListQueries(t *testing.T) {
	for _, hubs := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d hubs", hubs), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(uint64(hubs), 5)) //nolint:gosec // a test
				bp := hub.NewMemoryBackplane()
				var nodes []*hub.Hub
				for i := range hubs {
					o := &hub.Options{AllowAnonymous: true, ID: fmt.Sprint("hub", i), Backplane: bp}
					if hubs == 1 {
						o.Backplane = nil
					}
					h, err := hub.New(o)
					if err != nil {
						t.Fatal(err)
					}
					defer h.Close()
					nodes = append(nodes, h)
				}
				type entry struct {
					region string
					ops    []string
				}
				all := map[string]entry{}
				for len(all) < 120 {
					id := strings.Repeat("ab", rnd.IntN(2)) + fmt.Sprint(rnd.IntN(1000))
					if _, ok := all[id]; ok {
						continue
					}
					e := entry{[]string{"eu", "us"}[rnd.IntN(2)], []string{"a.common", fmt.Sprintf("b.op%d", rnd.IntN(20))}[:1+rnd.IntN(2)]}
					all[id] = e
					ops, _ := json.Marshal(e.ops)
					list := strings.NewReplacer(`["`, `[{"name":"`, `","`, `"},{"name":"`, `"]`, `"}]`).Replace(string(ops))
					defer rawSpoke(t, nodes[rnd.IntN(hubs)], &call.Identity{ID: "one"},
						fmt.Sprintf(`{"spokeId":%q,"labels":{"region":%q},"operations":%s}`, id, e.region, list)).Abort()
				}
				synctest.Wait()
				for range 60 {
					q := hub.ListQuery{Limit: rnd.IntN(20), Prefix: []string{"", "", "ab", "ab1", "1", "zz"}[rnd.IntN(6)],
						Operation: []string{"", "", "a.common", "b.op3"}[rnd.IntN(4)], After: []string{"", "", "5", "ab", "ab1"}[rnd.IntN(5)],
						Fields: [][]string{nil, {"labels"}}[rnd.IntN(2)]}
					if rnd.IntN(2) == 0 {
						q.Selector = map[string]string{"region": "eu"}
					}
					var want []string
					for _, id := range slices.Sorted(maps.Keys(all)) {
						e := all[id]
						if id > q.After && strings.HasPrefix(id, q.Prefix) && (q.Operation == "" || slices.Contains(e.ops, q.Operation)) &&
							(q.Selector == nil || e.region == "eu") {
							want = append(want, id)
						}
					}
					if got := walk(t, nodes[rnd.IntN(hubs)], "hub.spokes", "spokeId", q); !slices.Equal(got, want) {
						t.Errorf("%+v: %q, want %q", q, got, want)
					}
				}
				for range 30 {
					q := hub.ListQuery{Limit: 1 + rnd.IntN(5), Prefix: []string{"", "a.", "b.", "b.op1"}[rnd.IntN(4)],
						Operation: []string{"", "", "", "b.op3"}[rnd.IntN(4)], Selector: map[string]string{"region": "us"}}
					count := map[string]int{}
					for _, e := range all {
						for _, op := range e.ops {
							if e.region == "us" && strings.HasPrefix(op, q.Prefix) && (q.Operation == "" || op == q.Operation) {
								count[op]++
							}
						}
					}
					node := nodes[rnd.IntN(hubs)]
					if got := walk(t, node, "hub.operations", "name", q); !slices.Equal(got, slices.Sorted(maps.Keys(count))) {
						t.Errorf("%+v: %q, want %v", q, got, count)
					}
					q.Limit = 500
					p, err := call.Invoke[hub.Page[hub.OperationInfo]](t.Context(), node, "hub.operations", q)
					if err != nil || len(p.Items) != len(count) || p.Next != "" {
						t.Errorf("%+v, %v", p, err)
					}
					for _, op := range p.Items {
						if op.Spokes != count[op.Name] {
							t.Errorf("%s: %d spokes, want %d", op.Name, op.Spokes, count[op.Name])
						}
					}
				}
			})
		})
	}
}

// Items have the members that were asked for, and always those that name them.
func TestListFields(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		net.Spoke("w", &spoke.Options{Labels: map[string]string{"region": "eu"}}, serveWho("w"))
		for _, c := range []struct {
			operation string
			fields    []string
			want      string
		}{
			{"hub.spokes", []string{"labels", "state"}, "generation hubId labels spokeId state"},
			{"hub.spokes", []string{"spokeId"}, "generation hubId spokeId"},
			{"hub.operations", []string{"type"}, "name spokes type"},
			{"hub.operations", nil, "name spokes type"},
		} {
			p, err := call.Invoke[listPage](t.Context(), net.Hub, c.operation, hub.ListQuery{Fields: c.fields, Prefix: map[bool]string{true: "test."}[c.operation == "hub.operations"]})
			if err != nil || len(p.Items) == 0 {
				t.Fatalf("%+v, %v", p, err)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(p.Items[0])), " "); got != c.want {
				t.Errorf("%s %q: %s, want %s", c.operation, c.fields, got, c.want)
			}
		}
	})
}

func TestListQueriesThatAreRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := hubtest.New(t, nil)
		for _, in := range []string{`{"limit":501}`, `{"limit":-1}`, `{"limit":"1"}`, `{"limit":1e300}`, `{"after":1}`, `{"prefix":[]}`, `{"operation":{}}`,
			`{"selector":{"a":1}}`, `{"fields":"name"}`, `{"fields":["nothing"]}`, `{"after":"a","after":"b"}`, `[]`, `7`} {
			for _, operation := range []string{"hub.spokes", "hub.operations"} {
				_, err := call.Invoke[json.RawMessage](t.Context(), net.Hub, operation, json.RawMessage(in))
				if e, _ := errors.AsType[*call.Error](err); e == nil || e.Code != call.CodeValidation || e.Sent || !strings.Contains(e.Message, operation) {
					t.Errorf("%s %s: %v", operation, in, err)
				}
			}
		}
		for _, in := range []string{``, `null`, `{}`, `{"limit":500,"unknown":1}`} {
			if _, err := call.Invoke[hub.Page[hub.SpokeInfo]](t.Context(), net.Hub, "hub.spokes", json.RawMessage(in)); err != nil {
				t.Errorf("%s: %v", in, err)
			}
		}
	})
}

// A page is filtered by rights before it is cut, and its next names nothing that the identity may not see.
func TestListsAreFilteredBeforeTheyAreCut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h, err := hub.New(&hub.Options{AllowAnonymous: true, Authorize: hub.AuthorizeScopes()})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		for i := range 50 {
			id := fmt.Sprintf("%s-%02d", []string{"secret", "worker"}[i%2], i)
			defer rawSpoke(t, h, &call.Identity{ID: "one", Scopes: []string{"hold:*", "serve:*"}},
				fmt.Sprintf(`{"spokeId":%q,"operations":[{"name":"x.op%02d"}]}`, id, i)).Abort()
		}
		reader := &call.Identity{ID: "reader", Scopes: []string{"list:worker-*", "call:*"}}
		q := hub.ListQuery{Limit: 7}
		n := 0
		for {
			p, err := h.SpokePage(t.Context(), reader, q)
			if err != nil || strings.Contains(fmt.Sprintf("%s %s", p.Items, p.Next), "secret") {
				t.Fatalf("%s, %v", p.Items, err)
			}
			n += len(p.Items)
			if q.After = p.Next; q.After == "" {
				break
			}
			if len(p.Items) != 7 {
				t.Errorf("a page of %d", len(p.Items))
			}
		}
		if n != 25 {
			t.Errorf("%d spokes", n)
		}
		p, err := h.OperationPage(t.Context(), reader, hub.ListQuery{Limit: 500, Prefix: "x."})
		if err != nil || len(p.Items) != 25 {
			t.Errorf("%d operations, %v", len(p.Items), err)
		}
	})
}

// Lists and gathers report the hubs that did not answer, by code, and still contain the items of the others.
func TestAnswersThatLackAHubSaySo(t *testing.T) {
	for name, cut := range map[string]struct {
		directory, links bool
		want             hub.Incomplete
	}{
		"a hub":         {links: true, want: hub.Incomplete{HubID: "hub-b", Code: call.CodeUnavailable}},
		"the directory": {directory: true, want: hub.Incomplete{Code: call.CodeUnavailable}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				bp := hub.NewMemoryBackplane()
				faulty := &hub.Backplane{Events: bp.Events, Directory: bp.Directory, Links: bp.Links}
				if cut.directory {
					faulty.Directory = blindDirectory{bp.Directory}
				}
				if cut.links {
					faulty.Links = deadLinks{bp.Links}
				}
				a := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: faulty})
				b := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-b", Backplane: bp})
				a.Spoke("on-a", nil, serveWho("on-a"))
				b.Spoke("on-b", nil, serveWho("on-b"))
				spokes, err := a.Hub.AllSpokes(t.Context(), nil, nil)
				wantIncomplete(t, err, cut.want)
				if len(spokes) != 1 || spokes[0].SpokeID != "on-a" {
					t.Errorf("%+v", spokes)
				}
				ops, err := a.Hub.AllOperations(t.Context(), nil)
				wantIncomplete(t, err, cut.want)
				if len(ops) < 4 {
					t.Errorf("%+v", ops)
				}
				p, err := call.Invoke[hub.Page[hub.SpokeInfo]](t.Context(), a.Hub, "hub.spokes", nil)
				if err != nil || len(p.Items) != 1 || len(p.Incomplete) != 1 || p.Incomplete[0] != cut.want {
					t.Errorf("%+v, %v", p, err)
				}
				var last error
				n := 0
				for _, err := range call.Gather[string](t.Context(), a.Hub, "test.who", nil) {
					n++
					last = err
				}
				e, _ := errors.AsType[*call.Error](last)
				if n != 2 || e == nil || e.Code != call.CodeUnavailable || !strings.Contains(e.Message, "incomplete") {
					t.Errorf("gather: %d results, the last %+v", n, last)
				}
			})
		})
	}
}

func wantIncomplete(t *testing.T, err error, want hub.Incomplete) {
	t.Helper()
	if e, _ := errors.AsType[*hub.IncompleteError](err); e == nil || len(e.Hubs) != 1 || e.Hubs[0] != want {
		t.Errorf("%v, want incomplete by %+v", err, want)
	}
}

func TestIncompleteErrorText(t *testing.T) {
	err := &hub.IncompleteError{Hubs: []hub.Incomplete{{Code: call.CodeUnavailable}, {HubID: "hub-b", Code: call.CodeTimeout}}}
	if got, want := err.Error(), "incomplete: the directory: UNAVAILABLE, hub hub-b: TIMEOUT"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

var errAway = errors.New("away")

// blindDirectory does not list the hubs.
type blindDirectory struct{ hub.Directory }

func (blindDirectory) Hubs(context.Context) ([]string, error)              { return nil, errAway }
func (blindDirectory) Providers(context.Context, string) ([]string, error) { return nil, errAway }

// deadLinks lead nowhere.
type deadLinks struct{ hub.Links }

func (deadLinks) Dial(context.Context, string, string) (transport.Conn, error) { return nil, errAway }

// A hub that does not answer in time is left out, and the answer comes within the call's time.
func TestListsDoNotWaitForASilentHub(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		bp := hub.NewMemoryBackplane()
		silent := &hub.Backplane{Events: bp.Events, Directory: bp.Directory, Links: silentLinks{bp.Links, t.Context()}}
		a := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: silent})
		b := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-b", Backplane: bp})
		a.Spoke("on-a", nil, serveWho("on-a"))
		b.Spoke("on-b", nil, serveWho("on-b"))
		for timeout, most := range map[time.Duration]time.Duration{2 * time.Second: 2 * time.Second, time.Minute: 5 * time.Second} {
			start := time.Now()
			p, err := call.Invoke[hub.Page[hub.SpokeInfo]](t.Context(), a.Hub, "hub.spokes", nil, call.Timeout(timeout))
			if err != nil || len(p.Items) != 1 || len(p.Incomplete) != 1 || p.Incomplete[0].Code != call.CodeTimeout || time.Since(start) > most {
				t.Errorf("%+v, %v after %v", p, err, time.Since(start))
			}
		}
	})
}

// silentLinks take everything and answer nothing until the test ends.
type silentLinks struct {
	hub.Links
	until context.Context
}

func (l silentLinks) Dial(context.Context, string, string) (transport.Conn, error) {
	near, far := transport.Pipe(nil)
	context.AfterFunc(l.until, far.Abort)
	return near, nil
}

// A hub whose pages cannot be read is left out like one that does not answer; the others' items are there.
func TestListsWithoutAHubThatAnswersNonsense(t *testing.T) {
	for page, code := range map[string]call.Code{
		`null`:                  call.CodeUnavailable,
		`[]`:                    call.CodeUnavailable,
		`{"items":{}}`:          call.CodeUnavailable,
		`{"items":[],"next":7}`: call.CodeUnavailable,
		`{"items":[5]}`:         call.CodeUnavailable,
		`{"items":[{"spokeId":"x","generation":"1"},{"name":"x","spokes":"1"}]}`: call.CodeUnavailable,
		`{"items":[{"spokeId":["x"],"generation":1},{"name":["x"],"spokes":1}]}`: call.CodeUnavailable,
		`{"items":[]}`: "",
		`{}`:           call.CodeUnavailable,
	} {
		t.Run(page, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				d := &hub.MemoryDirectory{}
				leave, err := d.Join(t.Context(), "hub-b", func(hub.Record) {})
				must(t, err)
				defer leave(t.Context())
				bp := &hub.Backplane{Directory: d, Links: answeringLinks{&hub.MemoryLinks{}, page}}
				a := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: bp})
				a.Spoke("on-a", nil, serveWho("on-a"))
				var want []hub.Incomplete
				if code != "" {
					want = []hub.Incomplete{{HubID: "hub-b", Code: code}}
				}
				spokes, err := call.Invoke[hub.Page[hub.SpokeInfo]](t.Context(), a.Hub, "hub.spokes", nil)
				if err != nil || len(spokes.Items) != 1 || spokes.Items[0].SpokeID != "on-a" || !slices.Equal(spokes.Incomplete, want) {
					t.Errorf("%+v, %v", spokes, err)
				}
				ops, err := call.Invoke[hub.Page[hub.OperationInfo]](t.Context(), a.Hub, "hub.operations", hub.ListQuery{Prefix: "test."})
				if err != nil || len(ops.Items) == 0 || !slices.Equal(ops.Incomplete, want) {
					t.Errorf("%+v, %v", ops, err)
				}
				all, err := a.Hub.AllSpokes(t.Context(), nil, nil)
				if len(all) != 1 || (err != nil) != (code != "") {
					t.Errorf("%+v, %v", all, err)
				}
			})
		})
	}
}

// answeringLinks lead to hubs that answer every request with the same data.
type answeringLinks struct {
	hub.Links
	data string
}

func (l answeringLinks) Dial(context.Context, string, string) (transport.Conn, error) {
	near, far := transport.Pipe(nil)
	go func() {
		defer far.Abort()
		for {
			data, err := far.Read()
			if err != nil {
				return
			}
			var f struct {
				Type    string
				Payload struct{ RequestID string }
			}
			if err := json.Unmarshal(data, &f); err != nil || f.Type != "call.requested" {
				continue
			}
			answer := fmt.Sprintf(`{"type":"call.responded","payload":{"requestId":%q,"output":{"data":%s,"meta":{"source":"local"}}}}`,
				f.Payload.RequestID, l.data)
			if far.Write([][]byte{[]byte(answer)}) != nil {
				return
			}
		}
	}()
	return near, nil
}

// An operation that two hubs serve is one item, with the spokes of both counted in one member.
func TestOperationOfTwoHubsIsOneItem(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		bp := hub.NewMemoryBackplane()
		a := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-a", Backplane: bp})
		b := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: "hub-b", Backplane: bp})
		a.Spoke("on-a", nil, serveWho("on-a"))
		b.Spoke("on-b", nil, serveWho("on-b"))
		b.Spoke("too", nil, serveWho("too"))
		page, err := a.Hub.OperationPage(t.Context(), nil, hub.ListQuery{Prefix: "test.who"})
		must(t, err)
		if len(page.Items) != 1 || strings.Count(string(page.Items[0]), `"spokes":`) != 1 || !strings.Contains(string(page.Items[0]), `"spokes":3`) {
			t.Errorf("%s", page.Items)
		}
	})
}
