package redisbackplane

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// Connect makes a client for [New] from a URL such as
// redis://user:password@host:6379/0, rediss:// for TLS, or with more nodes as ?addr=host:port. The
// caller closes it, after the Backplane. The error wraps [ErrOptions] and names what is
// wrong with the URL; it never shows the password.
func Connect(url string) (rueidis.Client, error) {
	o, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("%w: the Redis URL is not one (redis://host:port is): %s", ErrOptions, withoutURL(err, url))
	}
	client, err := rueidis.NewClient(o)
	if err != nil {
		return nil, explain("the Redis at "+strings.Join(o.InitAddress, ", "), err)
	}
	return client, nil
}

// withoutURL gives the text of an error without the URL, which may hold a password.
func withoutURL(err error, url string) string {
	text := strings.ReplaceAll(err.Error(), strconv.Quote(url), "it")
	return strings.ReplaceAll(text, url, "it")
}

// explain says which setting an error at the start comes from.
func explain(what string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "NOAUTH"):
		return fmt.Errorf("%w: %s wants a password: put it in the Redis URL (redis://:password@host) or the client's Password: %w", ErrOptions, what, err)
	case strings.Contains(text, "WRONGPASS"):
		return fmt.Errorf("%w: %s refuses the user name or password of the Redis URL or the client's options: %w", ErrOptions, what, err)
	case strings.Contains(text, "NOPERM"):
		return fmt.Errorf("%w: %s does not let the user of the Redis URL do what is needed (its ACL): %w", ErrOptions, what, err)
	default:
		return fmt.Errorf("%w: %s cannot be reached, check the Redis URL: %w", ErrOptions, what, err)
	}
}
