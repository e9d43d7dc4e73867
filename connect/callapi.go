package connect

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"patchbay/oauth"
	"patchbay/provider"
)

// What a caller of CallAPI gives and gets.
type (
	APIRequest  = oauth.APIRequest
	APIResponse = oauth.APIResponse
	Phase       = oauth.Phase
)

// apiMargin is the life that a token must have left for a call.
const apiMargin = time.Minute

// CallAPI calls the provider's API as the connection that the whole app uses. What the
// provider, or the way to it, makes of the call is in the response; an error is of our
// own side: not_found, not_connected, invalid_request, reconnect_required,
// connector_misconfigured.
func (s *Service) CallAPI(ctx context.Context, app, typ string, q APIRequest) (APIResponse, error) {
	c, err := s.sharedConnector(ctx, app, typ)
	if err != nil {
		return APIResponse{}, err
	}
	e, err := s.Entry(c)
	if err != nil {
		return APIResponse{}, err
	}
	t, err := s.readShared(ctx, c, apiMargin)
	switch CodeOf(err) {
	case CodeProviderUnavailable, CodeProviderError:
		return APIResponse{Phase: oauth.NotSent, Problem: "The token had to be refreshed first, and the provider did not do it."}, nil
	}
	if err != nil {
		return APIResponse{}, err
	}
	conn := &t.Connection
	reg, err := s.registration(c, conn.Params)
	if err != nil {
		return APIResponse{}, &Error{Code: CodeConnectorMisconfigured, Message: "This connector is not set up correctly.", Cause: err}
	}
	answer, err := s.OAuth.Call(ctx, reg, t.AccessToken, conn.Config, q)
	switch {
	case err == nil:
	case errors.Is(err, provider.ErrNoHost):
		return answer, refusef(CodeInvalidRequest, "host must be one of %s.", hostNames(e))
	case errors.Is(err, oauth.ErrAPIMethod), errors.Is(err, oauth.ErrAPIPath), errors.Is(err, oauth.ErrAPIHeader):
		return answer, refusef(CodeInvalidRequest, "The call was not made: %s.", err.Error())
	default:
		return answer, &Error{Code: CodeConnectorMisconfigured, Message: "The addresses of this connector do not lead to the provider's API.", Cause: err}
	}
	ev := s.event(ctx, EventAPICalled, conn.App, "", conn.Connector)
	ev.Connection = conn.ID
	ev.Data = map[string]string{"method": q.Method, "host": q.Host, "phase": string(answer.Phase), "status": strconv.Itoa(answer.Status)}
	s.emit(ctx, ev)
	return answer, nil
}

func hostNames(e *provider.Entry) string {
	names := []string{}
	for _, h := range e.API.Hosts {
		names = append(names, h.Name)
	}
	text, _ := json.Marshal(names)
	return string(text)
}
