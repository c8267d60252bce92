// Package loopback serves HTTP on loopback for the contenders that are reached over it, as a user would: an
// [http.Server] with its defaults, and TLS where a measurement asks for it.
package loopback

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/alkdev/hubspoke/bench/contender"
)

// Server is an HTTP server that runs.
type Server struct {
	http   *http.Server
	addr   string
	served chan error
}

// Serve serves h at a free port of loopback.
func Serve(s contender.Setup, h http.Handler) (*Server, error) {
	var config *tls.Config
	if s.TLS {
		pair, err := tls.X509KeyPair(s.CertPEM, s.KeyPEM)
		if err != nil {
			return nil, fmt.Errorf("loopback: %w", err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("loopback: %w", err)
	}
	srv := &Server{
		http:   &http.Server{Handler: h, TLSConfig: config},
		addr:   l.Addr().String(),
		served: make(chan error, 1),
	}
	go func() {
		if config != nil {
			srv.served <- srv.http.ServeTLS(l, "", "")
			return
		}
		srv.served <- srv.http.Serve(l)
	}()
	return srv, nil
}

// Addr is host:port.
func (s *Server) Addr() string { return s.addr }

// Close stops listening. Connections that have become WebSockets are the handler's to close.
func (s *Server) Close() error {
	err := s.http.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// URL is the address as a WebSocket's.
func URL(s contender.Setup, addr string) string {
	if s.TLS {
		return "wss://" + addr
	}
	return "ws://" + addr
}

// Client is what dials such a server: nil, the default of whoever dials, unless there is a certificate to trust.
func Client(s contender.Setup) (*http.Client, error) {
	if !s.TLS {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CertPEM) {
		return nil, errors.New("loopback: there is no certificate to trust")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}, nil
}
