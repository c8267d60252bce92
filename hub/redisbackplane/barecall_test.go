package redisbackplane_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub/redisbackplane"
	"github.com/alkdev/hubspoke/internal/redistest"
)

// BenchmarkBareCall is the floor of BenchmarkCall: two bare publish hops, with a
// WebSocket echo behind the second, and a number in front of the payload to find who waits.
func BenchmarkBareCall(b *testing.B) {
	for _, width := range []int{1, 64} {
		b.Run(fmt.Sprintf("inflight=%d", width), func(b *testing.B) {
			server := redistest.Start(b)
			near, far := bareClient(b, server), bareClient(b, server)
			echo := bareEcho(b)
			var mu sync.Mutex
			waiting := map[string]chan struct{}{}
			bareListen(b, near, "near", func(m string) {
				id, _, _ := strings.Cut(m, " ")
				mu.Lock()
				defer mu.Unlock()
				close(waiting[id])
				delete(waiting, id)
			})
			bareListen(b, far, "far", func(m string) {
				if err := echo.Write(context.Background(), websocket.MessageText, []byte(m)); err != nil {
					b.Error(err)
				}
			})
			go func() { // ends with the socket
				for {
					_, m, err := echo.Read(context.Background())
					if err != nil {
						return
					}
					go far.Do(context.Background(), far.B().Publish().Channel("near").Message(string(m)).Build())
				}
			}()
			next := 0
			measure(b, server, width, func() {
				done := make(chan struct{})
				mu.Lock()
				next++
				id := fmt.Sprint(next)
				waiting[id] = done
				mu.Unlock()
				near.Do(context.Background(), near.B().Publish().Channel("far").Message(id+" "+string(payload)).Build())
				<-done
			})
		})
	}
}

func bareClient(b *testing.B, server *redistest.Server) rueidis.Client {
	b.Helper()
	c, err := redisbackplane.Connect(server.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c
}

func bareListen(b *testing.B, c rueidis.Client, channel string, fn func(string)) {
	b.Helper()
	d, cancel := c.Dedicate()
	b.Cleanup(cancel)
	d.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) { fn(m.Message) }})
	if err := d.Do(context.Background(), d.B().Subscribe().Channel(channel).Build()).Error(); err != nil {
		b.Fatal(err)
	}
}

// bareEcho gives the server's side of a socket whose client echoes.
func bareEcho(b *testing.B) *websocket.Conn {
	b.Helper()
	got := make(chan *websocket.Conn)
	over := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		got <- c
		<-over
	}))
	b.Cleanup(web.Close)
	b.Cleanup(func() { close(over) })
	c, _, err := websocket.Dial(context.Background(), web.URL, nil) //nolint:bodyclose // there is none
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.CloseNow() })
	go func() { // ends with the socket
		for {
			_, m, err := c.Read(context.Background())
			if err != nil || c.Write(context.Background(), websocket.MessageText, m) != nil {
				return
			}
		}
	}()
	return <-got
}
