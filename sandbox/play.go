package sandbox

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// bigAnswer is more than any caller should take: 10 MB.
const bigAnswer = 10 << 20

// play is /{type}/api/play/…: an API that goes wrong on demand, for whoever calls one
// through Patchbay. Every token of the type may. It reports whether the path is one.
//
//	status/NNN   that status          redirect   302 to another host
//	big          10 MB of JSON        binary     bytes that are no text
//	echo         the body as it came  hang       no answer for a minute
//	reset        the connection is cut after the body was read
//	cut          it is cut in the middle of the answer
func (s *Server) play(w http.ResponseWriter, r *http.Request, path string) bool {
	what, ok := strings.CutPrefix(path, "play/")
	if !ok {
		return false
	}
	if code, numbered := strings.CutPrefix(what, "status/"); numbered {
		status, err := strconv.Atoi(code)
		if err != nil || status < 200 || status > 599 {
			return false
		}
		writeJSON(w, status, map[string]int{"played": status})
		return true
	}
	switch what {
	case "redirect":
		w.Header().Set("Location", "https://elsewhere.example/stolen")
		w.WriteHeader(http.StatusFound)
	case "big":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `"`)
		_, _ = w.Write(bytes.Repeat([]byte("x"), bigAnswer))
		_, _ = io.WriteString(w, `"`)
	case "binary":
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write([]byte{0, 1, 2, 0xff, 0xfe, 0})
	case "echo":
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, http.MaxBytesReader(w, r.Body, 1<<20))
	case "hang":
		// Only a server that has read the body notices that the other side went away.
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	case "reset":
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
		hangUp(w)
	case "cut":
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"half":`)
		panic(http.ErrAbortHandler)
	default:
		return false
	}
	return true
}

// hangUp cuts the connection without an answer, so that the other side sees a reset.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
