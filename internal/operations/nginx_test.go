//go:build operations

package operations

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
	"github.com/alkdev/hubspoke/internal/redistest"
	"github.com/alkdev/hubspoke/pubsub"
	"github.com/alkdev/hubspoke/spoke"
)

// front is the page's nginx in front of two hubs.
type front struct {
	addr        string
	certificate string // a file
	client      *http.Client
	nginx       *process
	path        string     // of its configuration
	hubs        []*hub.Hub // in this process, if they are
}

// startFront runs nginx in front of two hubs of this process.
func startFront(t *testing.T, o hub.Options, oldnew ...string) *front {
	t.Helper()
	bp := hub.NewMemoryBackplane()
	var hubs []*hub.Hub
	var addrs []string
	for range 2 {
		o := o
		o.Authenticate = hub.BearerTokens([]hub.Token{{Secret: token, Identity: call.Identity{ID: "workers"}}})
		o.Backplane = bp
		h, err := hub.New(&o)
		if err != nil {
			t.Fatal(err)
		}
		g, err := gateway.New(h, nil)
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.Handle("GET /spoke", h)
		mux.Handle("/", g)
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		t.Cleanup(h.Close)
		hubs, addrs = append(hubs, h), append(addrs, server.Listener.Addr().String())
	}
	f := startNginx(t, addrs, oldnew...)
	f.hubs = hubs
	return f
}

// startNginx runs nginx with the page's configuration: with addresses and paths of the test's, and what oldnew replaces.
func startNginx(t *testing.T, addrs []string, oldnew ...string) *front {
	t.Helper()
	dir := t.TempDir()
	f := &front{addr: freeAddr(t), certificate: filepath.Join(dir, "crt")}
	pool := certificate(t, dir)
	f.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "hub.example.com"}}}
	t.Cleanup(f.client.CloseIdleConnections)
	text := changed(t, block(t, "nginx.conf"), append([]string{
		"hub-1.internal:8080", addrs[0], "hub-2.internal:8080", addrs[1],
		"listen 443 ssl", "listen " + f.addr + " ssl",
		"/etc/ssl/hub.example.com.crt", f.certificate, "/etc/ssl/hub.example.com.key", filepath.Join(dir, "key"),
		"worker_rlimit_nofile 65536;", fmt.Sprintf("worker_rlimit_nofile %d;\ndaemon off;\npid %s/pid;\nerror_log stderr notice;", files(t), dir),
		"http {\n", "http {\n    access_log off;\n" + temporary(dir),
	}, oldnew...)...)
	f.path = filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.nginx = start(t, "nginx", nil, "nginx", "-p", dir, "-e", "stderr", "-c", f.path)
	redistest.Poll(t, "nginx", func() bool {
		conn, err := net.Dial("tcp", f.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return f
}

// reload replaces parts of the configuration, and returns when no request is accepted under the former one. Connections go on.
func (f *front) reload(t *testing.T, oldnew ...string) {
	t.Helper()
	text, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path, []byte(changed(t, string(text), oldnew...)), 0o600); err != nil {
		t.Fatal(err)
	}
	before := strings.Count(f.nginx.output.String(), "gracefully shutting down")
	if err := f.nginx.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	redistest.Poll(t, "the former workers of nginx to accept nothing more", func() bool {
		return strings.Count(f.nginx.output.String(), "gracefully shutting down") > before
	})
}

// temporary are the directories that nginx would have elsewhere.
func temporary(dir string) string {
	var b strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&b, "    %s_temp_path %s/%s;\n", kind, dir, kind)
	}
	return b.String()
}

// files is how many files a process of this machine may open, at most as many as the page's nginx wants.
func files(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return 1024
	}
	n := 1024
	if m := regexp.MustCompile(`Max open files\s+\d+\s+(\d+)`).FindSubmatch(text); m != nil {
		_, _ = fmt.Sscan(string(m[1]), &n) // else it stays as it is
	}
	return min(n, 65536)
}

// certificate writes one for hub.example.com and the address of the test.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"hub.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"crt": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return pool
}

// spoke registers through nginx.
func (f *front) spoke(t *testing.T, o spoke.Options) *spoke.Spoke {
	t.Helper()
	o.HTTPClient, o.Token = f.client, spoke.StaticToken(token)
	s, err := spoke.New("wss://"+f.addr+"/spoke", &o)
	if err != nil {
		t.Fatal(err)
	}
	err = call.Handle(s.Operations(), call.Operation{Name: "test.echo"}, func(_ context.Context, in string) (string, error) { return in, nil })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	ready, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if err := s.Ready(ready); err != nil {
		t.Fatal(err)
	}
	return s
}

// Spokes, calls, large messages and browsers pass through nginx.
func TestNginx(t *testing.T) {
	f := startFront(t, hub.Options{})
	// A browser on the page's own address: its Origin has the host and port that it dialed.
	s := f.spoke(t, spoke.Options{ID: "worker", Header: http.Header{"Origin": {"https://" + f.addr}}})
	large := strings.Repeat("x", 900<<10)
	for _, input := range []string{"small", large} {
		r, err := post(f.client, "https://"+f.addr, "test.echo", `"`+input+`"`)
		if err != nil || r.status != http.StatusOK || r.output != input {
			t.Errorf("%d bytes over HTTP: %d, %d bytes, %v", len(input), r.status, len(r.output), err)
		}
		got, err := call.Invoke[string](t.Context(), s, "test.echo", input)
		if err != nil || got != input {
			t.Errorf("%d bytes by a spoke: %d bytes, %v", len(input), len(got), err)
		}
	}
}

// Events over HTTP arrive one by one, when they are sent.
func TestNginxDoesNotBuffer(t *testing.T) {
	f := startFront(t, hub.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+f.addr+"/events/test.topic:x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := f.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	lines := bufio.NewScanner(resp.Body)
	topic := pubsub.NewTopic[string]("test.topic")
	for i := range 3 { // each is read before the next is sent
		want := fmt.Sprintf("event %d", i)
		if err := topic.Publish(t.Context(), f.hubs[0].Events(), "x", want); err != nil {
			t.Fatal(err)
		}
		for found := false; !found; {
			if !lines.Scan() {
				t.Fatalf("the events ended: %v", lines.Err())
			}
			found = strings.Contains(lines.Text(), want)
		}
	}
}

// An idle connection outlives nginx' time-outs, because they are above the heartbeat and its patience. The test
// divides both sides by 25.
func TestNginxTimeouts(t *testing.T) {
	const by = 25
	text := block(t, "nginx.conf")
	var oldnew []string
	for _, name := range []string{"proxy_read_timeout", "proxy_send_timeout"} {
		m := regexp.MustCompile(name + ` (\d+)s;`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %s", name)
		}
		var seconds int
		if _, err := fmt.Sscan(m[1], &seconds); err != nil {
			t.Fatal(err)
		}
		if seconds <= 35 {
			t.Errorf("%s is %d s, not above 25 s + 10 s", name, seconds)
		}
		oldnew = append(oldnew, m[0], fmt.Sprintf("%s %dms;", name, seconds*1000/by))
	}
	f := startFront(t, hub.Options{HeartbeatInterval: 25 * time.Second / by, HeartbeatTimeout: 10 * time.Second / by}, oldnew...)
	s := f.spoke(t, spoke.Options{ID: "idle"})
	quiet := time.NewTimer(3 * 75 * time.Second / by)
	defer quiet.Stop()
	<-quiet.C
	if n := s.Stats().Connections; n != 1 || s.State() != spoke.Registered {
		t.Errorf("an idle spoke is %v with its connection number %d", s.State(), n)
	}
}

// While one hub drains, nginx sends new connections to the other one.
func TestNginxPassesADrainingHubBy(t *testing.T) {
	f := startFront(t, hub.Options{DrainSpread: time.Millisecond})
	limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := f.hubs[0].Shutdown(limit); err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // nginx takes them in turn
		s := f.spoke(t, spoke.Options{ID: fmt.Sprint("spoke-", i)})
		if n := s.Stats().Connections; n != 1 {
			t.Errorf("spoke %d needed %d connections", i, n)
		}
	}
	if n := len(f.hubs[1].Spokes(nil)); n != 4 {
		t.Errorf("%d spokes are at the hub that serves", n)
	}
}
