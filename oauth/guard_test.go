package oauth

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/provider"
)

// canary is a listener that must not be reached.
func canary(t *testing.T, network, address string) (port string, reached func() bool) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("no %s on this machine: %v", address, err)
	}
	t.Cleanup(func() { l.Close() })
	hit := make(chan struct{}, 1000)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			hit <- struct{}{}
			c.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, func() bool { return len(hit) > 0 }
}

// SECURITY 69: however an inside address is spelt, and whatever name leads to it,
// nothing connects.
func TestSecurity69_InsideAddressesAreNotReached(t *testing.T) {
	port, reached := canary(t, "tcp", "127.0.0.1:0")
	c := client(t)
	hosts := []string{
		"127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.0.0.1.", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0",
		"0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]",
		"127。0。0。1", "①②⑦.0.0.1", "x@127.0.0.1", "acme.example:443@127.0.0.1", "127.0.0.1%23.acme.example", "127.0.0.1%00",
	}
	for _, host := range hosts {
		for _, scheme := range []string{"https://", "http://"} {
			address := scheme + host + ":" + port + "/token"
			r := Registration{Entry: entry(t, "github"), Endpoints: provider.Endpoints{Refresh: address}, ClientID: "id", ClientSecrets: secrets("canary")}
			limited, cancel := context.WithTimeout(ctx, 3*time.Second)
			_, err := c.Refresh(limited, r, refresh, nil)
			cancel()
			if err == nil || oauthError(t, err).Sent {
				t.Errorf("%s: %v", address, err)
			}
		}
	}
	if reached() {
		t.Error("the canary was reached")
	}
}

// SECURITY 69: the address is judged when it is dialled. localhost passes the check of
// the text; what it resolves to does not.
func TestSecurity69_ANameIsJudgedByWhatItResolvesTo(t *testing.T) {
	port, reached := canary(t, "tcp", "127.0.0.1:0")
	_, err := client(t).HTTP.Get("https://localhost:" + port)
	if !errors.Is(err, ErrBlocked) || reached() {
		t.Errorf("got %v, reached: %v", err, reached())
	}
}

func TestSecurity69_PublicAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "140.82.121.4": true, "100.63.255.255": true, "100.128.0.1": true, "172.15.0.1": true, "172.32.0.1": true, "198.17.0.1": true, "223.255.255.255": true,
		"2606:4700:4700::1111": true, "2a00:1450:4001::1": true, "::ffff:8.8.8.8": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.127.255.255": false, "127.0.0.1": false, "127.255.255.255": false,
		"169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.1": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.1.1": false,
		"198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::10.0.0.1": false, "::8.8.8.8": false,
		"64:ff9b::a00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::1": false, "100::1": false, "2001::1": false, "2001:db8::1": false, "2002:a00:1::": false, "2002:808:808::": false,
		"3fff::1": false, "5f00::1": false, "fc00::1": false, "fd12:3456::1": false, "fe80::1": false, "fec0::1": false, "ff02::1": false, "2606:4700::1%eth0": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if isPublic(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

// Only exactly the host and port that are listed are an exception.
func TestOutboundAllow(t *testing.T) {
	f := newFake(t)
	f.on("/", 200, "{}")
	_, port, _ := net.SplitHostPort(f.hostPort())
	for name, tc := range map[string]struct {
		allow   []string
		address string
		blocked bool
	}{
		"as listed":              {[]string{"127.0.0.1:" + port}, "http://127.0.0.1:" + port + "/", false},
		"one of several":         {[]string{"a.example:80", "127.0.0.1:" + port}, "http://127.0.0.1:" + port + "/", false},
		"a name":                 {[]string{"localhost:" + port}, "http://localhost:" + port + "/", false},
		"a name, other case":     {[]string{"LocalHost:" + port}, "http://LOCALHOST:" + port + "/", false},
		"other spelling":         {[]string{"127.0.0.1:" + port}, "http://localhost:" + port + "/", true},
		"other port":             {[]string{"127.0.0.1:1"}, "http://127.0.0.1:" + port + "/", true},
		"nothing listed":         {nil, "http://127.0.0.1:" + port + "/", true},
		"port left out is 80":    {[]string{"127.0.0.1:443"}, "http://127.0.0.1/", true},
		"user name all the same": {[]string{"127.0.0.1:" + port}, "http://me@127.0.0.1:" + port + "/", true},
		"other scheme":           {[]string{"127.0.0.1:" + port}, "ftp://127.0.0.1:" + port + "/", true},
	} {
		t.Run(name, func(t *testing.T) {
			hc, err := NewHTTPClient(tc.allow)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := hc.Get(tc.address)
			if err == nil {
				resp.Body.Close()
			}
			if errors.Is(err, ErrBlocked) != tc.blocked || !tc.blocked && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, bad := range []string{"", "localhost", "localhost:", ":8081", "localhost:0", "localhost:65536", "localhost:http", "http://localhost:8081", "*:8081", "a b:1", "localhost.:1", "a..b:1", "[fe80::1%lo]:1"} {
		if _, err := NewHTTPClient([]string{"ok.example:443", bad}); err == nil || !strings.Contains(err.Error(), strconv.Quote(bad)) || strings.Contains(err.Error(), "ok.example") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := NewHTTPClient([]string{"[::1]:8081"}); err != nil {
		t.Errorf("IPv6: %v", err)
	}
}

func TestNoProxyFromTheEnvironment(t *testing.T) {
	proxy := newFake(t)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	if tr := client(t).HTTP.Transport.(*guard).next.(*http.Transport); tr.Proxy != nil {
		t.Error("a proxy is taken from somewhere")
	}
	f := newFake(t)
	f.on("/", 200, "{}")
	resp, err := client(t, f).HTTP.Get(f.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(proxy.calls()) != 0 || len(f.calls()) != 1 {
		t.Error("the call went through the proxy")
	}
}

// SECURITY 70: no redirect is followed, from no endpoint, and the second host hears
// nothing.
func TestSecurity70_RedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308, 300, 304} {
		first, second := newFake(t), newFake(t)
		second.on("/", 200, `{"access_token":"at","id":1}`)
		for _, path := range []string{"token", "userinfo", "revoke"} {
			first.handle("/github/"+path, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", second.URL+"/")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"access_token":"at","id":1}`)
			})
		}
		r, c := first.at(t, entry(t, "github")), client(t, first, second)
		if got, err := c.Exchange(ctx, r, code, verifier, nil); ClassOf(err) != ProviderFault || !got.AccessToken.IsZero() || oauthError(t, err).Status != status {
			t.Errorf("%d, exchange: %v", status, err)
		}
		if _, err := c.Refresh(ctx, r, refresh, nil); ClassOf(err) != ProviderFault {
			t.Errorf("%d, refresh: %v", status, err)
		}
		if _, err := c.accountOf(ctx, r, granted()); ClassOf(err) != ProviderFault {
			t.Errorf("%d, account: %v", status, err)
		}
		if got := c.Revoke(ctx, r, granted()); got != RevokedUnknown {
			t.Errorf("%d: revoked %s", status, got)
		}
		resp, err := c.HTTP.Get(first.URL + "/github/token") // as when keys are fetched
		if err != nil || resp.StatusCode != status || resp.Header.Get("Location") != "" {
			t.Errorf("%d, plain GET: %v", status, err)
		} else {
			resp.Body.Close()
		}
		if n := len(second.calls()); n != 0 {
			t.Errorf("%d: the second host was called %d times", status, n)
		}
	}
}

// SECURITY 71: certificates are checked, TLS is 1.2 or newer; the list of exceptions
// does not lift that.
func TestSecurity71_TLS(t *testing.T) {
	good := tls.Config{MinVersion: tls.VersionTLS12}
	for name, tc := range map[string]struct {
		config  *tls.Config
		names   []string
		until   time.Duration
		trusted bool
		ok      bool
	}{
		"as it should be": {&good, []string{"127.0.0.1"}, time.Hour, true, true},
		"self-signed":     {&good, []string{"127.0.0.1"}, time.Hour, false, false},
		"expired":         {&good, []string{"127.0.0.1"}, -time.Hour, true, false},
		"wrong name":      {&good, []string{"192.0.2.1"}, time.Hour, true, false},
		"TLS 1.1 only":    {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, []string{"127.0.0.1"}, time.Hour, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			called := false
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				called = true
				_, _ = io.WriteString(w, `{"access_token":"at"}`)
			}))
			server.Config.ErrorLog = quiet
			cert, pool := certificate(t, tc.names, tc.until)
			server.TLS = tc.config.Clone()
			server.TLS.Certificates = []tls.Certificate{cert}
			server.StartTLS()
			defer server.Close()

			hc, err := NewHTTPClient([]string{strings.TrimPrefix(server.URL, "https://")})
			if err != nil {
				t.Fatal(err)
			}
			if tc.trusted {
				hc.Transport.(*guard).next.(*http.Transport).TLSClientConfig.RootCAs = pool
			}
			r := Registration{Entry: entry(t, "github"), Endpoints: provider.Endpoints{Refresh: server.URL}, ClientID: "id", ClientSecrets: secrets("s")}
			_, err = (&Client{HTTP: hc}).Refresh(ctx, r, refresh, nil)
			if (err == nil) != tc.ok || called != tc.ok {
				t.Errorf("got %v, called: %v", err, called)
			}
		})
	}
}

// SECURITY 72: what a hostile provider sends costs little time and memory.
func TestSecurity72_HostileAnswers(t *testing.T) {
	bomb := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(`{"access_token":"`))
		zeros := bytes.Repeat([]byte("0"), 1<<20)
		for range 16 {
			_, _ = z.Write(zeros)
		}
		_ = z.Close()
		return b.Bytes()
	}()
	chunk := bytes.Repeat([]byte(" "), 64<<10)
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		class  Class
	}{
		"100 MB of JSON": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"access_token":"`))
			for range 1600 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, ProviderFault},
		"gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}, ProviderFault},
		"endless chunks": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
				w.(http.Flusher).Flush()
			}
		}, ProviderFault},
		"one byte at a time": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}, Transient},
		"no answer":        {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Transient},
		"10 MB of headers": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 10<<20)) }, Transient},
		"100,000 deep": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000))
		}, ProviderFault},
		"as many values as fit": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"access_token":"at","a":[`+strings.Repeat("{},", 340_000)+"0]}")
		}, ProviderFault},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.handle("/github/token", tc.answer)
			r, c := f.at(t, entry(t, "github")), client(t, f)
			if c.HTTP.Timeout != 10*time.Second {
				t.Errorf("a call may take %v", c.HTTP.Timeout)
			}
			c.HTTP.Timeout = 500 * time.Millisecond
			if tc.class != Transient {
				c.HTTP.Timeout = 10 * time.Second
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			begin := time.Now()
			_, err := c.Refresh(ctx, r, refresh, nil)
			runtime.ReadMemStats(&after)
			if ClassOf(err) != tc.class {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begin); took > 9*time.Second {
				t.Errorf("took %v", took)
			}
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
}

func TestBodyLimitIsAnErrorNotAnEnd(t *testing.T) {
	for size, ok := range map[int]bool{0: true, maxBody - 1: true, maxBody: true, maxBody + 1: false, 2 * maxBody: false} {
		b := &limitedBody{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", size))), left: maxBody}
		got, err := io.ReadAll(b)
		if ok && (err != nil || len(got) != size) || !ok && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
		if _, err := b.Read(make([]byte, 1)); !ok && !errors.Is(err, ErrTooLarge) {
			t.Errorf("read on after %d bytes: %v", size, err)
		}
	}
}

// certificate makes a self-signed one for IP addresses.
func certificate(t *testing.T, addresses []string, life time.Duration) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fake"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, a := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(a))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// What the text of an address alone is refused for, before any name is looked up.
func TestSecurity69_AddressesRefusedByTheirText(t *testing.T) {
	g := &guard{allowed: map[string]bool{"idp.internal:80": true}}
	for address, want := range map[string]string{
		"https://acme.example/token":               "",
		"https://acme.example:8443/token":          "",
		"https://8.8.8.8/":                         "",
		"http://idp.internal/":                     "",
		"http://acme.example/token":                "it is plain http",
		"http://idp.internal:8080/":                "it is plain http",
		"https://acme.example./token":              "its host is malformed",
		"https://acme..example/":                   "its host is malformed",
		"https://.acme.example/":                   "its host is malformed",
		"https://acme。example/":                    "its host is malformed",
		"https:///token":                           "its host is malformed",
		"https://" + strings.Repeat("a.", 140):     "its host is malformed",
		"https://" + strings.Repeat("a", 64) + "/": "its host is malformed",
		"https://me:pw@acme.example/":              "it holds a user name",
		"https://10.0.0.1/":                        "its host is not on the public internet",
		"https://[fd00::1]/":                       "its host is not on the public internet",
		"file:///etc/passwd":                       "it is neither https nor http",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		err = g.check(u)
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrBlocked) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
