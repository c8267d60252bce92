package gateway_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/hub/gateway"
)

func Example() {
	h, err := hub.New(&hub.Options{AllowAnonymous: true})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	g, err := gateway.New(h, nil) // lets in whom the hub lets in
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /spoke", h)
	mux.Handle("/", g)
	server := httptest.NewServer(mux)
	defer server.Close()

	res, err := http.Post(server.URL+"/publish/session.status:proj_123", "application/json", strings.NewReader(`{"state":"ready"}`))
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode)

	res, err = http.Post(server.URL+"/call/text.wordcount", "application/json", strings.NewReader(`{"text":"one two"}`))
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.StatusCode, string(body))
	// Output:
	// 204
	// 404 {"code":"OPERATION_NOT_FOUND","message":"nothing serves text.wordcount now","retryable":true,"details":{"sent":false}}
}
