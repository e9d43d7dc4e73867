package views

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http/httptest"
	"testing"

	"patchbay/static"
)

// The whole list of twenty connectors, with everything it loads, compressed.
func TestPageWeight(t *testing.T) {
	const limit = 15 * 1024
	var list []Connector
	for i := range 20 {
		c := sampleConnectors()[i%4]
		c.ID = fmt.Sprintf("%s-%d", c.ID, i)
		c.Name = fmt.Sprintf("%s %d", c.Name, i)
		c.Ticket = fmt.Sprintf("%043d", i*7919)
		list = append(list, c)
	}
	page := samplePage()
	page.Sprite = static.Sprite(static.Logos()[:20]...) // the configured ones alone
	html := zipped(t, []byte(render(t, List(ListPage{Page: page, Connectors: list, SettingsURL: "/s"}))))
	total := html
	report := fmt.Sprintf("page %d", html)
	for _, url := range []string{static.URL("app.css"), static.URL("app.js"), static.URL("favicon.svg"), page.Sprite} {
		r := httptest.NewRequest("GET", url, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		static.Handler().ServeHTTP(w, r)
		total += w.Body.Len()
		report += fmt.Sprintf(", %s %d", url, w.Body.Len())
	}
	t.Logf("%d bytes: %s", total, report)
	if total > limit {
		t.Errorf("%d bytes, more than %d", total, limit)
	}
}

func zipped(t *testing.T, content []byte) int {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return b.Len()
}
