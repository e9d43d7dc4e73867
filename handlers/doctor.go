package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"patchbay/connect/doctor"
)

// examined answers the doctor: a GET that carries a pass made with our keys is told what
// arrived of it. Everybody else's requests go on.
func (s *Server) examined(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		pass := r.Header.Values(doctor.Header)
		if len(pass) != 1 || r.Method != http.MethodGet || !doctor.Admits(s.Service.Sealer, pass[0], time.Now()) {
			return next(c)
		}
		h := c.Response().Header()
		switch r.URL.EscapedPath() {
		case doctor.StreamPath:
			return doctorStream(c)
		case doctor.FramePath:
			h.Del("X-Frame-Options")
			h.Set("Content-Security-Policy", csp("https://app.example"))
			h.Set("Cross-Origin-Embedder-Policy", "require-corp")
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		default:
			s.Browsers.SetProbe(c.Response(), doctor.CookieName)
		}
		a := doctor.Answer{
			Doctor: 1, URI: r.RequestURI, Host: r.Host, Peer: r.RemoteAddr, Client: c.RealIP(),
			Header: doctor.LowerHeader(r.Header), PublicURL: s.Service.PublicURL, Time: time.Now().UTC(),
			Sent: doctor.LowerHeader(h.Clone()),
		}
		for _, cookie := range r.Cookies() {
			a.Cookies = append(a.Cookies, cookie.Name)
		}
		return c.JSON(http.StatusOK, a)
	}
}

// doctorStream sends two lines, as a frame's stream would.
func doctorStream(c echo.Context) error {
	w := &watch{c: c}
	streamHeaders(c)
	if err := w.write("data: 1\n\n"); err != nil {
		return err
	}
	select {
	case <-c.Request().Context().Done():
		return nil
	case <-time.After(doctor.StreamPause):
	}
	return w.write("data: 2\n\n")
}
