// Command hub-spoke is a runnable system: a hub with its HTTP gateway, spokes that count words and
// Go declarations, a command that calls them, and a demo that runs them all as processes.
//
//	hub-spoke demo
//	hub-spoke demo  -hubs 2 -redis redis://127.0.0.1:6379
//	hub-spoke hub   -listen 127.0.0.1:8080 [-redis URL] [-token ID=SECRET[:scope,scope]]… [-origin PATTERN]…
//	hub-spoke spoke -hub ws://127.0.0.1:8080/spoke… [-id ID] [-token SECRET] [-label k=v]…
//	hub-spoke call  OPERATION [JSON | -] [-to ID] [-hub URL] [-token SECRET] [-timeout 5s]
//
// It exits with 0 when all went well, 1 when something failed, and 2 when it was called wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage:
  hub-spoke demo  [-src DIR] [-in-flight N] [-hubs N -redis URL]
  hub-spoke hub   -listen 127.0.0.1:8080 [-redis URL [-redis-prefix PREFIX]] [-token ID=SECRET[:scope,scope]]...
                  [-origin PATTERN]... [-max-message BYTES] [-session-window 15s] [-until-eof]
  hub-spoke spoke -hub ws://127.0.0.1:8080/spoke... [-id ID] [-token SECRET] [-label k=v]...
                  [-max-message BYTES] [-backoff-max 20s] [-until-eof]
  hub-spoke call  OPERATION [JSON | -] [-to ID] [-hub URL] [-token SECRET] [-timeout 5s]
`

// maxMessageBytes is what hub and spokes of this program take: the largest files of Go's own
// sources, which the demo sends, are over 3 MB as JSON.
const maxMessageBytes = 8 << 20

// streams are the standard streams, as a command sees them.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// errUsage marks a command that was called wrongly.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run runs the command and gives the exit code.
func run(ctx context.Context, args []string, std streams) int {
	commands := map[string]func(context.Context, []string, streams) error{
		"demo": runDemo, "hub": runHub, "spoke": runSpoke, "call": runCall,
	}
	if len(args) == 0 {
		say(std.err, "%s", usage)
		return 2
	}
	command, ok := commands[args[0]]
	if !ok {
		if args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
			say(std.out, "%s", usage)
			return 0
		}
		say(std.err, "unknown command %q\n%s", args[0], usage)
		return 2
	}
	err := command(ctx, args[1:], std)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		say(std.err, "%v\n", err)
		return 2
	default:
		say(std.err, "%v\n", err)
		return 1
	}
}
