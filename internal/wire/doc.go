// Package wire holds the messages of the protocol: their types, their members, and how they are read
// and written (docs/architecture/protocol.md). No other package knows the name of a frame's member.
//
// [Parse] reads a message once: it checks that the text is UTF-8 and then walks over it a single time,
// which validates the JSON, measures how deep each value is nested, finds members that are named
// twice, and takes the members apart. Each type has an Append function that writes it. Values that
// belong to programs (input, data, details, metadata, payloads) are JSON texts that are passed on as
// they are; Append does not check them.
//
// The package keeps no state, starts nothing, and knows neither connections nor sessions. All
// functions may be called concurrently.
package wire
