package schema

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"github.com/alkdev/hubspoke/call"
)

type inner struct {
	N int `json:"n,omitempty"`
}

type kinds struct {
	inner
	Bool    bool              `json:"bool"`
	Float   float32           `json:"float"`
	Small   uint8             `json:"small"`
	Text    string            `json:"text" jsonschema:"what it says"`
	Bytes   []byte            `json:"bytes"`
	Fixed   [2]int            `json:"fixed"`
	List    []inner           `json:"list"`
	Map     map[string]inner  `json:"map"`
	Maps    []map[string]bool `json:"maps"`
	Pointer *inner            `json:"pointer"`
	Raw     json.RawMessage   `json:"raw"`
	RawPtr  *json.RawMessage  `json:"rawptr"`
	Any     any               `json:"any"`
	Time    time.Time         `json:"time"`
	TimePtr *time.Time        `json:"timeptr"`
	Number  json.Number       `json:"number"`
	Big     *big.Int          `json:"big"`
	Addr    netip.Addr        `json:"addr"`
	Wait    time.Duration     `json:"wait"`
	Skipped chan int          `json:"-"`
	hidden  chan int
}

// What encoding/json writes for a value fits the schema of its type, the zero
// value with all its nulls included.
func TestForFitsWhatIsMarshalled(t *testing.T) {
	raw, err := For[kinds]()
	if err != nil {
		t.Fatal(err)
	}
	v, err := Compile(raw)
	if err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	rawValue := json.RawMessage(`[1,{"a":null}]`)
	now := time.Now()
	for _, value := range []kinds{
		{hidden: nil},
		{
			inner: inner{1}, Bool: true, Float: 1.5, Small: 255, Text: "x", Bytes: []byte{0, 255}, Fixed: [2]int{1, 2},
			List: []inner{{1}, {}}, Map: map[string]inner{"a": {}}, Maps: []map[string]bool{nil, {"x": true}}, Pointer: &inner{},
			Raw: rawValue, RawPtr: &rawValue, Any: []any{1, "x", nil}, Time: now, TimePtr: &now, Number: "1e5",
			Big: big.NewInt(1), Addr: netip.MustParseAddr("::1"), Wait: time.Second,
		},
	} {
		input, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Validate(input); err != nil {
			t.Errorf("%s: %v", input, err)
		}
	}
}

// What the schema takes can be decoded.
func TestForRefuses(t *testing.T) {
	type in struct {
		Small uint8            `json:"small"`
		Map   map[string]int   `json:"map,omitempty"`
		Bytes []byte           `json:"bytes,omitempty"`
		Deep  map[string][]int `json:"deep,omitempty"`
	}
	raw, err := For[in]()
	if err != nil {
		t.Fatal(err)
	}
	v, err := Compile(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{
		`null`, `{}`, `{"small":256}`, `{"small":1.5}`, `{"small":"1"}`, `{"small":1,"SMALL":2}`, `{"Small":1}`,
		`{"small":1,"map":{"a":"b"}}`, `{"small":1,"bytes":[1]}`, `{"small":1,"deep":{"a":[1,"x"]}}`,
	} {
		if v.Validate([]byte(input)) == nil {
			t.Errorf("%s fits", input)
		}
	}
}

func TestForNull(t *testing.T) {
	for name, derive := range map[string]func() (json.RawMessage, error){
		"struct{}": For[struct{}], "optional": For[inner], "raw": For[json.RawMessage], "any": For[any],
		"pointer": For[*kinds], "map": For[map[string]int],
	} {
		raw, err := derive()
		if err != nil {
			t.Fatal(err)
		}
		v, err := Compile(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Validate(nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type tree struct {
	Children []tree `json:"children"`
}

func TestForFails(t *testing.T) {
	for name, derive := range map[string]func() (json.RawMessage, error){
		"channel": For[chan int],
		"map key": For[map[float64]int],
		"itself":  For[tree],
		",string": For[struct {
			N int `json:",string"`
		}],
		"named embed": For[struct {
			inner `json:"inner"`
		}],
	} {
		if raw, err := derive(); err == nil {
			t.Errorf("%s: %s", name, raw)
		}
	}
	var r call.Registry
	if err := Handle(&r, call.Operation{Name: "a.b"}, func(_ ctx, in tree) (int, error) { return 0, nil }); err == nil {
		t.Error("Handle takes an input type without a schema")
	}
	if err := HandleStream(&r, call.Operation{Name: "a.b"}, func(_ ctx, in int, _ func(tree) error) error { return nil }); err == nil {
		t.Error("HandleStream takes an output type without a schema")
	}
}
