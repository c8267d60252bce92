//go:build operations

package operations

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/alkdev/hubspoke/internal/redistest"
)

// A worker that gets SIGTERM answers what it has begun, and ends.
func TestWorkerDrains(t *testing.T) {
	server := redistest.Start(t)
	h := newHubs(t, "single.go", "REDIS_URL="+server.URL())
	_, addr := h.start()
	old := startWorker(t, "worker-1", "ws://"+addr+"/spoke")
	renders(t, addr, "rendered by worker-1")
	answered := make(chan string, 1)
	go func() {
		r, err := post(http.DefaultClient, "http://"+addr, "report.render", "2")
		if err != nil || r.status != http.StatusOK {
			t.Errorf("the call in flight: %+v, %v", r, err)
		}
		answered <- r.output
	}()
	redistest.Poll(t, "the call to be in flight", func() bool { return strings.Contains(old.output.String(), "\"seconds\":2") })
	old.terminate()
	if got := <-answered; got != "rendered by worker-1" {
		t.Errorf("the call in flight: %q", got)
	}
	if r, err := post(http.DefaultClient, "http://"+addr, "report.render", "0"); r.status != http.StatusNotFound {
		t.Errorf("after the only worker has left: %+v, %v", r, err)
	}
}

// Hubs and workers are replaced one after the other, behind the nginx of the page and under load. No call fails but those
// that the page names.
func TestUpdateLosesNoCall(t *testing.T) {
	server := redistest.Start(t)
	h := newHubs(t, "single.go", "REDIS_URL="+server.URL())
	addrs := []string{freeAddr(t), freeAddr(t)}
	running := []*process{h.startAt(addrs[0]), h.startAt(addrs[1])}
	f := startNginx(t, addrs)
	f.client.Transport.(*http.Transport).DisableKeepAlives = true // nginx ends connections without a request when it reloads
	worker := func(id string) *process {
		p := startWorker(t, id, "wss://"+f.addr+"/spoke", "SSL_CERT_FILE="+f.certificate)
		redistest.Poll(t, id, func() bool { return strings.Contains(p.output.String(), `"registered"`) })
		return p
	}
	first := worker("worker-1")

	var stop atomic.Bool
	var done, cut, failed atomic.Int64
	var callers sync.WaitGroup
	end := func() {
		stop.Store(true)
		callers.Wait()
	}
	defer end()
	for range 2 {
		callers.Go(func() {
			for !stop.Load() {
				r, err := post(f.client, "https://"+f.addr, "report.render", "0.05")
				switch {
				case err == nil && r.status == http.StatusOK:
					done.Add(1)
				case err == nil && r.notRun: // it is sent again
				case err == nil && r.code == "DISCONNECTED": // sent by the other hub while this one ended its links
					cut.Add(1)
				default:
					if failed.Add(1) < 5 {
						t.Logf("a call: %+v, %v", r, err)
					}
				}
			}
		})
	}
	worker("worker-2")
	worker("worker-3")
	first.terminate()
	for i := range running {
		in := "server " + addrs[i] + " max_fails=0"
		out := in + " down"
		f.reload(t, in, out)
		running[i].terminate()
		running[i] = h.startAt(addrs[i])
		f.reload(t, out, in)
	}
	for _, addr := range addrs {
		renders(t, addr, "rendered by worker-2", "rendered by worker-3")
	}
	end()
	if done.Load() < 20 || failed.Load() > 0 || cut.Load() > 2 { // one for each hub that ended
		t.Errorf("%d calls were answered, %d failed, and %d were cut off", done.Load(), failed.Load(), cut.Load())
	}
}

// A spoke whose way through the common proxy is lost resumes its session at the URL of its hub: the call in flight
// is answered.
func TestURLOfAHub(t *testing.T) {
	server := redistest.Start(t)
	addrs := []string{freeAddr(t), freeAddr(t)}
	var bundle []byte // the certificates of all three
	var own []*front
	for i, addr := range addrs {
		own = append(own, startNginx(t, []string{addr, addr}))
		h := newHubs(t, "single.go", "REDIS_URL="+server.URL(), "URL=wss://"+own[i].addr+"/spoke")
		h.startAt(addr)
	}
	common := startNginx(t, addrs)
	for _, f := range append(own, common) {
		text, err := os.ReadFile(f.certificate)
		if err != nil {
			t.Fatal(err)
		}
		bundle = append(bundle, text...)
	}
	worker := startWorker(t, "worker-1", "wss://"+common.addr+"/spoke", "SSL_CERT_FILE="+write(t, "bundle", string(bundle)))
	renders(t, addrs[0], "rendered by worker-1")
	answers := make(chan error, len(addrs))
	for _, addr := range addrs {
		go func() {
			r, err := post(http.DefaultClient, "http://"+addr, "report.render", "2")
			if err == nil && r.output != "rendered by worker-1" {
				err = fmt.Errorf("%+v", r)
			}
			answers <- err
		}()
	}
	redistest.Poll(t, "the calls to be in flight", func() bool {
		return strings.Count(worker.output.String(), `"seconds":2`) == len(addrs)
	})
	_ = common.nginx.cmd.Process.Signal(syscall.SIGTERM) // it closes all connections and stays down
	<-common.nginx.ended
	for range addrs {
		if err := <-answers; err != nil {
			t.Errorf("a call in flight: %v", err)
		}
	}
	if !strings.Contains(worker.output.String(), "session resumed") {
		t.Error("the worker has not resumed its session")
	}
}
