package session

import (
	"context"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/transport"
)

// nullConn takes everything.
type nullConn struct{}

func (nullConn) Read() ([]byte, error)             { return nil, transport.ErrLost }
func (nullConn) Write([][]byte) error              { return nil }
func (nullConn) TryRead() ([]byte, bool, error)    { return nil, false, transport.ErrLost }
func (nullConn) TryWrite([][]byte) bool            { return false }
func (nullConn) Ping() error                       { return nil }
func (nullConn) Close(transport.CloseCode, string) {}
func (nullConn) Abort()                            {}
func (nullConn) LastReceived() time.Time           { return time.Time{} }
func (nullConn) WholeMessages() bool               { return false }
func (nullConn) RemoteAddr() string                { return "null" }
func (nullConn) SetMeter(transport.Meter)          {}

func benchmarkSend(b *testing.B, send func(s *Session, frame []byte) error) {
	s := New(Options{})
	if err := s.Attach(nullConn{}); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 200)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := send(s, data); err != nil {
				b.Error(err)
			}
		}
	})
	s.End(nil)
	s.Wait()
}

func BenchmarkSend(b *testing.B) {
	benchmarkSend(b, func(s *Session, data []byte) error {
		f := NewBuffer(0)
		f.B = append(f.B, data...)
		_, err := s.Append(context.Background(), Response, f, 0, nil)
		return err
	})
}

func BenchmarkAppendSharedEvent(b *testing.B) {
	benchmarkSend(b, func(s *Session, data []byte) error {
		appendEvent(s, "topic", Shared(data))
		return nil
	})
}
