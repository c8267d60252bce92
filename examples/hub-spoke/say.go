package main

import (
	"fmt"
	"io"
)

// say prints for people. A reader of standard output who has left is no reason to fail.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
