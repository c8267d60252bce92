package spoke

// isConnectionRefused cannot know whether nothing listens at the address of a failed dial.
func isConnectionRefused(error) bool { return false }
