package measure

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"time"
)

// Usage is what a process has used since its start, or between two moments.
type Usage struct {
	At      time.Time
	Elapsed time.Duration // between two moments only

	CPU     time.Duration // user and system time
	HasCPU  bool
	RWCalls int64 // read and write system calls
	HasRW   bool
	Mallocs uint64 // heap objects
}

// Take reads the usage of this process. It stops the world for a moment.
func Take() Usage {
	u := Usage{}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	u.Mallocs = mem.Mallocs
	u.RWCalls, u.HasRW = rwCalls()
	u.CPU, u.HasCPU = cpu()
	u.At = time.Now()
	return u
}

// Since is what was used after before.
func (u Usage) Since(before Usage) Usage {
	return Usage{
		At:      u.At,
		Elapsed: u.At.Sub(before.At),
		CPU:     u.CPU - before.CPU,
		HasCPU:  u.HasCPU && before.HasCPU,
		RWCalls: u.RWCalls - before.RWCalls,
		HasRW:   u.HasRW && before.HasRW,
		Mallocs: u.Mallocs - before.Mallocs,
	}
}

// rwCalls counts the read and write calls that Linux counts: those on files and sockets alike.
func rwCalls() (int64, bool) {
	file, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, false
	}
	reads, ok1 := number(file, "syscr:")
	writes, ok2 := number(file, "syscw:")
	return reads + writes, ok1 && ok2
}

// number finds what stands behind a label.
func number(file []byte, label string) (int64, bool) {
	_, rest, found := bytes.Cut(file, []byte(label))
	fields := bytes.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return n, err == nil
}

// RSS is the resident set of this process in bytes.
func RSS() (int64, bool) {
	file, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(file)
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
