package provider

import "testing"

func TestRedirectProblem(t *testing.T) {
	for _, test := range []struct {
		http, address string
		fine          bool
	}{
		{"never", "https://connect.example/oauth/callback/a/b", true},
		{"", "https://connect.example/oauth/callback/a/b", true},
		{"never", "http://localhost:8080/oauth/callback/a/b", false},
		{"", "http://127.0.0.1/x", false},
		{"localhost", "http://localhost:8080/x", true},
		{"localhost", "http://acme.localhost/x", true},
		{"localhost", "http://127.0.0.1:8080/x", false},
		{"loopback", "http://127.0.0.1:8080/x", true},
		{"loopback", "http://[::1]:8080/x", true},
		{"loopback", "http://localhost/x", true},
		{"loopback", "http://connect.example/x", false},
		{"any", "http://connect.example/x", true},
		{"any", "/x", false},
	} {
		r := RedirectURI{HTTP: test.http}
		if problem := r.Problem(test.address); (problem == "") != test.fine {
			t.Errorf("%q, %s: %q", test.http, test.address, problem)
		}
		if len(r.Rules()) != 2 {
			t.Errorf("%q: rules %q", test.http, r.Rules())
		}
	}
}
