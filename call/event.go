package call

// The frame types of the call protocol (protocol section 3).
const (
	EventRequested = "call.requested"
	EventResponded = "call.responded"
	EventCompleted = "call.completed"
	EventError     = "call.error"
	EventAborted   = "call.aborted"
	EventCredit    = "call.credit"
)
