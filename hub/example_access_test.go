package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alkdev/hubspoke/call"
	"github.com/alkdev/hubspoke/hub"
	"github.com/alkdev/hubspoke/spoke"
)

// Who has which token is who it is; a spoke whose token is refused stays away.
func ExampleBearerTokens() {
	ctx := context.Background()
	h, err := hub.New(&hub.Options{Authenticate: hub.BearerTokens([]hub.Token{
		{Secret: "worker's", Identity: call.Identity{ID: "worker", Scopes: []string{"text"}}},
		{Secret: "admin's", Identity: call.Identity{ID: "admin", Resources: map[string][]string{"node": {"read"}}}},
	})})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	server := httptest.NewServer(h)
	defer server.Close()

	refused, _ := spoke.New(server.URL, &spoke.Options{Token: spoke.StaticToken("a guess")})
	err = refused.Run(ctx)
	fmt.Println(strings.Contains(err.Error(), "401"))

	request, _ := http.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer admin's")
	fmt.Println(hub.BearerToken(request))
	// Output:
	// true
	// admin's
}

// Tokens are replaced while the hub runs. The spoke whose token is removed is disconnected; it stops unless its
// Token function returns another one.
func ExampleTokenSet() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tokens, err := hub.NewTokenSet(
		hub.Token{Secret: "june", Identity: call.Identity{ID: "worker"}},
		hub.Token{Secret: "admin's", Identity: call.Identity{ID: "admin"}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := hub.New(&hub.Options{Authenticate: tokens.Authenticate})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	server := httptest.NewServer(h)
	defer server.Close()

	var secret atomic.Value // a file or a service, in a program
	secret.Store("june")
	worker, _ := spoke.New(server.URL, &spoke.Options{ID: "worker-7", Token: func(context.Context) (string, error) {
		return secret.Load().(string), nil
	}})
	go func() { _ = worker.Run(ctx) }()
	if err := worker.Ready(ctx); err != nil {
		fmt.Println(err)
	}

	secret.Store("july")
	err = tokens.Replace(
		hub.Token{Secret: "july", Identity: call.Identity{ID: "worker"}},
		hub.Token{Secret: "admin's", Identity: call.Identity{ID: "admin"}},
	)
	for range worker.States(ctx) {
		if s := worker.Stats(); s.Resumed == 1 {
			fmt.Println("in the same session, with the new token:", err)
			break
		}
	}
	// Output: in the same session, with the new token: <nil>
}

// Access rules of an operation hold for whoever calls it through the hub.
func ExampleHub_access() {
	ctx := context.Background()
	h := newExampleHub()
	defer h.Close()
	s, stop := startExampleSpoke(h, "worker-7", nil)
	defer stop()

	err := call.Handle(h.Operations(), call.Operation{
		Name:   "log.read",
		Access: call.AccessControl{RequiredScopes: []string{"logs"}},
	}, func(context.Context, any) (string, error) { return "all is well", nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = call.Invoke[string](ctx, s, "log.read", nil)
	fmt.Println(errors.Is(err, call.CodeAccessDenied), err)

	reader := &call.Identity{ID: "anna", Scopes: []string{"logs"}}
	fmt.Println(call.Invoke[string](ctx, h, "log.read", nil, call.As(reader)))
	// Output:
	// true ACCESS_DENIED: worker-7 may not call log.read
	// all is well <nil>
}

// An Authorizer decides who may hold an id, serve, call, publish, subscribe and list.
func ExampleAuthorizer() {
	ctx := context.Background()
	onlyOwnID := func(a hub.Action) error {
		if a.Verb == hub.Hold && a.Name != a.Identity.ID {
			return errors.New(a.Identity.ID + " may not be " + a.Name)
		}
		return nil
	}
	h, err := hub.New(&hub.Options{AllowAnonymous: true, Authorize: onlyOwnID})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()

	dialer := memoryDialer{h, &call.Identity{ID: "worker-7"}}
	s, _ := spoke.New("ws://hub", &spoke.Options{ID: "worker-8", Dialer: dialer})
	err = s.Run(ctx) // the hub says stop
	if e, ok := errors.AsType[*call.Error](err); ok {
		fmt.Println(e)
	}
	// Output: ACCESS_DENIED: worker-7 may not be worker-8
}

// Scopes say who may do what; what somebody may not list is not there for it.
func ExampleAuthorizeScopes() {
	ctx := context.Background()
	h, err := hub.New(&hub.Options{
		Authenticate: hub.BearerTokens([]hub.Token{
			{Secret: "worker's", Identity: call.Identity{ID: "worker", Scopes: []string{"hold:worker-*", "serve:text.*"}}},
			{Secret: "web's", Identity: call.Identity{ID: "web", Scopes: []string{"hold:web", "call:text.*", "list:worker-*"}}},
		}),
		Authorize: hub.AuthorizeScopes(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	server := httptest.NewServer(h)
	defer server.Close()

	intruder, _ := spoke.New(server.URL, &spoke.Options{ID: "web", Token: spoke.StaticToken("worker's")})
	err = intruder.Run(ctx)
	if e, ok := errors.AsType[*call.Error](err); ok {
		fmt.Println(e)
	}
	_, err = call.Invoke[any](ctx, h, "admin.stop", nil, call.As(&call.Identity{ID: "web", Scopes: []string{"call:text.*"}}))
	fmt.Println(err)
	// Output:
	// ACCESS_DENIED: worker has no scope for hold:web
	// ACCESS_DENIED: web has no scope for call:admin.stop
}
