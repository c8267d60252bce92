//go:build unix

package measure

import (
	"syscall"
	"time"
)

// cpu is the user and system time of this process.
func cpu() (time.Duration, bool) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, false
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), true
}
