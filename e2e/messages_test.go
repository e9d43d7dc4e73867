package e2e

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Messages to the frame count from the page that holds it and from its one origin;
// anything else, and anything of another shape, changes nothing.
func TestSecurity39_MessagesToTheFrame(t *testing.T) {
	t.Parallel()
	const script = `<script>
		const wrong = [null, 1, "close", [], {}, {patchbay: 2, type: "close"}, {patchbay: 1}, {patchbay: 1, type: {}}, {patchbay: 1, type: "toString"},
			{patchbay: 1, type: "init"}, {patchbay: 1, type: "init", data: 7}, {patchbay: 1, type: "init", data: {theme: "red"}},
			{patchbay: 1, type: "init", data: {theme: {accent: "red;} body{display:none", background: "url(//evil.example)", text: [], radius: "9", scheme: "x"}}}];
	</script>`
	stranger := hostile(t, script+`<script>
		for (const w of [...wrong, {patchbay: 1, type: "close"}, {patchbay: 1, type: "refresh"}, {patchbay: 1, type: "init", data: {theme: {accent: "#ff0000"}}}]) parent.frames[0].postMessage(w, "*");
	</script>`)
	var frame string
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_ = messagePage.Execute(w, map[string]any{"Frame": frame, "Script": template.HTML(script)})
	}))
	t.Cleanup(host.Close)
	v := startServer(t, host.URL, "github")
	made := v.call(t, http.MethodPost, "connect-sessions", "", `{"mode":"embed","origin":"`+host.URL+`","user":{"id":"dana"}}`)
	frame, _ = made.body["url"].(string)
	patchbay := frame[:strings.Index(frame, "/embed/")]

	b := framed{tourist: tourist{tab: openTab(t, true)}}
	b.open(host.URL + "/")
	b.frame = b.target("iframe", patchbay+"/embed/")
	heard := func(kind string) int {
		return evaluate[int](b.tab, fmt.Sprintf(`heard.filter(m => m.type === %q && m.origin === %q && m.patchbay === 1).length`, kind, patchbay))
	}
	accent := func() string {
		return evaluate[string](b.frame, `document.documentElement.style.getPropertyValue("--accent")`)
	}
	awaitFor(t, patience, "ready", func() bool { return heard("ready") == 1 })
	// A stranger beside the frame, then the page itself with nonsense, then one message
	// that counts: what comes after it in order shows that the others were looked at.
	evaluate[bool](b.tab, fmt.Sprintf(`new Promise(done => {
		const f = document.createElement("iframe"); f.src = %q; f.onload = () => done(true); document.body.append(f);
	})`, stranger))
	evaluate[bool](b.tab, fmt.Sprintf(`(() => { for (const w of wrong) frames[0].postMessage(w, %q); return true })()`, patchbay))
	if got := accent(); got != "" || heard("exit") != 0 {
		t.Errorf("strange messages had an effect: accent %q, %d exits", got, heard("exit"))
	}
	evaluate[bool](b.tab, fmt.Sprintf(`(frames[0].postMessage({patchbay: 1, type: "init", data: {theme: {accent: "#123456", scheme: "dark"}}}, %q), true)`, patchbay))
	awaitFor(t, patience, "the theme", func() bool { return accent() == "#123456" })
	if heard("exit") != 0 {
		t.Error("a stranger closed the frame")
	}
	evaluate[bool](b.tab, fmt.Sprintf(`(frames[0].postMessage({patchbay: 1, type: "close"}, %q), true)`, patchbay))
	awaitFor(t, patience, "exit", func() bool { return heard("exit") == 1 })
	for _, fault := range b.frame.takeFaults() {
		t.Error(fault)
	}
	b.takeFaults()
}

var messagePage = template.Must(template.New("").Parse(`<!doctype html><title>host</title>
<script>const heard = []; addEventListener("message", e => heard.push({...e.data, origin: e.origin}));</script>{{.Script}}
<iframe src="{{.Frame}}" width="600" height="500"></iframe>
`))
