//go:build !js && !plan9 && !windows

package spoke

import (
	"errors"
	"syscall"
)

// isConnectionRefused reports whether nothing listens at the address of a failed dial.
func isConnectionRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
