package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
)

// newFlags makes the flags of a command.
func newFlags(command string, std streams) *flag.FlagSet {
	fs := flag.NewFlagSet("hub-spoke "+command, flag.ContinueOnError)
	fs.SetOutput(std.err)
	return fs
}

// parseMixed parses flags that may stand before, between and behind the other arguments, and gives
// those. What is JSON, as a negative number is, is no flag; behind "--" nothing is.
func parseMixed(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			return append(rest, args[1:]...), nil
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" || json.Valid([]byte(arg)) {
			rest = append(rest, arg)
			args = args[1:]
			continue
		}
		n := min(flagLength(fs, arg), len(args))
		if err := fs.Parse(args[:n]); err != nil {
			return nil, usageError(err)
		}
		args = args[n:]
	}
	return rest, nil
}

// flagLength is how many arguments a flag takes, itself included.
func flagLength(fs *flag.FlagSet, arg string) int {
	name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	f := fs.Lookup(name)
	if hasValue || f == nil {
		return 1
	}
	if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		return 1
	}
	return 2
}

// parseAlone parses flags where nothing else may stand.
func parseAlone(fs *flag.FlagSet, args []string) error {
	rest, err := parseMixed(fs, args)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: unexpected %q", errUsage, rest[0])
	}
	return err
}

// usageError keeps the request for help apart from a mistake.
func usageError(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}

// list is a flag that may be given many times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// labels is a flag k=v that may be given many times.
type labels map[string]string

func (l *labels) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(*l)) {
		parts = append(parts, k+"="+(*l)[k])
	}
	return strings.Join(parts, " ")
}

func (l *labels) Set(s string) error {
	k, v, ok := strings.Cut(s, "=")
	if !ok || k == "" {
		return fmt.Errorf("%q is not KEY=VALUE", s)
	}
	if *l == nil {
		*l = labels{}
	}
	(*l)[k] = v
	return nil
}

// tokens is a flag ID=SECRET[:scope,scope] that may be given many times. A secret has no colon.
type tokens []hub.Token

func (t *tokens) String() string { return fmt.Sprintf("%d tokens", len(*t)) } // secrets are not for show

func (t *tokens) Set(s string) error {
	id, rest, ok := strings.Cut(s, "=")
	secret, scopes, _ := strings.Cut(rest, ":")
	if !ok || id == "" || secret == "" {
		return fmt.Errorf("a token is ID=SECRET[:scope,scope]")
	}
	if slices.ContainsFunc(*t, func(o hub.Token) bool { return o.Secret == secret }) {
		return fmt.Errorf("the secret of %s stands for two", id)
	}
	token := hub.Token{Secret: secret, Identity: call.Identity{ID: id}}
	for scope := range strings.SplitSeq(scopes, ",") {
		if scope != "" {
			token.Identity.Scopes = append(token.Identity.Scopes, scope)
		}
	}
	*t = append(*t, token)
	return nil
}
