package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/alkdev/hubspoke/call"
)

// job is the demo's work: every file is counted by a spoke and counted here, and the two compared.
type job struct {
	files    []source
	inFlight int
	progress *progress
	calls    atomic.Int64
	attempts atomic.Int64 // of those; more than calls where some were repeated

	mu     sync.Mutex // guards the fields below
	done   int
	rows   map[string]*row // by spoke
	theirs totals
	ours   totals
	wrong  []string // what differs
}

// row is what one spoke has done.
type row struct {
	files, bytes, calls int
}

func newJob(files []source, inFlight int, p *progress) *job {
	return &job{files: files, inFlight: inFlight, progress: p, rows: map[string]*row{}}
}

// run does all files, and in the middle of it disturbs, once. The first failure ends it.
func (j *job) run(ctx context.Context, askers []asker, disturb func(context.Context) error) error {
	work, ctx := errgroup.WithContext(ctx)
	next := make(chan source)
	middle := make(chan struct{})
	for i := range j.inFlight {
		work.Go(func() error {
			for file := range next {
				if err := j.do(ctx, askers[i%len(askers)], file); err != nil {
					return err
				}
			}
			return nil
		})
	}
	work.Go(func() error {
		select {
		case <-middle:
			return disturb(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	work.Go(func() error {
		defer close(next)
		for i, file := range j.files {
			if i == len(j.files)*2/5 {
				close(middle)
			}
			select {
			case next <- file:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	return work.Wait()
}

// do has one file counted by the spokes, and counts it here.
func (j *job) do(ctx context.Context, c asker, file source) error {
	text, err := file.read()
	if err != nil {
		return err
	}
	textJSON, err := quoted(text)
	if err != nil {
		return err
	}
	nameJSON, err := quoted(file.name)
	if err != nil {
		return err
	}
	var got result
	err = j.ask(ctx, c, opSymbols, fmt.Appendf(nil, `{"name":%s,"source":%s}`, nameJSON, textJSON), &got.symbols, &got.symbolsBy)
	if errors.Is(err, codeSyntax) {
		got.unparsed, err = 1, nil
	}
	if err == nil {
		err = j.ask(ctx, c, opWordCount, fmt.Appendf(nil, `{"text":%s}`, textJSON), &got.text, &got.textBy, call.Select(c.far))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file.name, err)
	}
	want := result{text: countText(text)}
	if want.symbols, err = countDeclarations(file.name, text); err != nil {
		want.symbols, want.unparsed = declarations{}, 1
	}
	j.settle(file, got, want)
	return nil
}

// result is what was counted in one file, and by whom.
type result struct {
	symbols           declarations
	text              counts
	unparsed          int
	symbolsBy, textBy string
}

func (j *job) settle(file source, got, want result) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first, second := j.rowLocked(got.symbolsBy), j.rowLocked(got.textBy)
	first.files++
	first.bytes += want.text.Bytes
	first.calls++
	second.calls++
	j.theirs.add(got)
	j.ours.add(want)
	if got.symbols != want.symbols || got.text != want.text || got.unparsed != want.unparsed {
		j.wrong = append(j.wrong, fmt.Sprintf("%s: the spokes say %+v %+v, here it is %+v %+v",
			file.name, got.symbols, got.text, want.symbols, want.text))
	}
	j.done++
	j.progress.show(j.done)
}

func (j *job) rowLocked(spoke string) *row {
	r := j.rows[spoke]
	if r == nil {
		r = &row{}
		j.rows[spoke] = r
	}
	return r
}

const (
	mostTries  = 20
	firstPause = 10 * time.Millisecond
)

// ask makes a call that may be repeated: only its caller knows that.
func (j *job) ask(ctx context.Context, c call.Caller, operation string, input json.RawMessage, out any, by *string, opts ...call.Option) error {
	j.calls.Add(1)
	env, err := c.Call(ctx, call.NewRequest(operation, input, append(opts, call.Idempotent())...))
	if err == nil {
		*by = spokeOf(env.Meta)
		return json.Unmarshal(env.Data, out)
	}
	if e, ok := errors.AsType[*call.Error](err); ok {
		*by = spokeOf(e.Details)
	}
	return err
}

// interceptors repeat a call whose error says that this may help, and count the attempts. The job is to finish although
// spokes are killed, so nothing limits the repeats of all calls.
func (j *job) interceptors() []call.Interceptor {
	return []call.Interceptor{call.Retry(&call.RetryOptions{Attempts: mostTries, Backoff: firstPause, Budget: -1}), j.countAttempts}
}

// countAttempts is around each attempt of a call.
func (j *job) countAttempts(next call.Handler) call.Handler {
	return func(ctx context.Context, req *call.Request, send func(call.Envelope) error) error {
		j.attempts.Add(1)
		return next(ctx, req, send)
	}
}

// repeated is how many calls were made once more.
func (j *job) repeated() int64 { return j.attempts.Load() - j.calls.Load() }

// verdict is nil if every file was answered, and rightly.
func (j *job) verdict() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case len(j.wrong) > 0:
		return fmt.Errorf("%d of %d files were counted differently, the first: %s", len(j.wrong), j.done, j.wrong[0])
	case j.done != len(j.files):
		return fmt.Errorf("%d of %d files were answered", j.done, len(j.files))
	case j.theirs != j.ours:
		return errors.New("the totals differ")
	case j.rows[""] != nil:
		return fmt.Errorf("%d answers do not say which spoke gave them", j.rows[""].calls)
	}
	return nil
}
