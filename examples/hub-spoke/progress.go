package main

import (
	"io"
	"strings"
	"time"
)

// progress shows how far the demo is: a bar that moves on a terminal, a line for every tenth
// elsewhere. It is for one goroutine at a time.
type progress struct {
	out   io.Writer
	live  bool
	total int
	start time.Time
	shown time.Time // when the bar was drawn last
	tenth int       // the last that was told
}

const (
	barWidth = 40
	barEvery = 100 * time.Millisecond
)

func newProgress(out io.Writer, total int) *progress {
	return &progress{out: out, live: isTerminal(out), total: total, start: time.Now()}
}

// show tells that n are done.
func (p *progress) show(n int) {
	now := time.Now()
	if !p.live {
		if tenth := n * 10 / p.total; tenth > p.tenth {
			p.tenth = tenth
			say(p.out, "%3d%%  %d of %d files  %.1f s\n", n*100/p.total, n, p.total, now.Sub(p.start).Seconds())
		}
		return
	}
	if now.Sub(p.shown) < barEvery && n < p.total {
		return
	}
	p.shown = now
	full := n * barWidth / p.total
	say(p.out, "\r[%s%s] %3d%%  %d/%d  %.1f s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full),
		n*100/p.total, n, p.total, now.Sub(p.start).Seconds())
	if n == p.total {
		say(p.out, "\n")
	}
}
