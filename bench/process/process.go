// Package process puts the serving side of a measurement into a process of its own, so that its CPU, memory and
// system calls can be told from those of the clients.
//
// # What package main does
//
// The server is the same executable started again, so main calls [Main] before anything else, flags included:
//
//	func main() {
//		process.Main(find)
//		...
//	}
//
// where find gives a contender by its name (the same names as in [contender.Contender.Name]):
//
//	func find(name string) (contender.Contender, bool)
//
// In the process that was started as a server Main does not return; in every other it returns at once. Nothing else is
// needed: the workloads (workload.FanOut, workload.Idle, workload.Connect, workload.Growth) call [Start] themselves. A
// test binary that uses them calls Main in its TestMain.
//
// # Protocol
//
// One JSON object a line: commands on the server's standard input, an answer to each on its file 3. Its standard output
// is its parent's standard error, since contenders print. The server ends when its standard input does, so it cannot
// outlive the process that measures, however that one ends.
package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/alkdev/hubspoke/bench/contender"
)

// marker is the environment variable that makes a process a server. It is not an argument, so that main's flags and
// those of a test binary stay out of the way.
const marker = "HUBSPOKE_BENCH_SERVER"

// stopTime bounds how long a server may take to close its connections.
const stopTime = 30 * time.Second

// Server is a contender's server in a child process. Its methods may be used concurrently; they take turns.
type Server struct {
	addr string

	mu      sync.Mutex
	cmd     *exec.Cmd
	in      *json.Encoder
	out     *json.Decoder
	hangUp  func() error // closes the child's standard input
	answers *os.File
}

// Start runs the named contender's server in a child process, which is killed when ctx ends.
func Start(ctx context.Context, name string, setup contender.Setup) (*Server, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	answers, theirs, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("process: %w", err), stdin.Close())
	}
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	// The child has a copy; with this one open its end would never be seen.
	err = errors.Join(err, theirs.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("process: %w", err), stdin.Close(), answers.Close())
	}
	s := &Server{cmd: cmd, in: json.NewEncoder(stdin), out: json.NewDecoder(answers), hangUp: stdin.Close, answers: answers}
	a, err := s.ask(command{Do: doStart, Contender: name, Setup: setup})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.addr = a.Addr
	return s, nil
}

// Addr is where clients dial, host:port.
func (s *Server) Addr() string { return s.addr }

// Publish has the server publish messages in a row, numbered from first, each with [Payload] as its content. It
// returns when the last one was handed over.
func (s *Server) Publish(first uint64, messages, size int) error {
	_, err := s.ask(command{Do: doPublish, First: first, Messages: messages, Bytes: size})
	return err
}

// Stats says what the server has used so far.
func (s *Server) Stats() (Stats, error) { return s.stats(false) }

// Collected is Stats after garbage was collected and memory that is free given back to the system.
func (s *Server) Collected() (Stats, error) { return s.stats(true) }

func (s *Server) stats(collect bool) (Stats, error) {
	a, err := s.ask(command{Do: doStats, Collect: collect})
	return a.Stats, err
}

// Calls has the server call its clients.
func (s *Server) Calls(run CallRun) (CallFigures, error) {
	a, err := s.ask(command{Do: doCalls, Calls: run})
	return a.Calls, err
}

// ask sends a command and waits for its answer.
func (s *Server) ask(c command) (answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var a answer
	if err := s.in.Encode(c); err != nil {
		return a, fmt.Errorf("process: %s: the server is gone: %w", c.Do, err)
	}
	if err := s.out.Decode(&a); err != nil {
		return a, fmt.Errorf("process: %s: the server is gone: %w", c.Do, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("process: %s: %s", c.Do, a.Error)
	}
	return a, nil
}

// Close stops the server and waits for its process to end. It is called once.
func (s *Server) Close() error {
	kill := time.AfterFunc(stopTime, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	_, err := s.ask(command{Do: doStop})
	s.mu.Lock()
	defer s.mu.Unlock()
	// Wait closes standard input; a server that could not be asked ends by this.
	_ = s.hangUp()
	return errors.Join(err, s.cmd.Wait(), s.answers.Close())
}
