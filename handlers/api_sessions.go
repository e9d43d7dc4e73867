package handlers

import (
	"net/http"
	"time"

	"patchbay/connect"
)

type sessionBody struct {
	Mode *string `json:"mode"`
	User *struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Email string `json:"email"`
	} `json:"user"`
	Connectors []string `json:"connectors"`
	Origin     *string  `json:"origin"`
	ReturnURL  *string  `json:"return_url"`
	Lang       *string  `json:"lang"`
	ExpiresIn  *int64   `json:"expires_in"`
}

// createSession makes a connect session for one of the app's users.
func (s *Server) createSession(c *call) error {
	var b sessionBody
	if err := c.body(&b); err != nil {
		return err
	}
	q, err := b.request()
	if err != nil {
		return err
	}
	made, err := s.Service.CreateSession(c.Request().Context(), c.app.ID, q)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, map[string]any{
		"id": made.Session.ID, "url": made.URL, "token": connect.OrNull(made.Token), "expires_at": connect.Timestamp(made.Session.ExpiresAt),
	})
}

func (b *sessionBody) request() (connect.SessionRequest, error) {
	q := connect.SessionRequest{Connectors: b.Connectors}
	invalid := func(message string) error {
		return &connect.Error{Code: connect.CodeInvalidRequest, Message: message}
	}
	if b.Mode == nil {
		return q, invalid("mode is required.")
	}
	q.Mode = connect.Mode(*b.Mode)
	if b.User == nil {
		return q, invalid("user.id is required.")
	}
	q.User = connect.EndUser{ID: b.User.ID, Name: b.User.Name, Email: b.User.Email}
	if b.Origin != nil {
		if q.Origin = *b.Origin; q.Origin == "" {
			return q, &connect.Error{Code: connect.CodeOriginNotAllowed, Message: "origin is not among the app's origins."}
		}
	}
	if b.ReturnURL != nil {
		if *b.ReturnURL == "" {
			return q, invalid("return_url must equal one of the app's return_urls exactly.")
		}
		q.ReturnURL = *b.ReturnURL
	}
	if b.Lang != nil {
		if *b.Lang == "" {
			return q, invalid(`lang must be a language tag such as "en".`)
		}
		q.Lang = *b.Lang
	}
	if b.ExpiresIn != nil {
		if *b.ExpiresIn < 1 || *b.ExpiresIn > int64(connect.MaxLinkLife/time.Second) {
			return q, invalid("expires_in must be between 1 and 604800 seconds.")
		}
		q.ExpiresIn = time.Duration(*b.ExpiresIn) * time.Second
	}
	return q, nil
}

// deleteSession ends a connect session at once.
func (s *Server) deleteSession(c *call) error {
	if err := s.Service.EndSession(c.Request().Context(), c.app.ID, param(c, "session")); err != nil {
		return err
	}
	return noContent(c)
}

// flow tells the app's back end how a flow stands.
func (s *Server) flow(c *call) error {
	f, err := s.Service.FlowFor(c.Request().Context(), c.app.ID, param(c, "flow"))
	if err != nil {
		return err
	}
	conn, err := s.flowConnection(c, &f)
	if err != nil {
		return err
	}
	var assurance *connect.Assurance
	if f.Status == connect.StatusConnected {
		a := connect.AssuranceOf(f.Proofs)
		assurance = &a
	}
	return c.JSON(http.StatusOK, map[string]any{
		"id": f.ID, "connector": f.Connector, "mode": f.Mode, "status": f.Status, "code": connect.OrNull(string(f.Code)),
		"proofs": list(f.Proofs), "assurance": assurance, "connection": conn,
	})
}

// flowConnection is the connection that the flow made, while it is still that one.
func (s *Server) flowConnection(c *call, f *connect.Flow) (*connect.ConnectionView, error) {
	conn, err := s.Service.FlowConnection(c.Request().Context(), f)
	switch code := connect.CodeOf(err); {
	case err == nil:
		return conn.View(), nil
	case code == connect.CodeNotConnected, code == connect.CodeNotFound:
		return nil, nil
	}
	return nil, err
}

// confirm is the app's word about whose browser came back.
func (s *Server) confirm(c *call) error {
	var b struct {
		ResultCode *string `json:"result_code"`
		UserID     *string `json:"user_id"`
	}
	if err := c.body(&b); err != nil {
		return err
	}
	if b.ResultCode == nil || b.UserID == nil || *b.ResultCode == "" || *b.UserID == "" {
		return &connect.Error{Code: connect.CodeInvalidRequest, Message: "result_code and user_id are required."}
	}
	f, err := s.Service.Confirm(c.Request().Context(), c.app.ID, param(c, "flow"), *b.ResultCode, *b.UserID)
	if err != nil {
		return err
	}
	conn, err := s.flowConnection(c, &f)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{
		"flow": f.ID, "status": f.Status, "code": connect.OrNull(string(f.Code)), "connection": conn,
		"result_url": s.Service.PublicURL + connect.ResultPath(f.ID),
	})
}

// userConnections lists what one of the app's users has linked.
func (s *Server) userConnections(c *call) error {
	conns, err := s.Service.UserConnections(c.Request().Context(), c.app.ID, param(c, "user"))
	if err != nil {
		return err
	}
	out := []*connect.ConnectionView{}
	for i := range conns {
		out = append(out, conns[i].View())
	}
	return c.JSON(http.StatusOK, map[string]any{"connections": out})
}

// deleteUser removes all that is kept about one of the app's users.
func (s *Server) deleteUser(c *call) error {
	n, err := s.Service.DeleteUser(c.Request().Context(), c.app.ID, param(c, "user"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]int{"removed": n})
}
