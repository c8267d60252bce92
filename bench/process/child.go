package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alkdev/hubspoke/bench/contender"
)

// Main runs the server and ends the process if this one was started by [Start], and does nothing otherwise. find gives
// the contenders by name.
func Main(find func(name string) (contender.Contender, bool)) {
	if os.Getenv(marker) == "" {
		return
	}
	answers := os.NewFile(3, "answers")
	if err := serve(os.Stdin, answers, find); err != nil {
		fmt.Fprintln(os.Stderr, "process:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// errNotStarted answers a command that needs a server before there is one.
var errNotStarted = errors.New("no server was started")

// child is the state of a process that serves.
type child struct {
	find   func(name string) (contender.Contender, bool)
	server contender.Server
}

// serve answers commands until one says stop, or until there are no more. The latter is the parent's end, so what is
// under way is then given up and the server not closed in order: nobody measures any longer.
func serve(in io.Reader, out io.Writer, find func(name string) (contender.Contender, bool)) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	commands := make(chan command)
	// It may stay behind in its read when serve returns on stop: the process then ends.
	go func() {
		defer close(commands)
		defer cancel()
		for d := json.NewDecoder(in); ; {
			var c command
			if err := d.Decode(&c); err != nil {
				return
			}
			select {
			case commands <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	ch := &child{find: find}
	answers := json.NewEncoder(out)
	for c := range commands {
		a, err := ch.do(ctx, c)
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
		if c.Do == doStop {
			return nil
		}
	}
	return nil
}

// do carries out one command.
func (ch *child) do(ctx context.Context, c command) (answer, error) {
	if ch.server == nil && (c.Do == doPublish || c.Do == doCalls) {
		return answer{}, errNotStarted
	}
	switch c.Do {
	case doStart:
		return ch.start(c)
	case doPublish:
		return answer{}, ch.publish(c)
	case doStats:
		return answer{Stats: readStats(c.Collect)}, nil
	case doCalls:
		f, err := runCalls(ctx, ch.server.Call, c.Calls)
		return answer{Calls: f}, err
	case doStop:
		if ch.server == nil {
			return answer{}, nil
		}
		return answer{}, ch.server.Close()
	}
	return answer{}, fmt.Errorf("unknown command %q", c.Do)
}

func (ch *child) start(c command) (answer, error) {
	if ch.server != nil {
		return answer{}, errors.New("a server was started before")
	}
	found, ok := ch.find(c.Contender)
	if !ok || found.Serve == nil {
		return answer{}, fmt.Errorf("no contender %q that serves", c.Contender)
	}
	s, err := found.Serve(c.Setup)
	if err != nil {
		return answer{}, err
	}
	ch.server = s
	return answer{Addr: s.Addr()}, nil
}

func (ch *child) publish(c command) error {
	for i := range uint64(c.Messages) {
		// A new slice each time: a server may keep what it is given until it is delivered.
		if err := ch.server.Publish(Payload(make([]byte, 0, c.Bytes), c.First+i, c.Bytes)); err != nil {
			return fmt.Errorf("message %d: %w", c.First+i, err)
		}
	}
	return nil
}
