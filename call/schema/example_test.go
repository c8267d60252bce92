package schema_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/call/schema"
	"github.com/alkdev/hubspoke/hub"
)

type Order struct {
	Item     string `json:"item"`
	Quantity uint8  `json:"quantity"`
}

func newHub() *hub.Hub {
	h, err := hub.New(&hub.Options{AllowAnonymous: true})
	if err != nil {
		panic(err)
	}
	return h
}

// ask calls an operation and prints its answers.
func ask(h *hub.Hub, operation, input string) {
	for out, err := range call.Stream[json.RawMessage](context.Background(), h, operation, json.RawMessage(input)) {
		e, ok := errors.AsType[*call.Error](err)
		if !ok {
			fmt.Printf("%s\n", out)
			continue
		}
		var where schema.Details
		_ = json.Unmarshal(e.Details, &where)
		fmt.Println(e.Code, "at", where.At)
	}
}

func ExampleHandle() {
	h := newHub()
	defer h.Close()
	err := schema.Handle(h.Operations(), call.Operation{Name: "shop.order"}, func(_ context.Context, o Order) (string, error) {
		return fmt.Sprint(o.Quantity, " ", o.Item), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ask(h, "shop.order", `{"item":"pears","quantity":3}`)
	ask(h, "shop.order", `{"item":"pears","quantity":-3}`)
	// Output:
	// "3 pears"
	// VALIDATION_ERROR at /quantity
}

func ExampleHandleStream() {
	h := newHub()
	defer h.Close()
	err := schema.HandleStream(h.Operations(), call.Operation{Name: "shop.countdown"}, func(_ context.Context, from uint8, send func(uint8) error) error {
		for n := from; n > 0; n-- {
			if err := send(n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ask(h, "shop.countdown", `2`)
	ask(h, "shop.countdown", `2.5`)
	// Output:
	// 2
	// 1
	// VALIDATION_ERROR at
}

// Schemas that are written by hand come with the descriptor.
func ExampleHandle_handwritten() {
	h := newHub()
	defer h.Close()
	op := call.Operation{Name: "shop.order", InputSchema: json.RawMessage(`{
		"type": "object",
		"properties": {"item": {"enum": ["pears", "plums"]}, "quantity": {"minimum": 1}},
		"required": ["item", "quantity"],
		"additionalProperties": false
	}`)}
	err := schema.Handle(h.Operations(), op, func(_ context.Context, o Order) (string, error) {
		return "ordered", nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ask(h, "shop.order", `{"item":"pears","quantity":3}`)
	ask(h, "shop.order", `{"item":"bricks","quantity":3}`)
	// Output:
	// "ordered"
	// VALIDATION_ERROR at /item
}

func ExampleFor() {
	raw, err := schema.For[Order]()
	fmt.Println(string(raw), err)
	// Output: {"type":"object","properties":{"item":{"type":"string"},"quantity":{"type":"integer","minimum":0,"maximum":255}},"required":["item","quantity"],"additionalProperties":false} <nil>
}

func ExampleCompile() {
	_, err := schema.Compile(json.RawMessage(`{"$ref": "https://example.com/order.json"}`))
	fmt.Println(errors.Is(err, schema.ErrInvalidSchema))
	// Output: true
}

func ExampleValidator_Validate() {
	v, err := schema.Compile(json.RawMessage(`{"items": {"type": "integer"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Validate(json.RawMessage(`[1, 2]`)))
	fmt.Println(v.Validate(json.RawMessage(`[1, "two"]`)))
	// Output:
	// <nil>
	// VALIDATION_ERROR: the input does not fit at /*: type: two has type "string", want "integer"
}
