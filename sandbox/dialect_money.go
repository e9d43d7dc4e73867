package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

func moneyDialects() []*dialect {
	return []*dialect{quickbooksDialect(), squareDialect(), stripeDialect(), splitwiseDialect()}
}

// quickbooksDialect: the company stands in the callback and nowhere else, and a
// revocation is JSON with HTTP Basic. The refresh token is the same for a day.
//
// https://developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0
func quickbooksDialect() *dialect {
	return &dialect{
		id: "quickbooks", name: "QuickBooks", brand: "#2ca01c",

		responseType: true, noIssuer: true, pkce: pkceIgnored, openID: true, scopeNeeded: true,
		scopeForm: regexp.MustCompile(`^(openid|profile|email|phone|address|com\.intuit\.quickbooks\.(accounting|payment)|[a-z-]+(\.[a-z-]+)+)$`),
		callbackMore: func(_ authorizeRequest, p identity, _ []string) url.Values {
			return url.Values{"realmId": {who(p.Account).digits("realm", 16)}}
		},

		codePrefix: "AB1", refreshPrefix: "RT1-", basicAuth: true, postAuth: true, headers: map[string]string{"Accept": "json"},
		lifetime: time.Hour, expires: true, repeats: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			answer["token_type"] = "bearer"
			if t.refresh != "" {
				answer["x_refresh_token_expires_in"] = 8_726_400
			}
			return answer
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeJSON(w, r, d, revokeBody{token: "token", basic: true, whole: true, body: map[string]any{}})
		},

		userinfo: func(v view) any {
			return map[string]any{"CompanyInfo": map[string]any{
				"CompanyName": v.Name + " & Co", "LegalName": v.Name + " & Co", "Id": "1", "Country": "US",
				"Email": map[string]any{"Address": v.Email},
			}, "time": v.now.UTC().Format(time.RFC3339)}
		},
		claims: func(p identity) map[string]any {
			return map[string]any{"sub": guid(p.Account, "intuit"), "realmid": who(p.Account).digits("realm", 16)}
		},
		userinfoNeeds: []string{"com.intuit.quickbooks.accounting"},
		resources:     []resource{{path: "query", needs: []string{"com.intuit.quickbooks.accounting"}, data: within("QueryResponse", within("Invoice", listOf(itemSamples, "Id", "DocNumber")))}},
		unauthorized: func(tokenState) any {
			return map[string]any{"fault": map[string]any{"type": "AUTHENTICATION", "error": []any{map[string]any{"code": "3200", "message": "message=AuthenticationFailed; errorCode=003200"}}}}
		},
	}
}

// squareDialect: JSON bodies, the expiry as a time, the refresh token repeated, and a
// revocation in the name of the application that ends everything of the merchant.
//
// https://developer.squareup.com/docs/oauth-api/overview
// https://developer.squareup.com/docs/oauth-api/refresh-revoke-limit-scope
func squareDialect() *dialect {
	merchant := func(p identity) string { return "ML" + who(p.Account).letters("square", 11) }
	return &dialect{
		id: "square", name: "Square", brand: "#3e4348",

		noIssuer: true, pkce: pkceRefused, scopeNeeded: true,
		scopeForm: regexp.MustCompile(`^[A-Z]+(_[A-Z]+)*_(READ|WRITE)$`),
		denial:    url.Values{"error": {"access_denied"}, "error_description": {"user_denied"}},
		callbackMore: func(authorizeRequest, identity, []string) url.Values {
			return url.Values{"response_type": {"code"}}
		},

		codePrefix: "sq0cgb-", accessPrefix: "EAAA", refreshPrefix: "EQAA", postAuth: true, body: bodyJSON,
		lifetime: 30 * 24 * time.Hour, expires: true, repeats: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			delete(answer, "expires_in")
			answer["token_type"], answer["merchant_id"] = "bearer", merchant(t.who)
			if t.lifetime > 0 {
				answer["expires_at"] = t.at.Add(t.lifetime).UTC().Format(time.RFC3339)
			}
			return answer
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			if key == faultClient {
				return http.StatusUnauthorized, map[string]any{"message": "Not Authorized", "type": "service.not_authorized"}
			}
			code, status := strings.ToUpper(plain.name), plain.status
			switch key {
			case faultCode, faultReplay, faultRefresh, faultRedirect:
				code, status = "UNAUTHORIZED", http.StatusUnauthorized
			case faultToken:
				code = "NOT_FOUND"
			}
			return status, map[string]any{"errors": []any{map[string]any{"category": "AUTHENTICATION_ERROR", "code": code, "detail": sentence}}}
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeJSON(w, r, d, revokeBody{token: "access_token", header: "Client ", whole: true, body: map[string]any{"success": true}})
		},
		revokeGrant: true,

		userinfo: func(v view) any {
			return map[string]any{"merchant": map[string]any{"id": merchant(v.identity), "business_name": v.Name + "'s shop", "country": "US", "status": "ACTIVE"}}
		},
		userinfoNeeds: []string{"MERCHANT_PROFILE_READ"},
		resources:     []resource{{path: "payments", needs: []string{"PAYMENTS_READ"}, data: within("payments", listOf(itemSamples, "id", "note"))}},
		apiPrefix:     "v2/",
		unauthorized: func(tokenState) any {
			return map[string]any{"errors": []any{map[string]any{"category": "AUTHENTICATION_ERROR", "code": "UNAUTHORIZED", "detail": "This request could not be authorized."}}}
		},
	}
}

// stripeDialect: the platform's secret key alone proves who asks, the redirect URI is no
// part of the exchange, tokens do not expire, and the platform takes an account off
// its list by the account's id.
//
// https://docs.stripe.com/connect/oauth-reference
func stripeDialect() *dialect {
	acct := func(p identity) string { return "acct_" + who(p.Account).letters("stripe", 16) }
	return &dialect{
		id: "stripe", name: "Stripe", brand: "#635bff",

		responseType: true, noIssuer: true, pkce: pkceIgnored,
		scopeForm: regexp.MustCompile(`^read_(only|write)$`),
		denial:    url.Values{"error": {"access_denied"}, "error_description": {"The user denied your request"}},
		callbackMore: func(_ authorizeRequest, _ identity, scopes []string) url.Values {
			return url.Values{"scope": {words(scopes, " ")}}
		},

		codePrefix: "ac_", accessPrefix: "sk_test_", refreshPrefix: "rt_", clientless: true, redirectless: true,
		lifetime: 24 * time.Hour, alwaysRefresh: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["token_type"], answer["stripe_user_id"], answer["livemode"] = "bearer", acct(t.who), false
			answer["stripe_publishable_key"] = "pk_test_" + who(t.who.Account).letters("stripe-pk", 24)
			return answer
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			if !allowed(w, r, http.MethodPost) {
				return
			}
			form, f := readForm(w, r)
			_, basic, _ := r.BasicAuth()
			switch user, _, isBasic := r.BasicAuth(); {
			case f != nil:
				d.refuse(w, r, f)
				return
			case isBasic && (user != clientSecret || basic != "") || !isBasic && bearer(r) != clientSecret:
				d.refuse(w, r, &fault{faultClient, "The platform's secret key is not there, or not this one."})
				return
			case form.Get("client_id") == "" || form.Get("stripe_user_id") == "":
				d.refuse(w, r, &fault{faultRequest, "client_id and stripe_user_id are required."})
				return
			}
			n := s.grants.revokeWhere(d, form.Get("client_id"), func(p identity) bool { return acct(p) == form.Get("stripe_user_id") })
			if n == 0 {
				d.refuse(w, r, &fault{faultClient, "This application is not connected to stripe account " + form.Get("stripe_user_id") + ", or that account does not exist."})
				return
			}
			d.write(w, r, http.StatusOK, map[string]any{"stripe_user_id": form.Get("stripe_user_id")})
		},

		userinfo: func(v view) any {
			return map[string]any{
				"id": acct(v.identity), "object": "account", "email": v.Email, "business_profile": map[string]any{"name": v.Name},
				"settings": map[string]any{"dashboard": map[string]any{"display_name": v.Name}},
			}
		},
		resources: []resource{{path: "v1/charges", data: within("data", listOf(itemSamples, "id", "description"))}},
		unauthorized: func(tokenState) any {
			return map[string]any{"error": map[string]any{"type": "invalid_request_error", "message": "Invalid API Key provided."}}
		},
	}
}

// splitwiseDialect: HTTP Basic is answered with 404, there are no scopes, and nothing
// expires.
//
// https://dev.splitwise.com/#section/Authentication
func splitwiseDialect() *dialect {
	return &dialect{
		id: "splitwise", name: "Splitwise", brand: "#1cc29f",

		responseType: true, noIssuer: true, pkce: pkceIgnored, scopeless: true,

		postAuth: true, basicRefusal: http.StatusNotFound, lifetime: time.Hour,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			answer["token_type"] = "bearer"
			return answer
		},
		revocation: revokeNone,

		userinfo: func(v view) any {
			given, family, _ := strings.Cut(v.Name, " ")
			user := map[string]any{"id": who(v.Account).number("splitwise"), "first_name": given, "last_name": any(family), "email": v.Email, "picture": map[string]any{"medium": v.origin + iconPath}}
			if family == "" {
				user["last_name"] = nil
			}
			return map[string]any{"user": user}
		},
		resources:    []resource{{path: "get_groups", data: within("groups", listOf(itemSamples, "id", "name"))}},
		apiPrefix:    "v3.0/",
		unauthorized: func(tokenState) any { return map[string]any{"error": "Invalid API Request: you are not logged in"} },
	}
}
