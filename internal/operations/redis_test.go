//go:build operations

package operations

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/hubtest"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
)

// exercise has two hubs on Redis do all that a backplane does, and ends them. lose is called once in between to
// make the hubs write everything again; nil does nothing.
func exercise(t *testing.T, connect func() (rueidis.Client, error), lose func()) error {
	var nodes []*hubtest.Network
	for _, id := range []string{"hub-a", "hub-b"} {
		client, err := connect()
		if err != nil {
			return err
		}
		defer client.Close()
		bp, err := redisbackplane.New(client, &redisbackplane.Options{Lease: time.Second})
		if err != nil {
			return err
		}
		defer bp.Close()
		n := hubtest.New(t, &hub.Options{AllowAnonymous: true, ID: id, Backplane: bp.Backplane(), DrainSpread: time.Millisecond})
		defer n.Hub.Close()
		nodes = append(nodes, n)
	}
	a, b := nodes[0], nodes[1]
	echo := func(r *call.Registry) {
		_ = call.Handle(r, call.Operation{Name: "test.echo"}, func(_ context.Context, in string) (string, error) { return in, nil }) // a name that is free
	}
	a.Spoke("stays", nil, echo)
	works := func() error {
		for _, to := range []string{"stays", "moves"} {
			if err := eventually(func() error {
				got, err := call.Invoke[string](t.Context(), nodes[len(to)%2].Hub, "test.echo", to, call.To(to), call.Timeout(time.Second))
				if err == nil && got != to {
					err = fmt.Errorf("%q answers %q", to, got)
				}
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	}
	topic := pubsub.NewTopic[string]("test.topic")
	sub, err := topic.Subscribe(t.Context(), b.Hub.Events(), "x")
	if err != nil {
		return err
	}
	defer sub.Stop()
	if err := topic.Publish(t.Context(), a.Hub.Events(), "x", "event"); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := sub.Next(wait); err != nil || got != "event" {
		return fmt.Errorf("the event: %q, %w", got, err)
	}
	for _, n := range []*hubtest.Network{a, b, a} { // it moves twice, so that letters are written and read
		n.Spoke("moves", nil, echo)
		if err := works(); err != nil {
			return err
		}
	}
	if lose != nil {
		lose()
		if err := works(); err != nil {
			return err
		}
	}
	leases := time.NewTimer(time.Second)
	defer leases.Stop()
	<-leases.C
	return eventually(func() error {
		for _, n := range nodes {
			if h := n.Hub.Health(); h.Status != hub.StatusOK {
				return fmt.Errorf("hub %s: %+v", n.Hub.ID(), h)
			}
		}
		return nil
	})
}

// eventually repeats until there is no error, for at most ten seconds.
func eventually(try func() error) error {
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-limit.C:
			return err
		}
	}
}

func client(url string) func() (rueidis.Client, error) {
	return func() (rueidis.Client, error) { return redisbackplane.Connect(url) }
}

func TestRedisConfiguration(t *testing.T) {
	text := block(t, "redis.conf")
	server := redistest.Start(t, redistest.Args(arguments(text)...))
	for _, d := range directives(text) {
		want := strings.Join(d[1:], " ")
		got := strings.Split(server.Do("CONFIG", "GET", d[0]), "\n")
		if d[0] == "client-output-buffer-limit" || strings.HasSuffix(want, "gb") {
			continue // Redis writes them in bytes; it refuses to start with others
		}
		if len(got) != 2 || got[1] != want {
			t.Errorf("%s is %q, not %q", d[0], got[1:], want)
		}
	}
	if got := server.Do("CONFIG", "GET", "client-output-buffer-limit"); !strings.Contains(got, "pubsub 268435456 67108864 60") {
		t.Errorf("the output buffers: %q", got)
	}
	if err := exercise(t, client(server.URL()), func() { server.Do("FLUSHALL") }); err != nil {
		t.Error(err)
	}
}

// The page states how many connections a hub has.
func TestConnectionsOfAHub(t *testing.T) {
	server := redistest.Start(t)
	h := newHubs(t, "single.go", "REDIS_URL="+server.URL())
	_, addr := h.start()
	for range 50 {
		if r, err := post(http.DefaultClient, "http://"+addr, "no.such", "null"); r.status != http.StatusNotFound || err != nil {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if n := strings.Count(server.Do("CLIENT", "LIST"), "\n") - 1; n > 8 {
		t.Errorf("a hub has %d connections to its Redis", n)
	}
}

// A user with exactly the page's rights can do all that is needed, and one with any right less cannot.
func TestAccessList(t *testing.T) {
	line := strings.TrimSpace(block(t, "users.acl"))
	server := redistest.Start(t, redistest.Args("--aclfile", write(t, "users.acl", line+"\nuser default on nopass ~* &* +@all\n")))
	url := "redis://hubspoke:secret@" + server.Addr()
	if err := exercise(t, client(url), func() { server.Do("FLUSHALL") }); err != nil {
		t.Fatal(err)
	}
	if log := denials(server); log != "" {
		t.Fatalf("denied to the page's user: %s", log)
	}
	words := strings.Fields(line)
	for i, w := range words {
		if !strings.ContainsAny(w[:1], "+~&") {
			continue
		}
		t.Run("without "+w, func(t *testing.T) {
			less := slices.Delete(slices.Clone(words), i, i+1)
			server.Do(append([]string{"ACL", "SETUSER", "hubspoke", "reset"}, less[2:]...)...)
			server.Do("ACL", "LOG", "RESET")
			server.Do("CLIENT", "KILL", "USER", "hubspoke")
			c, err := redisbackplane.Connect(url)
			if err == nil {
				defer c.Close()
				var bp *redisbackplane.Backplane
				if bp, err = redisbackplane.New(c, nil); err == nil {
					bp.Close()
				}
			}
			if err == nil && denials(server) == "" {
				t.Errorf("%s is in the list, and nothing lacks it", w)
			}
		})
	}
}

// denials is what Redis has refused to users, but for what is asked and not needed.
func denials(server *redistest.Server) string {
	log := server.Do("ACL", "LOG")
	var out []string
	lines := strings.Split(log, "\n")
	for i, line := range lines {
		if line == "object" && i+1 < len(lines) && !slices.Contains([]string{"info", "client|info", "client|setinfo", "cluster|slots"}, lines[i+1]) {
			out = append(out, lines[i+1])
		}
	}
	return strings.Join(out, ", ")
}

func TestCluster(t *testing.T) {
	acl := write(t, "users.acl", block(t, "users-cluster.acl")+"user default on nopass ~* &* +@all\n")
	cluster := redistest.StartCluster(t, 3, redistest.Args(append(arguments(block(t, "cluster.conf")), "--aclfile", acl)...))
	connect := func() (rueidis.Client, error) {
		return rueidis.NewClient(rueidis.ClientOption{InitAddress: cluster.Addrs(), Username: "hubspoke", Password: "secret"})
	}
	if err := exercise(t, connect, func() {
		for _, node := range cluster.Nodes() {
			node.Do("FLUSHALL")
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, node := range cluster.Nodes() {
		if log := denials(node); log != "" {
			t.Errorf("denied to the page's user: %s", log)
		}
	}
	acrossHubs(t, newHubs(t, "cluster.go", "REDIS_PASSWORD=secret", "REDIS_NODES="+strings.Join(cluster.Addrs(), ",")))
}

// acrossHubs starts two of the page's hubs and a worker, and calls it through the other hub.
func acrossHubs(t *testing.T, h *hubs) (addrs []string) {
	t.Helper()
	_, one := h.start()
	_, two := h.start()
	startWorker(t, "worker-1", "ws://"+two+"/spoke")
	renders(t, one, "rendered by worker-1")
	return []string{one, two}
}

func startWorker(t *testing.T, id, url string, env ...string) *process {
	t.Helper()
	return start(t, id, append(env, "WORKER_ID="+id, "HUB_URL="+url, "TOKEN="+token), build(t, "worker.go"))
}

// renders waits until a call over HTTP gets an answer.
func renders(t *testing.T, addr string, want ...string) {
	t.Helper()
	if err := eventually(func() error {
		r, err := post(http.DefaultClient, "http://"+addr, "report.render", "0")
		if err == nil && (r.status != http.StatusOK || !slices.Contains(want, r.output)) {
			err = fmt.Errorf("the call: %+v", r)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// The page's Sentinels move the master, and the hubs follow.
func TestSentinel(t *testing.T) {
	users := block(t, "users-sentinel.acl") + "user default on nopass ~* &* +@all\n"
	var servers []*redistest.Server
	for range 3 {
		servers = append(servers, redistest.Start(t, redistest.Args("--aclfile", write(t, "users.acl", users),
			"--masteruser", "replica", "--masterauth", "replica-secret")))
	}
	host, port, _ := strings.Cut(servers[0].Addr(), ":")
	for _, s := range servers[1:] {
		s.Do("REPLICAOF", host, port)
		redistest.Poll(t, "the replica", func() bool { return strings.Contains(s.Do("INFO", "replication"), "master_link_status:up") })
	}
	var sentinels []string
	for range 3 {
		addr := freeAddr(t)
		_, p, _ := strings.Cut(addr, ":")
		text := changed(t, block(t, "sentinel.conf"), "redis-1.internal 6379", host+" "+port)
		dir := t.TempDir()
		path := dir + "/sentinel.conf"
		if err := os.WriteFile(path, []byte("bind 127.0.0.1\nport "+p+"\ndir "+dir+"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		start(t, "sentinel "+addr, nil, "redis-sentinel", path)
		sentinels = append(sentinels, addr)
	}
	for _, addr := range sentinels {
		redistest.Poll(t, "the sentinels to know each other", func() bool {
			return others(addr) == 2
		})
	}
	h := newHubs(t, "sentinel.go", "REDIS_PASSWORD=secret", "SENTINELS="+strings.Join(sentinels, ","))
	addrs := acrossHubs(t, h)
	servers[0].Kill()
	redistest.Poll(t, "another master", func() bool {
		for _, s := range servers[1:] {
			if strings.Contains(s.Do("INFO", "replication"), "role:master") {
				return true
			}
		}
		return false
	})
	for _, addr := range addrs {
		redistest.Poll(t, "the hubs to be well", func() bool { return health(addr) == "ok" })
	}
	renders(t, addrs[0], "rendered by worker-1")
	for _, s := range servers[1:] {
		if log := denials(s); log != "" {
			t.Errorf("denied to the page's users: %s", log)
		}
	}
}

// others is how many other Sentinels one knows.
func others(addr string) int {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true,
		Username: "sentinel", Password: "sentinel-secret"})
	if err != nil {
		return 0
	}
	defer c.Close()
	list, err := c.Do(context.Background(), c.B().Arbitrary("SENTINEL", "sentinels", "hubspoke").Build()).ToArray()
	if err != nil {
		return 0
	}
	return len(list)
}
