//go:build js || plan9

package spoke

// isConnectionRefused cannot know whether nothing listens at the address of a failed dial.
func isConnectionRefused(error) bool { return false }
