package static

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
)

func get(t *testing.T, method, url, accept string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, url, nil)
	if accept != "" {
		r.Header.Set("Accept-Encoding", accept)
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestFilesAreServedForever(t *testing.T) {
	for name, contentType := range map[string]string{
		"app.css":     "text/css; charset=utf-8",
		"app.js":      "text/javascript; charset=utf-8",
		"favicon.svg": "image/svg+xml",
	} {
		url := URL(name)
		if !regexp.MustCompile(`^/static/[a-z]+\.[A-Za-z0-9_-]{12}\.[a-z]+$`).MatchString(url) {
			t.Errorf("URL(%q) = %q, want a hashed name", name, url)
		}
		r := get(t, "GET", url, "br, gzip")
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d", name, r.StatusCode)
		}
		for header, want := range map[string]string{
			"Content-Type":           contentType,
			"Cache-Control":          "public, max-age=31536000, immutable",
			"X-Content-Type-Options": "nosniff",
			"Content-Encoding":       "gzip",
			"Vary":                   "Accept-Encoding",
		} {
			if got := r.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		unzipped, _ := io.ReadAll(z)
		plain, _ := io.ReadAll(get(t, "GET", url, "").Body)
		if len(plain) == 0 || !bytes.Equal(unzipped, plain) {
			t.Errorf("%s: %d bytes compressed, %d plain, not the same", name, len(unzipped), len(plain))
		}
	}
}

func TestEncodingIsNegotiated(t *testing.T) {
	for accept, want := range map[string]string{
		"":                    "",
		"identity":            "",
		"gzip":                "gzip",
		"*":                   "gzip",
		"deflate, gzip;q=0.5": "gzip",
		"gzip;q=0":            "",
		"gzip; q=0.0, br":     "",
		"xgzip":               "",
	} {
		if got := get(t, "GET", URL("app.css"), accept).Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q, want %q", accept, got, want)
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	for _, url := range []string{
		"/static/", "/static/app.css", "/static/static.go", "/static/NOTICE",
		"/static/logos/slack.svg", "/static/../static.go", "/app.css", "/",
	} {
		r := get(t, "GET", url, "gzip")
		if r.StatusCode != http.StatusNotFound || r.Header.Get("Cache-Control") != "" {
			t.Errorf("%s: status %d, Cache-Control %q", url, r.StatusCode, r.Header.Get("Cache-Control"))
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if r := get(t, method, URL("app.css"), ""); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
	if body, _ := io.ReadAll(get(t, "HEAD", URL("app.css"), "").Body); len(body) != 0 {
		t.Errorf("HEAD answered %d bytes", len(body))
	}
}

func TestURLOfUnknownFilePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("URL of a file that does not exist did not panic")
		}
	}()
	URL("nosuch.css")
}

func TestSprite(t *testing.T) {
	url := Sprite("slack", "nosuch", "github", "slack")
	if url == "" || url != Sprite("github", "slack") {
		t.Fatalf("the same set has two addresses: %q and %q", url, Sprite("github", "slack"))
	}
	if other := Sprite("slack"); other == url {
		t.Error("two sets have one address")
	}
	if got := Sprite("nosuch"); got != "" {
		t.Errorf("Sprite of nothing known = %q", got)
	}
	r := get(t, "GET", url, "")
	body, _ := io.ReadAll(r.Body)
	if r.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("Content-Type %q", r.Header.Get("Content-Type"))
	}
	for _, want := range []string{`<symbol id="github" viewBox="0 0 24 24" fill="currentColor"><path`, `<symbol id="slack"`} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("sprite lacks %s", want)
		}
	}
	if bytes.Contains(body, []byte("googlecalendar")) {
		t.Error("sprite holds a logo that was not asked for")
	}
}

func TestSpriteConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			names := Logos()
			url := Sprite(names[i%len(names):]...)
			if r := get(t, "GET", url, "gzip"); r.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", url, r.StatusCode)
			}
		})
	}
	wg.Wait()
}

// A logo is one flat drawing: nothing in it may run, load or restyle.
func TestLogosAreInert(t *testing.T) {
	if !HasLogo("slack") || HasLogo("") || HasLogo("../app") {
		t.Error("HasLogo does not know its logos")
	}
	css, _ := io.ReadAll(get(t, "GET", URL("app.css"), "").Body)
	for _, name := range Logos() {
		l := site.logos[name]
		if found := regexp.MustCompile(`(?i)<(?:[^p/]|p[^a])|href|style|script|\son|url\(|&`).Find(l.body); found != nil {
			t.Errorf("logo %s contains %q", name, found)
		}
		if !regexp.MustCompile(`^#[0-9a-f]{6}$`).MatchString(l.color) {
			t.Errorf("logo %s has colour %q", name, l.color)
		}
		if !strings.Contains(string(css), ".logo-"+name+"{--brand:"+l.color+"}") {
			t.Errorf("app.css does not know the colour of %s", name)
		}
	}
}

func TestStyleSheetSurvivesSqueezing(t *testing.T) {
	css, _ := io.ReadAll(get(t, "GET", URL("app.css"), "").Body)
	if bytes.Contains(css, []byte("/*")) || bytes.Contains(css, []byte("\n ")) {
		t.Error("comments or indentation are left")
	}
	if open, shut := bytes.Count(css, []byte("{")), bytes.Count(css, []byte("}")); open != shut {
		t.Errorf("%d braces open, %d close", open, shut)
	}
	if found := regexp.MustCompile(`url\(|@import|@font-face|https?:`).Find(css); found != nil {
		t.Errorf("the style sheet loads something: %s", found)
	}
}

func TestScriptIsSmall(t *testing.T) {
	js, _ := io.ReadAll(get(t, "GET", URL("app.js"), "").Body)
	if len(js) > 2048 {
		t.Errorf("app.js has %d bytes, more than 2 KB", len(js))
	}
	if found := regexp.MustCompile(`innerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(`).Find(js); found != nil {
		t.Errorf("app.js uses %s", found)
	}
}

// Whose drawings these are stands in NOTICE, for every file.
func TestNoticeNamesEveryLogo(t *testing.T) {
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.FieldsFunc(string(notice), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' })
	for _, name := range Logos() {
		if !slices.Contains(words, name) {
			t.Errorf("NOTICE does not name %s", name)
		}
		if got := len(site.logos[name].body); got > 4096 {
			t.Errorf("the drawing %s has %d bytes", name, got)
		}
	}
}
