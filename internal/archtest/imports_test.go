package archtest

import (
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

// both is what the two ends of a connection, hub and spoke, may import; never each other.
var both = []string{
	"transport", "call", "pending", "pubsub", "pubsub/wstarget",
	"internal/session", "internal/peer", "internal/jsonscan", "internal/origin", "internal/redact",
	uuidModule, zerologModule, syncModule,
}

// allowed is the import table of docs/architecture: what each package may import besides the standard
// library. Packages of this module are named from its root, modules from outside by their full path.
// A package that is not named here may not exist: add it together with a decision record.
var allowed = map[string][]string{
	"pending":           {},
	"call":              {uuidModule, "internal/jsonscan"},
	"call/schema":       {"call", schemaModule},
	"pubsub":            {"internal/jsonscan"},
	"pubsub/pubsubtest": {"pubsub"},
	"pubsub/wstarget":   {"pubsub", "internal/jsonscan"},
	"pubsub/redistarget": {
		"pubsub", "internal/redisserver", rueidisModule,
	},
	"transport":               {websocketModule, "internal/jsonscan", "internal/origin", "internal/redact"},
	"transport/transporttest": {"transport"},
	"internal/archtest":       {},
	"internal/bubble":         {},
	"internal/jsonscan":       {},
	"internal/mutants":        {},
	"internal/origin":         {},
	"internal/redact":         {},
	"internal/session":        {"transport", zerologModule},
	"internal/soak":           {"hub", "spoke", "call", "pubsub", zerologModule},
	"internal/peer": {
		"internal/session", "internal/jsonscan", "call", "pending", "pubsub", "pubsub/wstarget", "transport",
		uuidModule, zerologModule,
	},
	"hub":         both,
	"spoke":       both,
	"hub/gateway": {"hub", "call", "pubsub", "internal/jsonscan", "internal/origin"},
	"hub/redisbackplane": {
		"hub", "call", "pubsub/redistarget", "transport", "internal/jsonscan", "internal/redisserver", rueidisModule, uuidModule, zerologModule,
	},
	"hub/directorytest":    {"hub"},
	"internal/redistest":   {rueidisModule},
	"internal/operations":  {},
	"internal/redisserver": {rueidisModule},
	"hub/hubtest":          {"hub", "spoke", "transport", "call"},
	"internal/badvalues":   {"hub/hubtest", "spoke", "call", "pubsub"},
}

// Examples are programs of a user: they may import all of this module and what they hand to it.
var allowedInExamples = []string{zerologModule, rueidisModule, syncModule}

// websocketFiles are the only ones, tests aside, that know which WebSocket library is used.
var websocketFiles = []string{
	"transport/websocket.go", "transport/websocket_*.go", "transport/accept.go", "transport/dial.go",
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, file := range load(t).code {
		if file.isTest() || file.nested {
			continue
		}
		list, known := allowed[file.dir()]
		if !known && !isExample(file) {
			t.Errorf("%s: package %s is not in the import table", file.path, file.dir())
			continue
		}
		for _, imported := range file.imports() {
			if !mayImport(file, list, imported) {
				t.Errorf("%s: %s may not import %s", file.path, file.dir(), imported)
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
