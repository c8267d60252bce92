package redisbackplane

// keys names what is in Redis. What one script touches together has one hash
// tag: a spoke's record, an operation's hubs, a hub's lease and mail.
type keys struct{ prefix string }

func (k keys) record(spokeID string) string      { return k.prefix + "spoke:{" + tag(spokeID) + "}" }
func (k keys) providers(operation string) string { return k.prefix + "op:{" + tag(operation) + "}" }
func (k keys) hubs() string                      { return k.prefix + "hubs" }
func (k keys) lease(hubID string) string         { return k.prefix + "hub:{" + tag(hubID) + "}:lease" }
func (k keys) mail(hubID string) string          { return k.prefix + "hub:{" + tag(hubID) + "}:mail" }

// inbox is the channel on which a hub hears the others.
func (k keys) inbox(hubID string) string { return k.prefix + "inbox:{" + tag(hubID) + "}" }

// tag makes an id fit between braces: a tag ends at the first closing one, and an
// empty one is none. Different ids stay different.
func tag(id string) string {
	plain := id != "" && id[0] != '%'
	for i := 0; plain && i < len(id); i++ {
		plain = id[i] != '}'
	}
	if plain {
		return id
	}
	out := []byte{'%'}
	for i := range len(id) {
		switch id[i] {
		case '}':
			out = append(out, "%7D"...)
		case '%':
			out = append(out, "%25"...)
		default:
			out = append(out, id[i])
		}
	}
	return string(out)
}
