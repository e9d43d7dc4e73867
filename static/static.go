// Package static holds the files a page loads: the style sheet, the script,
// the marks and the logos. They are embedded in the binary and served under
// names that contain a hash of their content, so that a browser may keep them
// forever and a new version is a new address.
//
// It knows nothing of pages. Pages ask it for addresses: URL for a file by its
// plain name, Sprite for one file with the logos of a set.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Prefix is where Handler expects to be mounted.
const Prefix = "/static/"

//go:embed app.css app.js frame.css frame.js favicon.svg logos/*.svg
var embedded embed.FS

//go:embed embed.js
var embedJS []byte

// Embed returns the script that builders load into their own pages. Its
// address is stable, so it is no file of Handler, which says "keep forever".
// The caller must not change it.
func Embed() []byte { return embedJS }

// site is everything this binary serves. It is complete when the package is
// initialized, but for the sprites that are asked for later.
var site = load()

// files is a set of served files. Its methods are safe for concurrent use.
type files struct {
	mu      sync.RWMutex
	byPath  map[string]*file
	byName  map[string]*file
	logos   map[string]logo
	sprites map[string]*file // by the sorted names within
}

// file is one served file, with its compressed form where that is smaller.
type file struct {
	url         string
	contentType string
	plain       []byte
	gzipped     []byte // nil: plain is all there is
}

// URL returns the address of an embedded file, "/static/app.<hash>.css" for
// "app.css". It panics on a name that does not exist: that is a typing error
// in a template, found by the first test that draws the page.
func URL(name string) string {
	site.mu.RLock()
	defer site.mu.RUnlock()
	f, ok := site.byName[name]
	if !ok {
		panic("static: no file " + strconv.Quote(name))
	}
	return f.url
}

// Handler serves the files under their hashed addresses and nothing else.
// Mount it at Prefix with the path left whole.
func Handler() http.Handler { return site }

func (s *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	s.mu.RLock()
	f, ok := s.byPath[r.URL.Path]
	s.mu.RUnlock()
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}

	body := f.plain
	if f.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			body = f.gzipped
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	if r.Method == http.MethodHead {
		return
	}
	w.Write(body)
}

// acceptsGzip reads Accept-Encoding as far as it matters: gzip or * named,
// and not with a quality of zero.
func acceptsGzip(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(header, ",") {
			coding, quality, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";q=")
			if coding != "gzip" && coding != "*" {
				continue
			}
			if q, err := strconv.ParseFloat(quality, 64); quality == "" || err == nil && q > 0 {
				return true
			}
		}
	}
	return false
}

func load() *files {
	s := &files{
		byPath:  map[string]*file{},
		byName:  map[string]*file{},
		logos:   readLogos(),
		sprites: map[string]*file{},
	}
	for _, name := range []string{"app.css", "app.js", "frame.css", "frame.js", "favicon.svg"} {
		content, err := embedded.ReadFile(name)
		if err != nil {
			panic(err)
		}
		switch path.Ext(name) {
		case ".css":
			content = squeeze(content)
		case ".js":
			content = squeezeScript(content)
		}
		if name == "app.css" {
			content = append(content, logoColors(s.logos)...)
		}
		s.byName[name] = s.add(name, content)
	}
	return s
}

// add makes a file of content servable. The caller holds mu, or is load.
func (s *files) add(name string, content []byte) *file {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	f := &file{
		url: fmt.Sprintf("%s%s.%s%s", Prefix, strings.TrimSuffix(name, ext),
			base64.RawURLEncoding.EncodeToString(sum[:9]), ext),
		contentType: contentTypes[ext],
		plain:       content,
	}
	if z := compress(content); len(z) < len(content) {
		f.gzipped = z
	}
	s.byPath[f.url] = f
	return f
}

// contentTypes is a table of our own because mime.TypeByExtension reads the
// tables of the machine it runs on.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func compress(content []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	z.Write(content)
	z.Close()
	return b.Bytes()
}

// squeeze drops comments and indentation from a style sheet. It does not parse
// it: a string or address with a comment sign inside would be cut.
func squeeze(css []byte) []byte {
	var b bytes.Buffer
	for {
		before, rest, found := bytes.Cut(css, []byte("/*"))
		b.Write(before)
		if !found {
			break
		}
		_, css, _ = bytes.Cut(rest, []byte("*/"))
	}
	return trimLines(b.Bytes(), "")
}

// squeezeScript drops whole lines of comment and indentation from a script. It
// does not parse it: our scripts have no text that goes over several lines.
func squeezeScript(js []byte) []byte { return trimLines(js, "//") }

// trimLines drops what is around each line, empty lines, and those that begin
// with comment, if that is not "".
func trimLines(text []byte, comment string) []byte {
	var b bytes.Buffer
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || comment != "" && bytes.HasPrefix(line, []byte(comment)) {
			continue
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
