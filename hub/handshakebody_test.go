package hub_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/hub"
)

// A handshake that announces a body and never sends it is answered, and the connection ends.
func TestHandshakeWithABodyThatNeverComes(t *testing.T) {
	h, err := hub.New(&hub.Options{Authenticate: hub.BearerTokens(nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	server := httptest.NewServer(h)
	defer server.Close()
	for _, method := range []string{"GET", "POST"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, method+" / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d, %v", method, res.StatusCode, err)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("%s: %v, want the end", method, err)
		}
	}
}
