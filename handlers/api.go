package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/session"
)

// access says which credentials a route of the API takes.
type access struct {
	kind  session.Kind
	scope string // of a service token
	reads bool   // counted with the token reads
}

var (
	userTokens   = access{kind: session.UserToken}
	tokenReads   = access{kind: session.ServiceToken, scope: "tokens", reads: true}
	tokenCalls   = access{kind: session.ServiceToken, scope: "tokens"}
	sessionCalls = access{kind: session.ServiceToken, scope: "sessions"}
	proxyCalls   = access{kind: session.ServiceToken, scope: "proxy"}
	builders     = access{kind: session.BuilderKey}
)

// call is a request of the API whose caller is known and allowed.
type call struct {
	echo.Context
	app    *connect.App
	caller session.Caller
}

// api is the one gate in front of every handler of the API: who calls, may they, and
// not too often.
func (s *Server) api(handle func(*call) error, need access) echo.HandlerFunc {
	return func(c echo.Context) error {
		app, err := s.Service.App(c.Request().Context(), param(c, "app"))
		if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
			return err
		}
		caller, err := s.Callers.Caller(c.Request(), app)
		if err != nil {
			return s.refusedCaller(c, err)
		}
		if caller.Kind != need.kind || (need.scope != "" && !caller.Credential.Has(need.scope)) {
			return &connect.Error{Code: connect.CodeForbidden, Message: "This credential is valid, but not for this call. It needs a " + wanted(need) + "."}
		}
		limit := s.limits.apiCalls
		if need.reads {
			limit = s.limits.tokenReads
		}
		if err := take(limit, app.ID); err != nil {
			return err
		}
		r := c.Request()
		c.SetRequest(r.WithContext(connect.WithActor(r.Context(), caller.Name())))
		return handle(&call{Context: c, app: app, caller: caller})
	}
}

func wanted(need access) string {
	if need.scope != "" {
		return string(need.kind) + " with the scope " + need.scope
	}
	return string(need.kind)
}

// refusedCaller counts the failures of an address. Past the limit they are told to
// wait; good credentials from there never get here.
func (s *Server) refusedCaller(c echo.Context, err error) error {
	if connect.CodeOf(err) != connect.CodeUnauthorized {
		return err
	}
	if limited := take(s.limits.refusedCalls, c.RealIP()); limited != nil {
		return limited
	}
	c.Response().Header().Set("WWW-Authenticate", "Bearer")
	return err
}

// param returns a part of the path, decoded. A part that cannot be decoded is "",
// which names nothing.
func param(c echo.Context, name string) string {
	v := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return v // echo matched the decoded path
	}
	v, err := url.PathUnescape(v)
	if err != nil {
		return ""
	}
	return v
}

// body reads a JSON object strictly: a field that we do not know is an error, because
// the caller believes that it does something.
func (c *call) body(into any) error {
	r := c.Request()
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return errJSONType
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if !connect.ValidJSONText(raw) {
		return &connect.Error{Code: connect.CodeInvalidRequest, Message: "The body is not valid UTF-8."}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(into); err != nil {
		return bodyError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &connect.Error{Code: connect.CodeInvalidRequest, Message: "The body must be one JSON object and nothing after it."}
	}
	if err := checkFields(raw, into); err != nil {
		return &connect.Error{Code: connect.CodeInvalidRequest, Message: "The body " + err.Error() + "."}
	}
	return nil
}

func bodyError(err error) error {
	message := "The body is not valid JSON."
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		message = "The field " + wrong.Field + " has the wrong type."
	case errors.As(err, &wrong):
		message = "The body must be a JSON object."
	case errors.Is(err, io.EOF):
		message = "The body is empty. Send a JSON object."
	}
	return &connect.Error{Code: connect.CodeInvalidRequest, Message: message, Cause: err}
}

// list makes JSON say [] and not null.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

var noContent = func(c *call) error { return c.NoContent(http.StatusNoContent) }
