package events

import (
	"context"
	"errors"
	"net/url"

	"patchbay/connect"
)

// Fan returns a reader that tells all of them, one after the other.
func Fan(readers ...func(context.Context, connect.Event)) func(context.Context, connect.Event) {
	return func(ctx context.Context, e connect.Event) {
		for _, r := range readers {
			r(ctx, e)
		}
	}
}

// withoutURL drops the address from an error of the HTTP client: it may hold a secret.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
