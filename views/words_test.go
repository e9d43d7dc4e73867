package views

import (
	"regexp"
	"strings"
	"testing"
)

// The codes of the contract, written out once more: a code that is added there
// and forgotten here would otherwise pass.
var (
	contractResults = strings.Fields(`connected scopes_missing no_refresh_token access_denied expired superseded canceled
		account_mismatch user_mismatch assurance_too_low issuer_mismatch client_rejected scope_rejected
		redirect_uri_rejected provider_error provider_unavailable`)
	contractPages = strings.Fields(`state_unknown cookie_missing browser_mismatch origin_rejected framed_wrongly
		window_not_opened expired invalid_request unauthorized forbidden user_mismatch origin_not_allowed
		assurance_too_low not_found not_connected method_not_allowed too_large unsupported_media_type
		reconnect_required flow_finished connection_changed rate_limited internal provider_error
		connector_misconfigured provider_unavailable unavailable`)
)

func TestEveryCodeHasWords(t *testing.T) {
	for _, code := range contractResults {
		if _, ok := resultWords[code]; !ok {
			t.Errorf("no words for the result %s", code)
		}
	}
	for _, code := range contractPages {
		_, page := pageWords[code]
		_, result := resultWords[code]
		if !page && !result {
			t.Errorf("no words for the page %s", code)
		}
	}
	previewed := map[string]bool{}
	for _, r := range resultCodes {
		previewed[r.code] = true
	}
	for _, p := range pageCodes {
		previewed[p.code] = true
	}
	for _, code := range append(contractResults, contractPages...) {
		if !previewed[code] {
			t.Errorf("%s is in no preview", code)
		}
	}
}

func TestWordsAreWhole(t *testing.T) {
	jargon := regexp.MustCompile(`(?i)oauth|token|scope|redirect|callback|cookie_|client|session|csrf|pkce|http|api\b|state\b|invalid|error code|please|oops|sorry|user\b`)
	for _, table := range []map[string]Words{resultWords, pageWords, unfinishedWords} {
		for code, w := range table {
			if w.Headline == "" || w.Says == "" || w.Mark == "" {
				t.Errorf("%s lacks a headline, a sentence or a mark", code)
			}
			if strings.HasSuffix(w.Headline, ".") || !strings.HasSuffix(w.Says, ".") && !strings.HasSuffix(w.Says, "{unchanged}") {
				t.Errorf("%s: a headline has no full stop, a sentence has", code)
			}
			for _, sentence := range []string{w.Headline, w.Says, w.Next, w.Again} {
				if found := jargon.FindString(sentence); found != "" {
					t.Errorf("%s says %q: %s", code, found, sentence)
				}
			}
		}
	}
	for code, w := range pageWords {
		if w.Next == "" || w.Again == "" || w.Who == "" {
			t.Errorf("page %s lacks a next step or who can take it", code)
		}
	}
	for _, code := range contractResults {
		if w := resultWords[code]; w.Retry && w.Again == "" {
			t.Errorf("result %s can be retried, but does not say how", code)
		}
	}
}

func TestUnknownCodeIsStillTrue(t *testing.T) {
	if ResultWords("nosuch").Headline != pageWords["internal"].Headline || PageWords("").Headline == "" {
		t.Error("an unknown code has no words")
	}
}

func TestNamesStayWhatTheyAre(t *testing.T) {
	n := names{App: "{provider}", Provider: "$1 {unchanged}", Account: "{app}"}
	if got := n.in("{app}, {provider}, {account}"); got != "{provider}, $1 {unchanged}, {app}" {
		t.Errorf("names were read as placeholders: %q", got)
	}
	if got := (names{}).begin("{app} and {provider}"); got != "The app and the provider" {
		t.Errorf("nameless: %q", got)
	}
	if got := (names{App: "سلاك"}).in("In {app}"); got != "In \u2068سلاك\u2069" {
		t.Errorf("a name from right to left is not kept apart: %q", got)
	}
}

func TestHue(t *testing.T) {
	for color, want := range map[string]string{
		"#ff0000": "hue-0", "#ffff00": "hue-2", "#00ff00": "hue-4", "#00ffff": "hue-6", "#0000ff": "hue-8", "#ff00ff": "hue-10",
		"#ff0020": "hue-0", "#ff0080": "hue-11",
		"#808080": "", "#000000": "", "": "", "red": "", "#ggg": "", "#12345g": "", `#"><b>`: "",
	} {
		if got := hue(color); got != want {
			t.Errorf("hue(%q) = %q, want %q", color, got, want)
		}
	}
}
