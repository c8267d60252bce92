// Package contender says what a system must offer to be measured here, so that all are measured
// by the same code. A contender leaves out what it cannot do: a nil function is a missing row cell.
package contender

import "context"

// Contender is one system. Functions are called in a process of their own, once.
type Contender struct {
	// Name stands in the tables, for example "NATS (ws)".
	Name string

	// Call is W1: both ends in this process, one persistent loopback connection, and the server side
	// calls the client (where a system cannot, the client calls the server; the package says so).
	Call func(Setup) (Caller, error)
	// Route is W2: caller and callee have a connection each to a router, all in this process.
	Route func(Setup) (Caller, error)
	// Across is W5: caller on node A, callee connected to node B, and only Redis between them.
	Across func(Setup) (Caller, error)

	// Serve and Dial are W3, W4, W6 and the growth runs, each in a process of its own.
	Serve func(Setup) (Server, error)
	Dial  func(context.Context, Setup, Client) (Connection, error)
}

// Setup is what a measurement tells a contender. Zero values mean the contender's defaults.
type Setup struct {
	// Addr is host:port of the server process, for Dial.
	Addr string
	// Redis is the URL of a Redis for Across.
	Redis string
	// Typed asks for the typed interface with a deadline on each call, where there is one.
	Typed bool
	// TLS asks for TLS on the connections, where it is supported; PEM of the certificate that
	// the server has and clients trust, and its key, are in CertPEM and KeyPEM.
	TLS             bool
	CertPEM, KeyPEM []byte
	// Operations is how many operations each client registers, with schemas when Schemas is set; 0 is one.
	Operations int
	Schemas    bool
	// Publish says that the server will publish and clients subscribe (W3).
	Publish bool
}

// Caller makes calls that are echoed: the reply's bytes must equal the payload's.
type Caller interface {
	// Call may be used concurrently. The reply is the caller's to keep or drop.
	Call(ctx context.Context, payload []byte) ([]byte, error)
	Close() error
}

// Server is the serving process's side.
type Server interface {
	// Addr is host:port on loopback.
	Addr() string
	// Publish sends payload to every subscriber of the one topic, without waiting for delivery.
	Publish(payload []byte) error
	// Call calls the echo operation of client number i, for contenders that can; it may be used concurrently.
	Call(ctx context.Context, i int, payload []byte) ([]byte, error)
	Close() error
}

// Client is what one connecting client is told.
type Client struct {
	// Number tells the clients of a run apart, from 0.
	Number int
	// Deliver is called with each published message in order, when Setup.Publish is set. It does
	// not block, and must not keep the slice.
	Deliver func(payload []byte)
}

// Connection is a client that is usable: registered, and subscribed when Setup.Publish is set, as the server
// sees it: what is published after Dial has returned is delivered.
type Connection interface {
	Close() error
}
