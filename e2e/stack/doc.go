// Package stack runs the whole of Patchbay in the test's own process: the server over
// a real SQLite file, the sandbox as its provider, four apps with a back end each, and
// people with browsers. A test that uses it reads as usage:
//
//	s := stack.New(t)
//	dana := s.Browser()
//	result := dana.SignIn(s.Acme, "dana").Connect("github").Approve("dana@example.com").Rest()
//	result.WantFlow("connected", "connected")
//	token := s.Acme.Token("dana", "github")
//
// It owns the wiring, the clock, and what was seen on the way (log, pages, the calls
// to the provider). It owns no expectation beyond "this step is possible": what must
// hold is for the tests to say. The apps come through an apps.yaml text and the same
// Apply as an operator's.
package stack
