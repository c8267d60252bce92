package archtest

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// Modules from outside, by the names that the table uses.
const (
	websocketModule = "github.com/coder/websocket"
	uuidModule      = "github.com/google/uuid"
	zerologModule   = "github.com/rs/zerolog"
	rueidisModule   = "github.com/redis/rueidis"
	schemaModule    = "github.com/google/jsonschema-go"
	syncModule      = "golang.org/x/sync"
)

// allowed is the import table of docs/architecture: what each package may import besides the standard
// library. Packages of this module are named from its root, modules from outside by their full path.
// A package that is not named here may not exist: add it together with a decision record.
var allowed = map[string][]string{
	"pending":           {},
	"call":              {"internal/callcore", "internal/jsonscan", "internal/wire"},
	"call/schema":       {"call", schemaModule},
	"pubsub":            {"internal/jsonscan"},
	"pubsub/pubsubtest": {"pubsub"},
	"pubsub/wstarget":   {"call", "pubsub", "internal/drainer", "internal/peer", "internal/session", "internal/wire", zerologModule},
	"pubsub/redistarget": {
		"pubsub", "internal/redisserver", rueidisModule,
	},
	"transport":               {websocketModule, "internal/origin", "internal/redact"},
	"transport/transporttest": {"transport"},
	"internal/archtest":       {},
	"internal/bubble":         {},
	"internal/callcore":       {"internal/wire"},
	"internal/drainer":        {},
	"internal/jsonscan":       {},
	"internal/mutants":        {},
	"internal/origin":         {},
	"internal/quota":          {},
	"internal/redact":         {},
	"internal/session":        {"transport", "internal/wire", zerologModule},
	"internal/wire":           {"internal/jsonscan"},
	"internal/soak":           {"hub", "spoke", "call", "pubsub", zerologModule},
	"internal/peer": {
		"internal/session", "internal/callcore", "internal/jsonscan", "internal/wire", "call", "pending", "transport",
		uuidModule, zerologModule,
	},
	"internal/registration": {"internal/peer", "internal/session", "internal/jsonscan", "internal/wire", "call", "pubsub", "transport"},
	"hub": {
		"transport", "call", "pubsub", "pubsub/wstarget", "internal/session", "internal/peer", "internal/wire", "internal/jsonscan",
		"internal/registration", "internal/callcore", "internal/drainer", "internal/origin", "internal/quota", uuidModule, zerologModule, syncModule,
	},
	"spoke": {
		"transport", "call", "pubsub", "pubsub/wstarget", "internal/session", "internal/peer", "internal/wire", "internal/jsonscan",
		"internal/registration", "internal/callcore", "internal/redact", uuidModule, zerologModule,
	},
	"hub/gateway": {"hub", "call", "pubsub", "internal/jsonscan", "internal/origin", "internal/quota"},
	"hub/redisbackplane": {
		"hub", "pubsub/redistarget", "transport", "internal/drainer", "internal/redisserver", rueidisModule, zerologModule,
	},
	"hub/directorytest":    {"hub"},
	"internal/redistest":   {},
	"internal/operations":  {},
	"internal/redisserver": {rueidisModule},
	"hub/hubtest":          {"hub", "spoke", "transport", "call"},
	"internal/badvalues":   {"hub/hubtest", "spoke", "call", "pubsub", "internal/wire"},
}

// Examples are programs of a user: they may import all of this module and what they hand to it.
var allowedInExamples = []string{zerologModule, rueidisModule, syncModule}

// websocketFiles are the only ones, tests aside, that know which WebSocket library is used.
var websocketFiles = []string{"transport/accept.go", "transport/dial.go"}

func TestImportsFollowTheTable(t *testing.T) {
	used := map[string]map[string]bool{}
	for _, file := range load(t).code {
		if file.isTest() || file.nested {
			continue
		}
		list, known := allowed[file.dir()]
		if !known && !isExample(file) {
			t.Errorf("%s: package %s is not in the import table", file.path, file.dir())
			continue
		}
		if used[file.dir()] == nil {
			used[file.dir()] = map[string]bool{}
		}
		for _, imported := range file.imports() {
			used[file.dir()][imported] = true
			if !mayImport(file, list, imported) {
				t.Errorf("%s: %s may not import %s", file.path, file.dir(), imported)
			}
		}
	}
	for dir, list := range allowed {
		for _, name := range list {
			made := slices.ContainsFunc(slices.Collect(maps.Keys(used[dir])), func(imported string) bool {
				return imported == modulePath+"/"+name || inModules(imported, []string{name})
			})
			if !made {
				t.Errorf("%s may import %s and does not: take it out of the table", dir, name)
			}
		}
	}
}

func isExample(file *goFile) bool { return strings.HasPrefix(file.path, "examples/") }

func mayImport(file *goFile, list []string, imported string) bool {
	name, own := strings.CutPrefix(imported, modulePath+"/")
	switch {
	case isExample(file):
		return own || isStandard(imported) || inModules(imported, allowedInExamples)
	case own:
		return slices.Contains(list, name)
	default:
		return isStandard(imported) || inModules(imported, list)
	}
}

// isStandard says whether a path belongs to the standard library, which has no host name in front.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func inModules(imported string, modules []string) bool {
	return slices.ContainsFunc(modules, func(module string) bool {
		return imported == module || strings.HasPrefix(imported, module+"/")
	})
}

// Whoever runs one hub never compiles Redis, and a spoke never compiles a hub.
func TestTableKeepsTheEndsApart(t *testing.T) {
	refused := map[string][]string{
		"hub":         {"spoke", "pubsub/redistarget", "hub/redisbackplane", rueidisModule, schemaModule},
		"hub/gateway": {"spoke", "pubsub/redistarget", "hub/redisbackplane", rueidisModule},
		"spoke":       {"hub", "pubsub/redistarget", rueidisModule, schemaModule},
	}
	for from, list := range refused {
		reached := reach(from)
		for _, name := range list {
			if reached[name] {
				t.Errorf("the table lets %s reach %s", from, name)
			}
		}
	}
}

func reach(from string) map[string]bool {
	reached := map[string]bool{}
	todo := []string{from}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		for _, name := range allowed[next] {
			if !reached[name] {
				reached[name] = true
				todo = append(todo, name)
			}
		}
	}
	return reached
}

func TestOneDoorToTheWebSocketLibrary(t *testing.T) {
	for _, file := range load(t).code {
		if file.isTest() || file.nested || !slices.ContainsFunc(file.imports(), isWebSocket) {
			continue
		}
		listed := slices.ContainsFunc(websocketFiles, func(pattern string) bool {
			matched, err := path.Match(pattern, file.path)
			return err == nil && matched
		})
		if !listed {
			t.Errorf("%s: only %s may import %s", file.path, strings.Join(websocketFiles, ", "), websocketModule)
		}
	}
}

func isWebSocket(imported string) bool {
	return inModules(imported, []string{websocketModule})
}
