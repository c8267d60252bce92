package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
)

type callFlags struct {
	operation, to, hub, token string
	input                     json.RawMessage
	timeout                   time.Duration
	maxMessage                int64
}

func parseCall(args []string, std streams) (*callFlags, error) {
	var f callFlags
	fs := newFlags("call", std)
	fs.StringVar(&f.to, "to", "", "id of the spoke that must answer")
	fs.StringVar(&f.hub, "hub", "http://127.0.0.1:8080",
		"URL of the hub: http for the gateway, ws (with /spoke) for a spoke's connection, which streams")
	fs.StringVar(&f.token, "token", "", "secret to show; empty takes HUBSPOKE_TOKEN")
	fs.DurationVar(&f.timeout, "timeout", 0, "time for the call; 0 is 30 s, and no limit for a stream")
	fs.Int64Var(&f.maxMessage, "max-message", maxMessageBytes, "bytes of the largest message that a ws connection takes")
	rest, err := parseMixed(fs, args)
	switch {
	case err != nil:
		return nil, err
	case len(rest) == 0:
		return nil, fmt.Errorf("%w: which operation?", errUsage)
	case len(rest) > 2:
		return nil, fmt.Errorf("%w: unexpected %q", errUsage, rest[2])
	case f.timeout < 0 || f.maxMessage <= 0:
		return nil, fmt.Errorf("%w: -timeout and -max-message must not be negative", errUsage)
	}
	if f.token == "" {
		f.token = os.Getenv("HUBSPOKE_TOKEN")
	}
	f.operation = rest[0]
	if len(rest) == 2 {
		f.input, err = readInput(rest[1], std.in)
	}
	return &f, err
}

func readInput(arg string, in io.Reader) (json.RawMessage, error) {
	raw := []byte(arg)
	if arg == "-" {
		var err error
		if raw, err = io.ReadAll(in); err != nil {
			return nil, err
		}
		if len(strings.TrimSpace(string(raw))) == 0 {
			return nil, nil
		}
	}
	if !json.Valid(raw) {
		return nil, fmt.Errorf("%w: the input is not JSON", errUsage)
	}
	return raw, nil
}

// runCall makes one call and prints its answer, or its answers, one on a line.
func runCall(ctx context.Context, args []string, std streams) error {
	f, err := parseCall(args, std)
	if err != nil {
		return err
	}
	u, err := url.Parse(f.hub)
	if err != nil {
		return fmt.Errorf("%w: -hub is not a valid URL (it is not shown, since it may contain a password)", errUsage)
	}
	switch u.Scheme {
	case "http", "https":
		err = callGateway(ctx, f, std.out)
	case "ws", "wss":
		err = callAsSpoke(ctx, f, std.out)
	default:
		return fmt.Errorf("%w: -hub: the scheme %q must be http, https, ws or wss", errUsage, u.Scheme)
	}
	// Whoever reads this wants the code first, whatever is around it.
	if e, ok := errors.AsType[*call.Error](err); ok {
		return e
	}
	return err
}

// printJSON prints a value on a line of its own.
func printJSON(out io.Writer, data json.RawMessage) error {
	if len(data) == 0 {
		data = json.RawMessage("null")
	}
	_, err := fmt.Fprintf(out, "%s\n", data)
	return err
}
