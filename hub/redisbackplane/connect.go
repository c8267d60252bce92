package redisbackplane

import (
	"fmt"
	"strings"

	"github.com/redis/rueidis"
)

// Connect makes a client for [New] from a URL such as
// redis://user:password@host:6379/0, rediss:// for TLS, or with more nodes as ?addr=host:port. The
// caller closes it, after the Backplane. The error wraps [ErrOptions] and names what is
// wrong with the URL; it never shows the password, nor a part of one that was not percent-encoded.
func Connect(url string) (rueidis.Client, error) {
	o, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("%w: the Redis URL is not valid (redis://user:password@host:port/database is): %s", ErrOptions, urlFault(err))
	}
	client, err := rueidis.NewClient(o)
	if err != nil {
		return nil, explain("the Redis at "+strings.Join(o.InitAddress, ", "), err)
	}
	return client, nil
}

// urlFault describes what is wrong with a URL without quoting it: a password with a character that was not
// percent-encoded shows up as a port, a path or the number of a database.
func urlFault(err error) string {
	for part, fault := range map[string]string{
		"invalid URL scheme": "the scheme must be redis, rediss or unix",
		"database number":    "the database is not a number; a / in the password must be written as %2F",
		"invalid URL path":   "the path must be the number of a database; a / in the password must be written as %2F",
		"dial timeout":       "dial_timeout is not a duration",
		"write timeout":      "write_timeout is not a duration",
		"skip verify":        "skip_verify is not true or false",
	} {
		if strings.HasPrefix(err.Error(), "redis: ") && strings.Contains(err.Error(), part) {
			return fault
		}
	}
	return "it cannot be parsed; special characters in the password must be percent-encoded"
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
