package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// redisTime bounds one question to Redis.
const redisTime = 5 * time.Second

// upkeep are commands that connections cost, not calls.
var upkeep = map[string]bool{
	"auth": true, "client": true, "cluster": true, "command": true, "config": true,
	"hello": true, "info": true, "ping": true, "select": true,
}

// RedisCommands is how many commands the Redis at the URL has carried out for all of its clients, connection upkeep left out.
func RedisCommands(ctx context.Context, redisURL string) (int64, error) {
	text, err := RedisInfo(ctx, redisURL, "commandstats")
	if err != nil {
		return 0, err
	}
	return countCommands(text)
}

// countCommands adds up lines such as cmdstat_publish:calls=12,usec=34, or cmdstat_client|setinfo:calls=…
func countCommands(text string) (int64, error) {
	var total int64
	for line := range strings.Lines(text) {
		stat, found := strings.CutPrefix(line, "cmdstat_")
		if !found {
			continue
		}
		name, figures, _ := strings.Cut(stat, ":")
		name, _, _ = strings.Cut(name, "|")
		if upkeep[name] {
			continue
		}
		figures, _ = strings.CutPrefix(figures, "calls=")
		figures, _, _ = strings.Cut(figures, ",")
		n, err := strconv.ParseInt(figures, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("measure: a line of commandstats: %q", line)
		}
		total += n
	}
	return total, nil
}

// RedisVersion is the version of the Redis at the URL.
func RedisVersion(ctx context.Context, redisURL string) (string, error) {
	text, err := RedisInfo(ctx, redisURL, "server")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if version, found := strings.CutPrefix(line, "redis_version:"); found {
			return strings.TrimSpace(version), nil
		}
	}
	return "", errors.New("measure: this Redis does not tell its version")
}

// RedisInfo gives a section of INFO. It has a connection of its own: what is measured is not asked.
func RedisInfo(ctx context.Context, redisURL, section string) (string, error) {
	u, err := url.Parse(redisURL)
	if err != nil || u.Scheme != "redis" || u.Host == "" {
		return "", errors.New("measure: the Redis URL is none of the form redis://host:port")
	}
	d := net.Dialer{Timeout: redisTime}
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return "", fmt.Errorf("measure: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(redisTime)); err != nil {
		return "", fmt.Errorf("measure: %w", err)
	}
	in := bufio.NewReader(conn)
	if password, has := u.User.Password(); has {
		args := []string{"AUTH", password}
		if name := u.User.Username(); name != "" {
			args = []string{"AUTH", name, password}
		}
		if _, err := command(conn, in, args...); err != nil {
			return "", err
		}
	}
	return command(conn, in, "INFO", section)
}

// command sends one and reads its reply, which is a line or a text.
func command(out io.Writer, in *bufio.Reader, args ...string) (string, error) {
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := io.WriteString(out, request.String()); err != nil {
		return "", fmt.Errorf("measure: %w", err)
	}
	line, err := in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("measure: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case strings.HasPrefix(line, "+"):
		return line[1:], nil
	case strings.HasPrefix(line, "$"):
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return "", fmt.Errorf("measure: Redis answers %q", line)
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(in, text); err != nil {
			return "", fmt.Errorf("measure: %w", err)
		}
		return string(text), nil
	}
	return "", fmt.Errorf("measure: Redis answers %q", line)
}
