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
	g, err := gateway.New(h, nil) // lets in whom the hub lets in
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /spoke", h)
	mux.Handle("/", g)
	server := httptest.NewServer(mux)

	postJSON(server.URL+"/publish/session.status:proj_123", `{"state":"ready"}`)
	postJSON(server.URL+"/call/text.wordcount", `{"text":"one two"}`)

	h.Close() // first, so that event streams end and let the server go
	server.Close()
	// Output:
	// 204
	// 404 {"code":"OPERATION_NOT_FOUND","message":"operation \"text.wordcount\" not found: no connected spoke serves it","retryable":true,"details":{"sent":false}}
}

func postJSON(url, body string) {
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.TrimSpace(fmt.Sprint(res.StatusCode, " ", string(answer))))
}
