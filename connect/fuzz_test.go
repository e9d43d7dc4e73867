package connect

import (
	"net/url"
	"testing"
	"unicode/utf8"

	"patchbay/provider"
)

// Whatever stands in a callback's query, for every type: it is judged without a panic, a
// code goes on only when it stands alone, and only the person's own no is a denial.
func FuzzCallbackQuery(f *testing.F) {
	for _, seed := range []string{
		"code=4/0Ab&state=s&iss=https://accounts.google.com", "error=access_denied&error_description=no&state=s", "code=a&code=b", "code=a&error=b", "",
		"error=user_cancelled_login", "error=consent_required", "code=&state=", "access_token=t&code=c", "iss=a&iss=b&code=c", "code=%ff", "code[]=a",
		"appId=a&tenantId=t&instanceId=i&signedInstance=s.p", "signedInstance=a&signedInstance=b", "signedInstance=a&code=b", "code=c&realmId=1&realmId=2", "%zz=1&code=a", "a;b=c&code=d",
	} {
		f.Add(seed)
	}
	c, err := provider.Embedded()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		sent, _ := url.ParseQuery(raw)
		for _, typ := range c.Types() {
			e, _ := c.Entry(typ)
			q := answerIn(e, sent)
			if wellFormed(q) {
				code, denied := q["code"], q["error"]
				if len(code)+len(denied) != 1 || len(code) == 1 && !utf8.ValidString(code[0]) {
					t.Errorf("%s: %q is well formed with code %q and error %q", typ, raw, code, denied)
				}
				if len(code) == 1 && sent.Get(e.Authorize.CodeParam) != code[0] {
					t.Errorf("%s: %q has the code %q", typ, raw, code)
				}
			}
			if q.Has("error") {
				status, code := answerOutcome(e, q.Get("error"))
				if status != StatusFailed && status != StatusDenied || (status == StatusDenied) != (code == CodeAccessDenied) {
					t.Errorf("%s: the error %q ends as %s, %s", typ, q.Get("error"), status, code)
				}
			}
			if len(q["iss"]) > 1 && e.CheckIssuer(provider.Endpoints{}, provider.Endpoints{Authorize: "https://a.example"}, q["iss"]) == nil {
				t.Errorf("%s: %q names two issuers", typ, raw)
			}
			if extra := callbackFields(q); len(extra) > 20 || len(extra["code"]) > 0 || len(extra["state"]) > 0 {
				t.Errorf("%s: kept %v", typ, extra)
			}
		}
	})
}
