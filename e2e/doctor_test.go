package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// goodServer and goodLocation are what docs/for-builders.md tells people to write.
const (
	goodServer   = "underscores_in_headers on;"
	goodLocation = `proxy_pass http://{server};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;`
)

// runNginx starts nginx with these lines in its server and location block.
func runNginx(t *testing.T, dir, listen, server, location string) {
	t.Helper()
	program := "/usr/sbin/nginx"
	if path, err := exec.LookPath("nginx"); err == nil {
		program = path
	} else if _, err := os.Stat(program); err != nil {
		missing(t, "nginx")
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`%sdaemon off;
pid %[2]s/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi;
  scgi_temp_path %[2]s/scgi;
  server {
    listen %[3]s;
    %[4]s
    location / {
      %[5]s
    }
  }
}
`, user, dir, listen, server, location)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	startCommand(t, nil, program, "-p", dir, "-c", conf, "-e", "stderr")
	address := strings.Fields(listen)[0]
	await(t, "nginx to listen", func() bool {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
}

// certificate writes a certificate that nobody vouches for.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}

// planted is one mistake, and what the doctor has to say of it.
type planted struct {
	name     string
	nginx    string // replaces the server's lines
	location string // more lines of the location
	without  string // a line of the location that is left out
	pass     string // replaces http://{server}
	tls      bool
	public   func(nginx, elsewhere string) string // PATCHBAY_PUBLIC_URL of server and doctor; "" the nginx
	apps     func(text string) string
	late     bool // the provider's clock is ten minutes behind
	trust    string
	want     []string // codes of the findings
	paste    string   // a line that has to be there to be pasted; {…} as above
}

var mistakes = []planted{
	{name: "none"},
	{name: "wrong public URL", public: func(_, elsewhere string) string { return "http://" + elsewhere }, want: []string{"not_this_server"}, paste: "PATCHBAY_PUBLIC_URL=https://"},
	{name: "nothing there", public: func(_, _ string) string { return "http://localhost:9" }, want: []string{"unreachable"}, paste: "PATCHBAY_PUBLIC_URL=https://"},
	{name: "http behind a TLS proxy", tls: true, public: func(nginx, _ string) string { return "http://" + nginx }, want: []string{"scheme"}, paste: "PATCHBAY_PUBLIC_URL=https://{nginx}"},
	{name: "a certificate that nobody vouches for", tls: true, public: func(nginx, _ string) string { return "https://" + nginx }, want: []string{"tls"}, paste: "certbot --nginx -d localhost"},
	{name: "address rewritten", pass: "http://{server}/", want: []string{"address_rewritten"}, paste: "proxy_pass http://{server};"},
	{name: "framing header added", location: "add_header X-Frame-Options DENY always;", want: []string{"framing_header"}, paste: "x-frame-options"},
	{name: "a second policy added", location: `add_header Content-Security-Policy "frame-ancestors 'self'" always;`, want: []string{"framing_header"}, paste: "content-security-policy"},
	{name: "buffering", without: "proxy_http_version 1.1;", location: "proxy_ignore_headers X-Accel-Buffering;", want: []string{"stream_buffered"}, paste: "proxy_buffering off;"},
	{name: "cookies dropped", location: `proxy_set_header Cookie "";`, want: []string{"cookies_dropped"}, paste: `proxy_set_header Cookie "";`},
	{name: "set cookies dropped", location: "proxy_hide_header Set-Cookie;", want: []string{"set_cookie_changed"}, paste: "proxy_hide_header Set-Cookie"},
	{name: "cookie path changed", location: "proxy_cookie_path / /patchbay/;", want: []string{"set_cookie_changed"}, paste: "proxy_cookie_path"},
	{name: "underscores dropped", nginx: " ", want: []string{"underscores_dropped"}, paste: "underscores_in_headers on;"},
	{name: "authorization dropped", location: `proxy_set_header Authorization "";`, want: []string{"header_dropped"}, paste: `proxy_set_header authorization "";`},
	{name: "proxy not trusted", trust: "-", want: []string{"proxy_not_trusted"}, paste: "PATCHBAY_TRUSTED_PROXIES=127.0.0.1/32"},
	{name: "made-up client address passed on", without: "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", want: []string{"client_address_spoofable"}, paste: "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"},
	{name: "wrong secret", apps: func(s string) string {
		return strings.ReplaceAll(s, `client_secret: "${ACME_CLIENT_SECRET}"`, "client_secret: not-the-secret")
	}, want: []string{"client_refused", "client_refused"}, paste: "client_secret:"},
	{name: "one of two secrets wrong", apps: func(s string) string {
		return strings.Replace(s, `client_secret: "${ACME_CLIENT_SECRET}"`, `client_secrets: [not-the-secret, "${ACME_CLIENT_SECRET}"]`, 1)
	}, want: []string{"secret_refused"}, paste: "client_secrets"},
	{name: "clock off by ten minutes", late: true, want: []string{"clock_skew"}, paste: "timedatectl set-ntp true"},
	{name: "offline scope missing", apps: func(s string) string {
		return strings.Replace(s, "type: typeform\n", "type: typeform\n        scopes: [\"accounts:read\"]\n", 1)
	}, want: []string{"offline_scope_missing"}, paste: "scopes: [offline, accounts:read]"},
	{name: "unknown scope", apps: func(s string) string {
		return strings.Replace(s, "type: github\n", "type: github\n        scopes: [\"read:user\", \"user:emial\"]\n", 1)
	}, want: []string{"scope_unknown"}, paste: "user:email"},
}

func TestDoctorFindsPlantedMistakes(t *testing.T) {
	provider := startSandbox(t)
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	at, err := url.Parse(provider.origin)
	if err != nil {
		t.Fatal(err)
	}
	shift := httputil.NewSingleHostReverseProxy(at)
	shift.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
		return nil
	}
	late := httptest.NewServer(shift)
	t.Cleanup(late.Close)
	for _, m := range mistakes {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			examineMistake(t, m, provider, strings.TrimPrefix(elsewhere.URL, "http://"), strings.TrimPrefix(late.URL, "http://"))
		})
	}
}

func examineMistake(t *testing.T, m planted, provider sandbox, elsewhere, late string) {
	s := newSettings(t)
	s.sandbox = strings.TrimPrefix(provider.origin, "http://")
	if m.late {
		s.sandbox = late
	}
	nginx := freeAddress(t)
	_, port, _ := net.SplitHostPort(nginx)
	s.public = "localhost:" + port
	fill := strings.NewReplacer("{server}", s.address, "{nginx}", s.public).Replace

	lines, listen := goodServer, nginx
	if m.nginx != "" {
		lines = m.nginx
	}
	if m.tls {
		cert, key := certificate(t, s.dir)
		lines += "\n    ssl_certificate " + cert + ";\n    ssl_certificate_key " + key + ";"
		listen += " ssl"
	}
	location := goodLocation
	location = strings.Replace(location, m.without, "", 1)
	if m.pass != "" {
		location = strings.Replace(location, "http://{server}", m.pass, 1)
	}
	runNginx(t, t.TempDir(), listen, lines, fill(location+"\n      "+m.location))

	path := s.apps(t, "https://app.acme.example", "github", "typeform")
	if m.apps != nil {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(m.apps(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATCHBAY_TRUSTED_PROXIES=127.0.0.1/32"}
	if m.trust != "" {
		env = nil
	}
	if m.public != nil {
		env = append(env, "PATCHBAY_PUBLIC_URL="+m.public(s.public, elsewhere))
	}
	serveWith(t, s, provider, env...)

	stdout, stderr, exit := run(t, s.env(env...), "doctor")
	var codes []string
	for _, found := range regexp.MustCompile(`(?m)^\S.*: ([a-z_]+)$`).FindAllStringSubmatch(stdout, -1) {
		codes = append(codes, found[1])
	}
	wantExit := 0
	if len(m.want) > 0 {
		wantExit = 1
	}
	if !slices.Equal(codes, m.want) || exit != wantExit {
		t.Errorf("found %q, exit %d; want %q\n%s\n%s", codes, exit, m.want, stdout, stderr)
	}
	if !strings.Contains(stdout, fill(m.paste)) {
		t.Errorf("nothing says %q\n%s", fill(m.paste), stdout)
	}
	for _, field := range []string{"  What: ", "  Why:  ", "  Do:   "} {
		if n := strings.Count(stdout, field); n != len(m.want) {
			t.Errorf("%d times %q for %d findings", n, field, len(m.want))
		}
	}
	if !strings.Contains(stdout, "acme/github  ") {
		t.Error("the redirect URIs are not listed")
	}
	for _, secret := range []string{s.key[strings.Index(s.key, ":")+1:], "not-the-secret", serviceToken, builderKey} {
		if strings.Contains(stdout+stderr, secret) {
			t.Error("a secret is printed")
		}
	}
}

// The guide's own nginx configuration, with only its address and certificate replaced,
// gives the doctor nothing to say, over TLS.
func TestGuidesProxyIsGood(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/for-builders.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```nginx\nserver \\{\n(.*?)    location / \\{\n(.*?)    \\}\n\\}\n```").FindStringSubmatch(string(guide))
	if block == nil {
		t.Fatal("the guide has no nginx configuration")
	}
	provider := startSandbox(t)
	s := newSettings(t)
	s.sandbox = strings.TrimPrefix(provider.origin, "http://")
	nginx := freeAddress(t)
	_, port, _ := net.SplitHostPort(nginx)
	s.public = "localhost:" + port
	cert, key := certificate(t, s.dir)
	lines := strings.NewReplacer("listen 443 ssl;", "", "connect.acme.example;", "localhost;",
		"/etc/letsencrypt/live/connect.acme.example/fullchain.pem", cert, "/etc/letsencrypt/live/connect.acme.example/privkey.pem", key).Replace(block[1])
	runNginx(t, t.TempDir(), nginx+" ssl", lines, strings.Replace(block[2], "127.0.0.1:8080", s.address, 1))
	s.apps(t, "https://app.acme.example", "github", "typeform")
	env := []string{"PATCHBAY_TRUSTED_PROXIES=127.0.0.1/32", "PATCHBAY_PUBLIC_URL=https://" + s.public}
	serveWith(t, s, provider, env...)
	stdout, stderr, exit := run(t, s.env(append(env, "SSL_CERT_FILE="+cert)...), "doctor")
	if exit != 0 || !strings.Contains(stdout, "Nothing was found.") {
		t.Errorf("exit %d\n%s\n%s", exit, stdout, stderr)
	}
}
