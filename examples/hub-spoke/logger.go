package main

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
)

// newLogger logs for people on a terminal, and as JSON elsewhere.
func newLogger(w io.Writer) *zerolog.Logger {
	if isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	log := zerolog.New(w).With().Timestamp().Logger()
	return &log
}

// isTerminal reports whether w can show a line that changes.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
