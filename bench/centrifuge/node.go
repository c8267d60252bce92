package centrifuge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/centrifugal/centrifuge"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/alkdev/hubspoke/bench/contender"
)

// node is a server: a node of centrifuge, and the HTTP server that its clients connect to.
type node struct {
	*centrifuge.Node
	listener net.Listener
	http     *http.Server
	served   chan struct{}
	shard    *centrifuge.RedisShard
}

// hooks are what a workload adds to a node.
type hooks struct {
	redis   bool                     // the engine is Redis, not memory
	setup   func(*centrifuge.Node)   // is called before the node runs
	connect func(*centrifuge.Client) // is called for each client
}

// startNode starts a node whose clients may do all that is measured.
func startNode(s contender.Setup, h hooks) (*node, error) {
	if s.TLS {
		return nil, errNoTLS
	}
	c, err := centrifuge.New(centrifuge.Config{
		Name:    "bench",
		Metrics: centrifuge.MetricsConfig{RegistererGatherer: prometheus.NewRegistry()},
	})
	if err != nil {
		return nil, fmt.Errorf("centrifuge: node: %w", err)
	}
	n := &node{Node: c, served: make(chan struct{})}
	if h.redis {
		if err := n.useRedis(s.Redis); err != nil {
			return nil, err
		}
	}
	n.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	n.OnConnect(func(client *centrifuge.Client) {
		handle(client, h.redis)
		if h.connect != nil {
			h.connect(client)
		}
	})
	if h.setup != nil {
		h.setup(c)
	}
	return n, n.run()
}

// handle lets a client subscribe, publish, and call for an echo. A publish that waits for Redis waits aside.
func handle(client *centrifuge.Client, waits bool) {
	client.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
		reply(centrifuge.SubscribeReply{}, nil)
	})
	client.OnRPC(func(e centrifuge.RPCEvent, reply centrifuge.RPCCallback) {
		reply(centrifuge.RPCReply{Data: e.Data}, nil)
	})
	client.OnPublish(func(_ centrifuge.PublishEvent, reply centrifuge.PublishCallback) {
		if waits {
			go reply(centrifuge.PublishReply{}, nil)
		} else {
			reply(centrifuge.PublishReply{}, nil)
		}
	})
}

func (n *node) useRedis(url string) error {
	shard, err := centrifuge.NewRedisShard(n.Node, centrifuge.RedisShardConfig{Address: url})
	if err != nil {
		return fmt.Errorf("centrifuge: Redis: %w", err)
	}
	broker, err := centrifuge.NewRedisBroker(n.Node, centrifuge.RedisBrokerConfig{
		Shards: []*centrifuge.RedisShard{shard},
	})
	if err != nil {
		shard.Close()
		return fmt.Errorf("centrifuge: Redis: %w", err)
	}
	n.SetBroker(broker)
	n.shard = shard
	return nil
}

// run starts the node and its HTTP server, or closes what there is.
func (n *node) run() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		n.listener = ln
		n.http = &http.Server{
			Handler:           centrifuge.NewWebsocketHandler(n.Node, centrifuge.WebsocketConfig{}),
			ReadHeaderTimeout: patience,
		}
		go func() {
			defer close(n.served)
			_ = n.http.Serve(ln) // It always ends with an error: that of being closed.
		}()
		err = n.Run()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("centrifuge: run: %w", err), n.Close())
	}
	return nil
}

func (n *node) Addr() string { return n.listener.Addr().String() }

func (n *node) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := n.Shutdown(ctx)
	if n.http != nil {
		err = errors.Join(err, n.http.Close())
		<-n.served
	}
	if n.shard != nil {
		n.shard.Close()
	}
	return err
}

// publisher is the serving process.
type publisher struct{ *node }

func serve(s contender.Setup) (contender.Server, error) {
	n, err := startNode(s, hooks{})
	if err != nil {
		return nil, err
	}
	return publisher{n}, nil
}

func (p publisher) Publish(payload []byte) error {
	_, err := p.node.Publish(news, payload)
	return err
}

func (p publisher) Call(context.Context, int, []byte) ([]byte, error) { return nil, errNoCall }
