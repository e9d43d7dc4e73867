package doctor

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"patchbay/connect"
)

// Header carries a Pass. A server that finds a good one in a GET answers with an [Answer]
// instead of its page.
const Header = "X-Patchbay-Doctor"

const (
	passLife = 2 * time.Minute
	purpose  = "doctor"
	macLen   = 32 // bytes of what Sealer.MAC makes
)

// Pass makes what the server of these keys knows its doctor by.
func Pass(s connect.Sealer, now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.Add(passLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, s.MAC(purpose, b)...))
}

// Admits reports whether the pass is one of these keys. Its time is not exact: the two
// clocks may differ, and that is one of the things to be found.
func Admits(s connect.Sealer, pass string, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(pass)
	if err != nil || len(b) != 8+macLen {
		return false
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(b[:8])), 0)
	return s.CheckMAC(purpose, b[:8], b[8:]) && until.Sub(now).Abs() < time.Hour
}

// Answer is what the server tells the doctor: what arrived of the request, and what it
// sends back. It goes to the holder of the keys only, and holds what that one sent and
// what a proxy added.
type Answer struct {
	Doctor    int                 `json:"doctor"` // 1: the version of this answer
	URI       string              `json:"uri"`    // the request target as it arrived
	Host      string              `json:"host"`
	Peer      string              `json:"peer"`   // address of who is connected
	Client    string              `json:"client"` // address that limits go by
	Header    map[string][]string `json:"header"` // as it arrived, names in lower case
	Cookies   []string            `json:"cookies"`
	PublicURL string              `json:"public_url"`
	Time      time.Time           `json:"time"`
	Sent      map[string][]string `json:"sent"` // headers of the answer, names in lower case
}

// Paths that the doctor asks for, and what there is special about them.
const (
	CallbackPath = "/oauth/callback/doctor/doc%2Ftor" // sets the probe's cookie
	FramePath    = "/embed/doctor"                    // may be framed
	StreamPath   = "/api/apps/doctor/live"            // two lines, StreamPause apart
)

// StreamPause is how far apart the two lines of a stream are sent.
const StreamPause = 1500 * time.Millisecond

// CookieName is the probe's cookie without a prefix: one of the family that binds flows.
const CookieName = "patchbay_flow_doctor"

// LowerHeader is h with its names in lower case, as [Answer] has them.
func LowerHeader(h http.Header) map[string][]string {
	out := make(map[string][]string, len(h))
	for name, values := range h {
		out[strings.ToLower(name)] = values
	}
	return out
}
