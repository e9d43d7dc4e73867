package oauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"patchbay/provider"
	"patchbay/vault"
)

// Phase is how far a call of a provider's API got.
type Phase string

// Only NotSent proves that the provider did nothing: no connection to it was made.
const (
	NotSent         Phase = "not_sent"
	Responded       Phase = "responded"
	TimedOut        Phase = "timed_out"
	SentUnconfirmed Phase = "sent_unconfirmed"
)

// APIRequest is a call of a provider's API in the name of a connection.
type APIRequest struct {
	Method string
	Host   string // a name from the entry; "": its first
	Path   string // see [CheckAPIPath]
	Query  url.Values
	Header map[string]string // those that the entry does not list are dropped
	Body   json.RawMessage   // nil: none; GET and HEAD send none
}

// APIResponse is what came of it. Problem is a sentence about what went wrong on the
// way, "" where the provider answered in full.
type APIResponse struct {
	Phase     Phase
	Status    int // 0: no answer
	Header    map[string]string
	Data      json.RawMessage // the body as JSON, or as a JSON string where it is text
	Binary    []byte          // the body where it is neither
	MediaType string          // of Binary
	Problem   string
}

// Success reports whether the provider answered with a status of 2xx.
func (r APIResponse) Success() bool { return r.Problem == "" && r.Status >= 200 && r.Status <= 299 }

// The errors of Call that are the caller's. Nothing was sent.
var (
	ErrAPIMethod = errors.New("method must be GET, POST, PUT, PATCH, DELETE or HEAD")
	ErrAPIPath   = errors.New("path must begin with one slash, and may hold no scheme, host, fragment, dot segment, backslash or control character")
	ErrAPIHeader = errors.New("a header has a name or value that HTTP does not allow")
)

var apiMethods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead}

// CheckAPIPath accepts a path below an API's base address, with or without a query. Dot
// segments are looked for behind any depth of percent-encoding: who decodes how often
// on the way is not known.
func CheckAPIPath(path string) error {
	plain, _, _ := strings.Cut(path, "?")
	if !strings.HasPrefix(plain, "/") || strings.HasPrefix(plain, "//") || len(path) > 8<<10 || !utf8.ValidString(path) {
		return ErrAPIPath
	}
	if strings.ContainsFunc(path, isControl) || strings.ContainsAny(path, " #") || strings.Contains(plain, "://") {
		return ErrAPIPath
	}
	for range 4 {
		if strings.ContainsFunc(plain, isControl) || strings.Contains(plain, `\`) || strings.HasPrefix(plain, "//") {
			return ErrAPIPath
		}
		for segment := range strings.SplitSeq(plain, "/") {
			segment, _, _ = strings.Cut(segment, ";")
			if segment == "." || segment == ".." {
				return ErrAPIPath
			}
		}
		decoded, err := url.PathUnescape(plain)
		if err != nil || !utf8.ValidString(decoded) {
			return ErrAPIPath
		}
		if decoded == plain {
			return nil
		}
		plain = decoded
	}
	return ErrAPIPath // encoded so often that nobody means well
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || (r >= 0x80 && r <= 0x9f) }

// Call makes a call of the provider's API with the token, once: it is never repeated and
// no redirect is followed. Every outcome at the provider or on the way is a response.
// The errors are the caller's (ErrAPIMethod, ErrAPIPath, ErrAPIHeader,
// provider.ErrNoHost) or say that the connector's addresses do not lead to an API.
func (c *Client) Call(ctx context.Context, r Registration, token vault.Secret, config map[string]string, q APIRequest) (APIResponse, error) {
	req, err := c.apiRequest(ctx, r, token, config, q)
	if err != nil {
		return APIResponse{}, err
	}
	var connected atomic.Bool // from here on something may have gone out
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	client := c.API
	if client == nil {
		client = c.HTTP
	}
	resp, err := client.Do(req)
	if err != nil {
		return unanswered(err, connected.Load()), nil
	}
	defer resp.Body.Close()
	out := APIResponse{Phase: Responded, Status: resp.StatusCode, Header: map[string]string{}}
	for _, name := range r.Entry.API.ResponseHeaders {
		if v := resp.Header.Get(name); v != "" {
			out.Header[strings.ToLower(name)] = string(scrub([]byte(strings.ToValidUTF8(v, "")), token))
		}
	}
	body, err := io.ReadAll(resp.Body)
	switch {
	case errors.Is(err, ErrTooLarge):
		out.Problem = "The provider's answer is larger than 1 MiB and was dropped."
	case err != nil:
		out.Problem = "The provider's answer broke off."
	default:
		out.take(scrub(body, token), resp.Header.Get("Content-Type"))
	}
	return out, nil
}

func unanswered(err error, connected bool) APIResponse {
	var timeout net.Error
	switch {
	case errors.Is(err, ErrBlocked):
		return APIResponse{Phase: NotSent, Problem: "The provider's address is not one that may be called."}
	case !connected:
		return APIResponse{Phase: NotSent, Problem: "There was no connection to the provider; nothing was sent."}
	case errors.As(err, &timeout) && timeout.Timeout():
		return APIResponse{Phase: TimedOut, Problem: "The provider did not answer in time. It may have done what was asked."}
	}
	return APIResponse{Phase: SentUnconfirmed, Problem: "The connection broke before the provider answered. It may have done what was asked."}
}

func (c *Client) apiRequest(ctx context.Context, r Registration, token vault.Secret, config map[string]string, q APIRequest) (*http.Request, error) {
	if !slices.Contains(apiMethods, q.Method) {
		return nil, ErrAPIMethod
	}
	if err := CheckAPIPath(q.Path); err != nil {
		return nil, err
	}
	base, err := r.Entry.APIHost(q.Host, r.Params, r.Endpoints, r.Overrides)
	if err != nil {
		return nil, err
	}
	if base, err = provider.FillConfig(base, config); err != nil {
		return nil, err
	}
	at, err := joinAPI(base, q)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if q.Body != nil && q.Method != http.MethodGet && q.Method != http.MethodHead {
		body = bytes.NewReader(q.Body)
	}
	req, err := http.NewRequestWithContext(ctx, q.Method, at.String(), body)
	if err != nil {
		return nil, ErrAPIPath
	}
	req.GetBody = nil // nothing is ever sent twice
	for name, value := range q.Header {
		if !validHeader(name, value) {
			return nil, ErrAPIHeader
		}
		if allowedHeader(r.Entry, name) {
			req.Header.Set(name, value)
		}
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json, */*;q=0.5")
	}
	if body != nil && !strings.Contains(req.Header.Get("Content-Type"), "json") {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", c.userAgent())
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	return req, nil
}

// joinAPI puts a checked path and a query behind the base address, and looks whether
// the result still lies on its host.
func joinAPI(base string, q APIRequest) (*url.URL, error) {
	at, err := url.Parse(below(base, q.Path))
	root, rootErr := url.Parse(base)
	if err != nil || rootErr != nil || at.Scheme != root.Scheme || at.Host != root.Host || at.User != nil ||
		!strings.HasPrefix(at.EscapedPath(), strings.TrimRight(root.EscapedPath(), "/")+"/") {
		return nil, ErrAPIPath
	}
	if len(q.Query) > 0 {
		if at.RawQuery != "" {
			at.RawQuery += "&"
		}
		at.RawQuery += q.Query.Encode()
	}
	return at, nil
}

// neverForwarded are the headers that no catalogue entry can let through.
var neverForwarded = []string{"authorization", "proxy-authorization", "cookie", "host", "connection", "content-length",
	"transfer-encoding", "te", "trailer", "upgrade", "user-agent"}

func allowedHeader(e *provider.Entry, name string) bool {
	if slices.Contains(neverForwarded, strings.ToLower(name)) {
		return false
	}
	return slices.ContainsFunc(e.API.RequestHeaders, func(known string) bool { return strings.EqualFold(known, name) })
}

func validHeader(name, value string) bool {
	bad := func(r rune) bool { return (r < ' ' && r != '\t') || r >= 0x7f }
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}) && len(value) <= 8<<10 && !strings.ContainsFunc(value, bad)
}

// take sorts a body into JSON, text and the rest.
func (r *APIResponse) take(body []byte, contentType string) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = ""
	}
	isText := utf8.Valid(body) && !bytes.ContainsRune(body, 0)
	switch {
	case len(body) == 0:
	case isText && json.Valid(body) && (media == "" || strings.HasSuffix(media, "json") || strings.HasPrefix(media, "text/plain")):
		r.Data = body
	case isText && textual(media):
		r.Data, _ = json.Marshal(string(body))
	default:
		r.Binary, r.MediaType = body, media
		if media == "" {
			r.MediaType = "application/octet-stream"
		}
	}
}

func textual(media string) bool {
	switch media {
	case "", "application/xml", "application/x-www-form-urlencoded", "application/javascript", "application/yaml", "application/csv":
		return true
	}
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "json") || strings.HasSuffix(media, "+xml")
}

// scrub takes the token out of what a provider echoes, in the spellings that are common
// in answers.
func scrub(text []byte, token vault.Secret) []byte {
	plain := token.Reveal()
	if plain == "" {
		return text
	}
	quoted, _ := json.Marshal(plain)
	for _, spelling := range []string{
		plain, string(quoted[1 : len(quoted)-1]), url.QueryEscape(plain),
		base64.StdEncoding.EncodeToString([]byte(plain)), base64.RawURLEncoding.EncodeToString([]byte(plain)),
	} {
		text = bytes.ReplaceAll(text, []byte(spelling), []byte("[access token]"))
	}
	return text
}
