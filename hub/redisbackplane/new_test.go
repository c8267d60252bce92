package redisbackplane_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub/redistarget"
)

func TestConnectNamesTheSetting(t *testing.T) {
	server := redistest.Start(t, redistest.Args("--requirepass", "secret"))
	for url, want := range map[string]string{
		"::":                              "Redis URL",
		"http://example.com":              "Redis URL",
		"redis://127.0.0.1:1":             "Redis URL",
		server.URL():                      "password",
		"redis://:wrong@" + server.Addr(): "password",
	} {
		_, err := redisbackplane.Connect(url)
		if !errors.Is(err, redisbackplane.ErrOptions) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "wrong@") {
			t.Errorf("%s: %v", url, err)
		}
	}
	client, err := redisbackplane.Connect("redis://:secret@" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for option, values := range map[string][]*redisbackplane.Options{
		"Lease": {{Lease: 1}}, "Timeout and LinkBytes": {{Timeout: -1}, {LinkBytes: -1}}, "Prefix": {{Prefix: "{x}"}},
		"EventMode":   {{EventMode: redistarget.Auto - 1}, {EventMode: redistarget.Sharded + 1}},
		"EventPrefix": {{EventPrefix: "alk:"}, {EventPrefix: "alk:hub"}, {EventPrefix: "alk:hubspoke:x"}, {EventPrefix: "alk:prob"}, {EventPrefix: "alk:probe:x"}},
	} {
		for _, o := range values {
			_, err := redisbackplane.New(client, o)
			if !errors.Is(err, redisbackplane.ErrOptions) || !strings.HasPrefix(err.Error(), "redisbackplane: options: "+option) {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
}

// No error shows a password, nor a part of it, however wrong the URL is.
func TestConnectShowsNoPassword(t *testing.T) {
	server := redistest.Start(t)
	for _, url := range []string{
		"redis://user:s3cret@%zz", "redis://user:s3cret@host:port", "redis://user:s3cret/more@host", "redis://user:s3cret?@host",
		"redis://user:s3cret#@host", "redis://:1/s3cret@host", "redis://:1/x/s3cret@host", "redis://user:s3cret\n@host", "user:s3cret@host",
		"http://user:s3cret@host", "s3cret", "redis://user:s3cret@[::1", "redis://user:s3cret@host?dial_timeout=s3cret",
		"redis://user:s3cret@127.0.0.1:1", "redis://user:s3cret@" + server.Addr(), "redis://user:s3cret@" + server.Addr() + "?db=s3cret",
		"rediss://user:s3cret@" + server.Addr(), "rediss://user:s3cret@host?skip_verify=s3cret",
	} {
		_, err := redisbackplane.Connect(url)
		if err == nil || !errors.Is(err, redisbackplane.ErrOptions) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestMissingRights(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "weak", "on", ">secret", "+@connection", "+client")
	client, err := redisbackplane.Connect("redis://weak:secret@" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := redisbackplane.New(client, nil); !errors.Is(err, redisbackplane.ErrOptions) || !strings.Contains(err.Error(), "ACL") {
		t.Errorf("got %v", err)
	}
}

// otherServer is a client of a Redis that reports another version and database.
type otherServer struct {
	rueidis.Client
	info, clientInfo string
}

func (c *otherServer) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	text := ""
	switch words := strings.Join(cmd.Commands(), " "); {
	case strings.HasPrefix(words, "INFO"):
		text = c.info
	case words == "CLIENT INFO":
		text = c.clientInfo
	}
	if text != "" {
		cmd = c.B().Eval().Script("return ARGV[1]").Numkeys(0).Arg(text).Build()
	}
	return c.Client.Do(ctx, cmd)
}

// New refuses a Redis that is too old, and a database that would share its channels with another installation.
func TestServerIsChecked(t *testing.T) {
	client, err := redisbackplane.Connect(redistest.Start(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	own := &redisOptions{Prefix: "own:"}
	for _, c := range []struct {
		server otherServer
		o      *redisOptions
		want   string
	}{
		{otherServer{info: "redis_version:6.2.14\r\n"}, nil, "is version 6.2.14, 7 or later is needed"},
		{otherServer{info: "redis_version:7.0.0\r\n"}, nil, ""},
		{otherServer{info: "redis_version:10.1.0\r\n"}, nil, ""},
		{otherServer{info: "# Server\r\n"}, nil, ""}, // some services omit it
		{otherServer{clientInfo: "id=3 db=2 sub=0"}, nil, "database 2"},
		{otherServer{clientInfo: "id=3 db=2 sub=0"}, &redisOptions{Prefix: "own:", EventPrefix: redistarget.DefaultPrefix}, "database 2"},
		{otherServer{clientInfo: "id=3 db=2 sub=0"}, &redisOptions{EventPrefix: "own:"}, "database 2"},
		{otherServer{clientInfo: "id=3 db=2 sub=0"}, own, ""},
		{otherServer{clientInfo: "id=3 db=0 sub=0"}, nil, ""},
	} {
		c.server.Client = client
		bp, err := redisbackplane.New(&c.server, c.o)
		if err == nil {
			bp.Close()
		}
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, redisbackplane.ErrOptions) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q %q with %+v: %v, want %q", c.server.info, c.server.clientInfo, c.o, err, c.want)
		}
	}
}

// The defaults are those that the documentation of Options names.
func TestDefaults(t *testing.T) {
	if redisbackplane.DefaultPrefix != "alk:" || redisbackplane.DefaultLease != 10*time.Second ||
		redisbackplane.DefaultTimeout != time.Second || redisbackplane.DefaultLinkBytes != 64*1024*1024 {
		t.Error("a default has changed")
	}
	server := redistest.Start(t)
	for lease, o := range map[time.Duration]*redisOptions{redisbackplane.DefaultLease: nil, 3 * time.Second: {Lease: 3 * time.Second}} {
		server.Do("FLUSHALL")
		leave, err := join(t, server.URL(), o).Backplane().Directory.Join(t.Context(), "near", func(hub.Record) {})
		if err != nil {
			t.Fatal(err)
		}
		if ms, _ := strconv.Atoi(server.Do("PTTL", "alk:hubspoke:hub:{near}:lease")); ms <= int(lease.Milliseconds()/2) || ms > int(lease.Milliseconds()) {
			t.Errorf("the lease has %d ms, want %v", ms, lease)
		}
		leave(t.Context())
	}
}

func TestHubIDInUse(t *testing.T) {
	server := redistest.Start(t)
	o := &redisOptions{Lease: time.Second}
	startNode(t, server.URL(), "the-hub", o)
	client, err := redisbackplane.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	sent := &counting{Client: client}
	second, err := redisbackplane.New(sent, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Close)
	begin := time.Now()
	_, err = hub.New(&hub.Options{AllowAnonymous: true, ID: "the-hub", Backplane: second.Backplane()})
	// It asks ten times a lease, for a lease and a tenth.
	if took, n := time.Since(begin), sent.renewals(); !errors.Is(err, hub.ErrHubIDInUse) || took < time.Second || n < 3 || n > 13 {
		t.Errorf("%v after %v and %d attempts", err, took, n)
	}
}

// A predecessor that died is waited for; what it had does not count for its successor.
func TestPredecessorDied(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	o := &redisOptions{Lease: time.Second}
	old := startNode(t, "redis://"+proxy.Addr(), "the-hub", o)
	old.Spoke("gone", nil, serve("gone"))
	watcher := startNode(t, server.URL(), "watcher", o)
	within(t, time.Second, "it is seen", func() bool { return calls(t, watcher.Hub, "gone") })
	proxy.Refuse()
	successor := startNode(t, server.URL(), "the-hub", o)
	within(t, time.Second, "what the former had is gone", func() bool {
		_, err := call.Invoke[string](t.Context(), watcher.Hub, "test.who", nil, call.To("gone"))
		_, err2 := call.Invoke[string](t.Context(), watcher.Hub, "test.who.gone", nil)
		return errors.Is(err, call.CodeSpokeNotFound) && errors.Is(err2, call.CodeOperationNotFound)
	})
	successor.Spoke("here", nil, serve("here"))
	within(t, time.Second, "what the successor has is there", func() bool { return calls(t, watcher.Hub, "here", call.To("here")) })
}

func TestCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	var nodes []*node
	for _, id := range []string{"hub-a", "hub-b", "hub-c"} {
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: cluster.Addrs()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		nodes = append(nodes, startOn(t, client, id, &redisOptions{Lease: 2 * time.Second}, 0))
	}
	for _, n := range nodes {
		n.Spoke("on-"+n.Hub.ID(), nil, serve("on-"+n.Hub.ID()))
	}
	works := func(when string) {
		for _, from := range nodes {
			for _, to := range nodes {
				within(t, 5*time.Second, when, func() bool { return calls(t, from.Hub, "on-"+to.Hub.ID(), call.To("on-"+to.Hub.ID())) })
				within(t, 5*time.Second, when, func() bool {
					_, err := call.Invoke[string](t.Context(), from.Hub, "test.who.on-"+to.Hub.ID(), nil)
					return err == nil
				})
			}
		}
	}
	works("on a cluster")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if all, err := nodes[0].Hub.AllSpokes(ctx, nil, nil); err != nil || len(all) != 3 {
		t.Errorf("%d spokes on all hubs, %v", len(all), err)
	}
	cluster.Nodes()[0].Kill()
	cluster.Nodes()[0].Restart()
	cluster.WaitOK()
	works("after a node was restarted")
}
