//go:build !plan9

package spoke

import (
	"errors"
	"syscall"
)

// wsaeConnRefused is what Windows reports; syscall.ECONNREFUSED is a number that Go made up there.
const wsaeConnRefused = syscall.Errno(10061)

// isConnectionRefused reports whether nothing listens at the address of a failed dial. A browser does not show it.
func isConnectionRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaeConnRefused)
}
