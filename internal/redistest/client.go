package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Do runs one raw command on a connection of its own and returns the reply as
// text: a number in decimal, the members of a list on lines of their own, a
// null as the empty string. An error reply fails the test. Where the server's URL
// or its option --requirepass has a password, it is given.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	reply, err := s.Try(args...)
	if err != nil {
		s.t.Fatalf("redis %s: %v", strings.Join(args, " "), err)
	}
	return reply
}

// Try is Do that returns the error, also one that the server replies.
func (s *Server) Try(args ...string) (string, error) {
	c, err := dial(s.addr)
	if err != nil {
		return "", err
	}
	defer c.close()
	if password := s.password(); password != "" {
		if _, err := c.do("AUTH", password); err != nil {
			return "", err
		}
	}
	return c.do(args...)
}

func (s *Server) password() string {
	for i, arg := range s.args[:max(0, len(s.args)-1)] {
		if arg == "--requirepass" {
			return s.args[i+1]
		}
	}
	if u, err := url.Parse(s.url); err == nil && u.User != nil {
		password, _ := u.User.Password()
		return password
	}
	return ""
}

// client speaks as much RESP2 as tests need.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, longest)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(longest)); err != nil {
		return nil, err
	}
	return &client{conn: conn, in: bufio.NewReader(conn)}, nil
}

func (c *client) close() { _ = c.conn.Close() }

func (c *client) do(args ...string) (string, error) {
	var out strings.Builder
	fmt.Fprintf(&out, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := io.WriteString(c.conn, out.String()); err != nil {
		return "", err
	}
	return c.reply()
}

func (c *client) reply() (string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("an empty reply")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", errors.New(rest)
	}
	n, err := strconv.Atoi(rest)
	if err != nil || (kind != '$' && kind != '*') {
		return "", fmt.Errorf("a reply that is no RESP2: %q", line)
	}
	if kind == '*' {
		return c.list(n)
	}
	if n < 0 {
		return "", nil
	}
	text := make([]byte, n+2)
	if _, err := io.ReadFull(c.in, text); err != nil {
		return "", err
	}
	return string(text[:n]), nil
}

func (c *client) list(n int) (string, error) {
	var lines []string
	for range n {
		line, err := c.reply()
		if err != nil {
			return "", err
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), nil
}
