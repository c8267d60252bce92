package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alkdev/hubspoke/call"
)

// callGateway makes the call over HTTP.
func callGateway(ctx context.Context, f *callFlags, out io.Writer) error {
	// The hub ends the call in time and says more of it than we could; this is for a hub that is stuck.
	limit := f.timeout
	if limit == 0 {
		limit = call.DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit+2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.address(), bytes.NewReader(f.input))
	if err != nil {
		return fmt.Errorf("%w: -hub: %w", errUsage, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return unreached(ctx, err)
	}
	defer func() { _ = res.Body.Close() }() // it has been read to its end
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return unreached(ctx, err)
	}
	body = bytes.TrimSpace(body)
	if res.StatusCode == http.StatusOK {
		var answer call.Envelope
		if err := json.Unmarshal(body, &answer); err != nil {
			return unreached(ctx, err)
		}
		return printJSON(out, answer.Data)
	}
	if res.Header.Get("Content-Type") != "application/json" {
		return &call.Error{Code: call.CodeUnavailable, Message: "what answers there is no hub: " + res.Status}
	}
	failure := new(call.Error)
	if err := json.Unmarshal(body, failure); err != nil {
		return unreached(ctx, err)
	}
	return failure
}

// address is the gateway's route for the call.
func (f *callFlags) address() string {
	base := strings.TrimRight(f.hub, "/")
	path := "/call/" + url.PathEscape(f.operation)
	if f.to != "" {
		path = "/spokes/" + url.PathEscape(f.to) + path
	}
	if f.timeout > 0 {
		path += "?timeout=" + f.timeout.String()
	}
	return base + path
}

// unreached says why there is no answer.
func unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		code := call.CodeAborted
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			code = call.CodeTimeout
		}
		return call.Errorf(code, "the hub has not answered: %w", ctx.Err())
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &call.Error{Code: call.CodeUnavailable, Message: "the hub is not reached: " + err.Error(), Cause: err}
}
