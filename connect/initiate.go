package connect

import "context"

// ConnectAppUser makes a link on which the end user can begin to connect, and returns
// its address: our own start page, never the provider's. parent is the connect
// session whose token asked for it, "" for the app's own JWT.
func (s *Service) ConnectAppUser(ctx context.Context, app, connector string, user EndUser, parent *ConnectSession) (string, error) {
	q := SessionRequest{Mode: ModeLink, User: user, Connectors: []string{connector}}
	if parent != nil {
		if !parent.Allows(connector) {
			return "", errNoConnector
		}
		q.Parent, q.ReturnURL, q.Lang = parent.ID, parent.ReturnURL, parent.Lang
	}
	made, err := s.CreateSession(ctx, app, q)
	return made.URL, err
}
