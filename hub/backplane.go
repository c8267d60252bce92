package hub

import "github.com/alkdev/hubspoke/pubsub"

// Backplane is what hubs have in common. The hub does not close it.
type Backplane struct {
	// Events carries events to all hubs; nil is memory.
	Events pubsub.EventTarget
	// Directory says where spokes are; nil is memory.
	Directory Directory
}
