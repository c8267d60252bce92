package transport

import "net"

// layered is a connection over another one, such as *tls.Conn.
type layered interface{ NetConn() net.Conn }

// lowest returns the connection at the bottom of conn.
func lowest(conn net.Conn) net.Conn {
	for {
		over, ok := conn.(layered)
		if !ok {
			return conn
		}
		conn = over.NetConn()
	}
}

// hangUp closes a connection. It closes the network first: TLS sends an alert when it is closed, and may wait
// for seconds.
func hangUp(conn net.Conn) {
	if bottom := lowest(conn); bottom != conn {
		_ = bottom.Close()
	}
	_ = conn.Close()
}

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
