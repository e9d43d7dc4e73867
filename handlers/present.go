package handlers

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"patchbay/connect"
	"patchbay/static"
	"patchbay/views"
)

// render answers with a page.
func render(c echo.Context, status int, page templ.Component) error {
	c.Response().Header().Set(echo.HeaderContentType, "text/html; charset=utf-8")
	c.Response().WriteHeader(status)
	return page.Render(c.Request().Context(), c.Response())
}

// redirect sends the browser on with 303, so that a reload repeats no post.
func redirect(c echo.Context, to string) error { return c.Redirect(http.StatusSeeOther, to) }

// page is what every page of the app has.
func (s *Server) page(c echo.Context, app *connect.App, user *connect.EndUser) views.Page {
	p := views.Page{Trace: connect.Trace(c.Request().Context())}
	if app != nil {
		p.App = views.App{ID: app.ID, Name: app.Name}
		p.Sprite = s.sprite(app)
		if app.Theme.Accent != "" {
			p.Theme.StylesheetURL = appPath(app.ID, "theme.css") + "?v=" + themeVersion(app)
		}
		if len(app.Theme.Logo) > 0 {
			p.Theme.LogoURL = appPath(app.ID, "logo") + "?v=" + themeVersion(app)
		}
	}
	if user != nil && user.ID != "" { // a shared connector's flow has none
		p.User = &views.User{ID: user.ID, Name: user.Name, Email: user.Email}
	}
	return p
}

// sessionPage is page for a browser session, which can be ended from it.
func (s *Server) sessionPage(c echo.Context, app *connect.App, b *connect.BrowserSession) views.Page {
	p := s.page(c, app, &b.User)
	p.LogoutURL = "/logout"
	return p
}

// sprite holds the logos that the app's connectors need, and no others.
func (s *Server) sprite(app *connect.App) string {
	names := map[string]bool{}
	for i := range app.Connectors {
		if e, err := s.Service.Entry(&app.Connectors[i]); err == nil {
			names[e.Logo] = true
		}
	}
	return static.Sprite(slices.Collect(maps.Keys(names))...)
}

func appPath(app string, rest ...string) string {
	p, _ := url.JoinPath("/apps/"+app, rest...)
	return p
}

// connector describes a connector that has nothing linked.
func (s *Server) connector(k *connect.Connector, scopes []string) views.Connector {
	v := views.Connector{
		ID: k.ID, Type: k.Type, Name: s.Service.DisplayName(k), Description: s.Service.Description(k),
		State: views.NotConnected, Abilities: s.abilities(k, scopes),
	}
	if e, err := s.Service.Entry(k); err == nil {
		v.Color, v.Logo = e.Color, e.Logo
		for _, p := range e.ParamFields(k.Params) {
			v.Params = append(v.Params, views.Param{
				Name: p.Name, Label: p.Label, Description: p.Description, Example: p.Example,
				Value: p.Default, Pattern: htmlPattern(p.Pattern.String()), Required: p.Required,
			})
		}
	}
	return v
}

// connectorNow is the connector as it stands for the user.
func (s *Server) connectorNow(k *connect.Connector, conn *connect.Connection, waiting bool) views.Connector {
	scopes := s.Service.AskedScopes(k)
	if conn != nil {
		scopes = conn.Scopes
	}
	v := s.connector(k, scopes)
	if conn != nil {
		v.Connected = true
		v.State = string(conn.Status)
		v.Account = conn.Account.Label()
		v.Missing = s.inWords(k, conn.Missing)
		for i := range v.Params {
			if value, ok := conn.Params[v.Params[i].Name]; ok {
				v.Params[i].Value = value
			}
		}
	}
	if waiting {
		v.State = views.Waiting
	}
	return v
}

// abilities says in words what a token with these scopes allows.
func (s *Server) abilities(k *connect.Connector, scopes []string) []string {
	words := s.inWords(k, scopes)
	if e, err := s.Service.Entry(k); err == nil {
		words = append(slices.Clone(e.Scopes.Abilities), words...)
	}
	return words
}

// inWords says in words what scopes allow; a scope that the catalogue does not know
// is shown as it is.
func (s *Server) inWords(k *connect.Connector, scopes []string) []string {
	e, err := s.Service.Entry(k)
	var words []string
	for _, scope := range scopes {
		sentence, known := scope, false
		if err == nil {
			sentence, known = e.Ability(scope)
		}
		if !known {
			sentence = scope
		}
		if !slices.Contains(words, sentence) {
			words = append(words, sentence)
		}
	}
	return words
}

// extra says in words what the provider granted beyond what was asked.
func (s *Server) extra(k *connect.Connector, conn *connect.Connection) []string {
	e, err := s.Service.Entry(k)
	if err != nil {
		return nil
	}
	return s.inWords(k, e.Extra(conn.Asked, conn.Scopes))
}

// try is how the visitor's attempts at a connector stand.
type try struct {
	open  string        // id of the flow under way, "" for none
	ended *connect.Flow // the last one of the frame's session, where it did not connect
}

// tries lists them by connector.
func (s *Server) tries(c echo.Context, v *visit) (map[string]try, error) {
	ctx := c.Request().Context()
	tries := map[string]try{}
	if v.frame != nil {
		flows, err := s.Service.SessionFlows(ctx, &v.frame.Session)
		if err != nil {
			return nil, err
		}
		for i := range flows {
			f := &flows[i]
			if f.Status.Final() && f.Status != connect.StatusConnected && f.Status != connect.StatusSuperseded {
				tries[f.Connector] = try{ended: f}
			} else {
				delete(tries, f.Connector)
			}
		}
	}
	open, err := s.Service.OpenFlows(ctx, v.app.ID, v.user.ID)
	for _, f := range open {
		tries[f.Connector] = try{open: f.ID}
	}
	return tries, err
}

// returnTo is the app's address that a page leads back to.
func returnTo(app *connect.App, own string) string {
	if own != "" {
		return own
	}
	if len(app.ReturnURLs) > 0 {
		return app.ReturnURLs[0]
	}
	return ""
}

// returnWithOutcome adds what the app's page may want to know.
func returnWithOutcome(app *connect.App, f *connect.Flow) string {
	to, err := url.Parse(returnTo(app, f.ReturnURL))
	if err != nil || to.Host == "" {
		return ""
	}
	q := to.Query()
	q.Set("flow", f.ID)
	q.Set("status", string(f.Status))
	q.Set("code", string(f.Code))
	to.RawQuery = q.Encode()
	return to.String()
}

func someTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// historyOf puts events into sentences.
func (s *Server) historyOf(app *connect.App, events []connect.Event) []views.HistoryEntry {
	var out []views.HistoryEntry
	for i := range events {
		name := events[i].Connector
		if k, ok := app.Connector(events[i].Connector); ok {
			name = s.Service.DisplayName(k)
		}
		if text := sentence(&events[i], app.Name, name); text != "" {
			out = append(out, views.HistoryEntry{At: events[i].At, Text: text, Connector: name})
		}
	}
	return out
}

func sentence(e *connect.Event, app, provider string) string {
	account := e.Data["account"]
	switch e.Kind {
	case connect.EventConnected:
		return "Connected" + as(account) + "."
	case connect.EventReconnected:
		return "Connected again" + as(account) + "."
	case connect.EventDisconnected:
		return "Disconnected" + as(account) + "."
	case connect.EventReconnectRequired:
		return "The provider ended the access" + of(account) + "."
	case connect.EventFlowFinished:
		switch connect.Status(e.Data["status"]) {
		case connect.StatusDenied:
			return "Connecting was refused at the provider."
		case connect.StatusFailed:
			return views.HistoryWords(e.Data["code"], app, provider)
		}
	}
	return ""
}

func as(account string) string {
	if account == "" {
		return ""
	}
	return " as " + account
}

func of(account string) string {
	if account == "" {
		return ""
	}
	return " of " + account
}

// htmlPattern turns an anchored expression of ours into the form that an input's
// pattern attribute takes, which is anchored by itself.
func htmlPattern(expr string) string {
	for _, cut := range [][2]string{{`\A(?:`, `)\z`}, {`^(?:`, `)$`}, {"^", "$"}} {
		if len(expr) >= len(cut[0])+len(cut[1]) && expr[:len(cut[0])] == cut[0] && expr[len(expr)-len(cut[1]):] == cut[1] {
			expr = expr[len(cut[0]) : len(expr)-len(cut[1])]
			break
		}
	}
	return escapeClasses(expr)
}

// escapeClasses escapes, inside character classes, a hyphen that stands for itself.
// Browsers compile a pattern with the flag v, where [a-z-] is an error, and then check
// nothing.
func escapeClasses(expr string) string {
	var b strings.Builder
	class, from := false, 0
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		switch {
		case c == '\\' && i+1 < len(expr):
			b.WriteByte(c)
			i++
			c = expr[i]
		case c == '[' && !class:
			class, from = true, i+1
			if from < len(expr) && expr[from] == '^' {
				from++
			}
		case c == ']' && class && i > from:
			class = false
		case c == '-' && class && (i == from || i+1 < len(expr) && expr[i+1] == ']'):
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
