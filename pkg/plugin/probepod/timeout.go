package probepod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// bounded gives up requests that take longer than a limit: --request-timeout. What
// streams, which is a log or a watch that goes on for as long as it is wanted, has only
// to begin within it.
type bounded struct {
	next  http.RoundTripper
	limit time.Duration
}

// errSlow is why a request was given up.
var errSlow = errors.New("no answer within the time of --request-timeout")

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(b.limit, func() { cancel(fmt.Errorf("%w, %v", errSlow, b.limit)) })
	response, err := b.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		timer.Stop()
		defer cancel(nil)
		if cause := context.Cause(ctx); errors.Is(cause, errSlow) {
			return nil, cause
		}
		return nil, err
	}
	if streams(r) {
		timer.Stop()
	}
	response.Body = &boundedBody{response.Body, ctx, func() { timer.Stop(); cancel(nil) }}
	return response, nil
}

// streams tells whether an answer goes on for as long as it is wanted.
func streams(r *http.Request) bool {
	for _, name := range []string{"watch", "follow"} {
		if on, _ := strconv.ParseBool(r.URL.Query().Get(name)); on {
			return true
		}
	}
	return false
}

// boundedBody is the body of an answer. Its end is that of the request.
type boundedBody struct {
	io.ReadCloser
	ctx  context.Context
	done func()
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if cause := context.Cause(b.ctx); err != nil && err != io.EOF && errors.Is(cause, errSlow) {
		err = cause
	}
	return n, err
}

func (b *boundedBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
