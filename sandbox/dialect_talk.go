package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

func talkDialects() []*dialect {
	return []*dialect{discordDialect(), slackbotDialect(), zoomDialect(), linkedinDialect(), xDialect(), tiktokDialect(), instagramDialect()}
}

// discordDialect: a revocation ends everything of the person and the app.
//
// https://discord.com/developers/docs/topics/oauth2
func discordDialect() *dialect {
	return &dialect{
		id: "discord", name: "Discord", brand: "#5865f2",

		responseType: true, noIssuer: true, scopeNeeded: true,
		scopeForm: regexp.MustCompile(`^[a-z_]+(\.[a-z]+)*$`),

		basicAuth: true, postAuth: true, lifetime: 604_800 * time.Second, expires: true, rotates: true,
		answer: plainAnswer,

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, body: map[string]any{}})
		},
		revokeGrant: true,

		userinfo: func(v view) any {
			me := map[string]any{"id": who(v.Account).digits("discord", 18), "username": v.Login, "global_name": any(v.Name), "avatar": nil, "discriminator": "0"}
			if v.has("email") {
				me["email"], me["verified"] = v.Email, true
			}
			return me
		},
		userinfoNeeds: []string{"identify"},
		resources:     []resource{{path: "users/@me/guilds", needs: []string{"guilds"}, data: listOf(channelSamples, "id", "name")}},
		apiPrefix:     "v10/",
		unauthorized:  func(tokenState) any { return map[string]any{"message": "401: Unauthorized", "code": 0} },
	}
}

// slackbotDialect: the same addresses as Slack's user tokens, another list of scopes,
// and the token of the workspace's bot at the top of the answer.
//
// https://docs.slack.dev/authentication/installing-with-oauth
// https://docs.slack.dev/reference/methods/oauth.v2.access
func slackbotDialect() *dialect {
	d := slackDialect()
	d.id, d.name, d.noun = "slackbot", "Slack bot", "Slack"
	d.scopeParam, d.scopeForm, d.scopeNeeded = "scope", regexp.MustCompile(`^[a-z_.-]+(:[a-z_.]+)*$`), true
	d.accessPrefix, d.refreshPrefix = "xoxb-", "xoxe-1-"
	bot := func(p identity) string { return "U" + who(p.Domain).letters("slack-bot", 10) }
	d.answer = func(t issued) map[string]any {
		answer := map[string]any{
			"ok": true, "access_token": t.access, "token_type": "bot", "scope": words(t.scopes, ","), "bot_user_id": bot(t.who),
			"app_id": "A" + who(t.client).letters("slack-app", 10),
			"team":   map[string]any{"id": slackTeamID(t.who), "name": slackTeamName(t.who)}, "enterprise": nil, "is_enterprise_install": false,
			"authed_user": map[string]any{"id": slackUserID(t.who)},
		}
		if t.lifetime > 0 {
			answer["expires_in"] = seconds(t.lifetime)
		}
		if t.refresh != "" {
			answer["refresh_token"] = t.refresh
		}
		return answer
	}
	d.revokeGrant = true // installations of an app in a workspace share the bot's token
	d.userinfo = func(v view) any {
		return map[string]any{
			"ok": true, "url": v.origin + "/slackbot/", "team": slackTeamName(v.identity), "user": "acme",
			"team_id": slackTeamID(v.identity), "user_id": bot(v.identity), "bot_id": "B" + who(v.Domain).letters("slack-bot-id", 10), "is_enterprise_install": false,
		}
	}
	d.resources = []resource{
		{path: "auth.test", post: true, data: d.userinfo},
		{path: "conversations.list", post: true, needs: []string{"channels:read", "groups:read"}, data: slackChannels},
	}
	return d
}

// zoomDialect: scopes are chosen with the app and not in a request, errors have a
// reason, and a revocation wants HTTP Basic.
//
// https://developers.zoom.us/docs/integrations/oauth/
func zoomDialect() *dialect {
	granted := []string{"user:read:user", "user:read:email", "meeting:read:list_meetings"}
	return &dialect{
		id: "zoom", name: "Zoom", brand: "#0b5cff",

		responseType: true, noIssuer: true, scopeless: true,

		basicAuth: true, postAuth: true, lifetime: 3599 * time.Second, expires: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["token_type"], answer["scope"], answer["api_url"] = "bearer", words(granted, " "), "https://api.zoom.us"
			return answer
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			if key == faultRefresh {
				sentence = "Invalid Token!"
			}
			return plain.status, map[string]any{"reason": sentence, "error": plain.name}
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{basic: true, accessOnly: true, whole: true, body: map[string]any{"status": "success"}})
		},

		userinfo: func(v view) any {
			given, family, _ := strings.Cut(v.Name, " ")
			return map[string]any{
				"id": who(v.Account).letters("zoom", 22), "account_id": who(v.Domain).letters("zoom", 22), "display_name": v.Name,
				"first_name": given, "last_name": family, "email": v.Email, "pic_url": v.origin + iconPath,
			}
		},
		resources:    []resource{{path: "users/me/meetings", data: within("meetings", listOf(meetingSamples, "id", "topic"))}},
		apiPrefix:    "v2/",
		unauthorized: func(tokenState) any { return map[string]any{"code": 124, "message": "Invalid access token."} },
	}
}

// linkedinDialect: PKCE makes an exchange fail, a refusal has names of its own, and most
// apps get no refresh token.
//
// https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow
func linkedinDialect() *dialect {
	return &dialect{
		id: "linkedin", name: "LinkedIn", brand: "#0a66c2",

		responseType: true, noIssuer: true, pkce: pkceRefused, openID: true, scopeNeeded: true,
		scopeForm: regexp.MustCompile(`^(openid|profile|email|[rw]{1,2}_[a-z_]+)$`),
		denial:    url.Values{"error": {"user_cancelled_authorize"}, "error_description": {"The user cancelled the authorization"}},

		accessPrefix: "AQX", refreshPrefix: "AQW", postAuth: true, lifetime: 5_184_000 * time.Second, expires: true, refreshless: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["scope"] = words(t.scopes, ",")
			delete(answer, "token_type")
			return answer
		},
		faults: map[faultKey]string{faultRedirect: "invalid_redirect_uri"},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, whole: true})
		},

		userinfo: func(v view) any {
			claims := map[string]any{"sub": who(v.Account).letters("linkedin", 10), "name": v.Name, "picture": v.origin + iconPath}
			if v.has("email") {
				claims["email"], claims["email_verified"] = v.Email, true
			}
			return claims
		},
		userinfoNeeds: []string{"openid"},
		resources:     []resource{{path: "v2/userinfo", data: func(v view) any { return map[string]any{"sub": who(v.Account).letters("linkedin", 10), "name": v.Name} }}},
		unauthorized: func(tokenState) any {
			return map[string]any{"status": 401, "serviceErrorCode": 65600, "code": "INVALID_ACCESS_TOKEN", "message": "Invalid access token"}
		},
	}
}

// xDialect: PKCE is required, the client proves itself by HTTP Basic, and the refresh
// token needs a scope and is used up.
//
// https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code
func xDialect() *dialect {
	return &dialect{
		id: "x", name: "X", brand: "#14171a",

		responseType: true, noIssuer: true, pkce: pkceRequired, scopeNeeded: true,
		stateForm:    regexp.MustCompile(`^.{1,500}$`),
		scopeForm:    regexp.MustCompile(`^[a-z]+\.[a-z]+$`),
		offlineScope: "offline.access",

		basicAuth: true, lifetime: 7200 * time.Second, expires: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["token_type"] = "bearer"
			return answer
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			switch key {
			case faultClient:
				if sentence == noClient {
					return http.StatusUnauthorized, map[string]any{"error": "unauthorized_client", "error_description": "Missing valid authorization header"}
				}
			case faultCode, faultReplay, faultRefresh:
				return http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "Value passed for the token was invalid."}
			}
			return plain.status, map[string]any{"error": plain.name, "error_description": sentence}
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{basic: true, whole: true, body: map[string]any{"revoked": true}})
		},

		userinfo: func(v view) any {
			me := map[string]any{"id": who(v.Account).digits("x", 19), "name": v.Name, "username": strings.ReplaceAll(v.Login, "-", "_")}
			if strings.Contains(v.query.Get("user.fields"), "confirmed_email") && v.has("users.email") {
				me["confirmed_email"] = v.Email
			}
			return map[string]any{"data": me}
		},
		userinfoCheck: func(_ *http.Request, v view) (int, any) {
			if !v.has("users.read") || !v.has("tweet.read") || strings.Contains(v.query.Get("user.fields"), "confirmed_email") && !v.has("users.email") {
				return http.StatusForbidden, map[string]any{"title": "Forbidden", "status": 403, "detail": "The scopes users.read and tweet.read are needed, and users.email for confirmed_email."}
			}
			return 0, nil
		},
		resources: []resource{{path: "tweets", needs: []string{"tweet.read"}, data: within("data", listOf(itemSamples, "id", "text"))}},
		apiPrefix: "2/",
		unauthorized: func(tokenState) any {
			return map[string]any{"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}
		},
	}
}

// tiktokDialect: the client's id is called client_key everywhere, scopes are joined by
// commas, and who-am-I must say which fields it wants.
//
// https://developers.tiktok.com/doc/login-kit-web
// https://developers.tiktok.com/doc/oauth-user-access-token-management
func tiktokDialect() *dialect {
	openID := func(p identity) string { return "-000" + who(p.Account).letters("tiktok", 32) }
	return &dialect{
		id: "tiktok", name: "TikTok", brand: "#161823",

		clientParam: "client_key", tokenClientParam: "client_key",
		responseType: true, noIssuer: true, pkce: pkceIgnored, scopeNeeded: true,
		scopeSplit: ",", scopeForm: regexp.MustCompile(`^[a-z]+(\.[a-z]+)+$`),
		callbackMore: func(_ authorizeRequest, _ identity, scopes []string) url.Values {
			return url.Values{"scopes": {words(scopes, ",")}}
		},

		accessPrefix: "act.", refreshPrefix: "rft.", postAuth: true, lifetime: 2 * time.Hour, expires: true, rotates: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			answer["scope"], answer["open_id"], answer["refresh_expires_in"] = words(t.scopes, ","), openID(t.who), 15_552_000
			return answer
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			return plain.status, map[string]any{"error": plain.name, "error_description": sentence, "log_id": who(sentence).letters("log", 20)}
		},

		revokeWith: func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
			s.revokeForm(w, r, d, revokeForm{client: true, accessOnly: true, whole: true})
		},

		userinfoNeeds: []string{"user.info.basic"},
		userinfoCheck: func(_ *http.Request, v view) (int, any) {
			fields := strings.Split(v.query.Get("fields"), ",")
			for _, f := range fields {
				switch f {
				case "open_id", "union_id", "avatar_url", "display_name":
				case "username", "bio_description", "is_verified", "profile_deep_link":
					if !v.has("user.info.profile") {
						return http.StatusUnauthorized, tiktokError("scope_not_authorized")
					}
				default:
					return http.StatusBadRequest, tiktokError("invalid_params")
				}
			}
			return 0, nil
		},
		userinfo: func(v view) any {
			all := map[string]any{
				"open_id": openID(v.identity), "union_id": who(v.Account).letters("tiktok-union", 32), "avatar_url": v.origin + iconPath,
				"display_name": v.Name, "username": v.Login,
			}
			user := map[string]any{}
			for f := range strings.SplitSeq(v.query.Get("fields"), ",") {
				user[f] = all[f]
			}
			answer := tiktokError("ok")
			answer["data"] = map[string]any{"user": user}
			return answer
		},
		resources:    []resource{{path: "v2/video/list/", post: true, needs: []string{"video.list"}, data: within("data", within("videos", listOf(itemSamples, "id", "title")))}},
		unauthorized: func(tokenState) any { return tiktokError("access_token_invalid") },
		forbidden:    func(_, _ []string) (int, any) { return http.StatusUnauthorized, tiktokError("scope_not_authorized") },
	}
}

func tiktokError(code string) map[string]any {
	return map[string]any{"data": map[string]any{}, "error": map[string]any{"code": code, "message": "", "log_id": who(code).letters("log", 20)}}
}

// instagramDialect: a code gives a token of an hour, that a token of sixty days, and
// that one renews itself; there is no refresh token.
//
// https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login
func instagramDialect() *dialect {
	const long = 5_183_944 * time.Second
	return &dialect{
		id: "instagram", name: "Instagram", brand: "#ff0069",

		responseType: true, noIssuer: true, pkce: pkceIgnored, scopeNeeded: true,
		scopeSplit: ",", scopeForm: regexp.MustCompile(`^instagram_business_[a-z_]+$`),
		denial: url.Values{"error": {"access_denied"}, "error_reason": {"user_denied"}, "error_description": {"The user denied your request"}},

		accessPrefix: "IGAA", postAuth: true, lifetime: time.Hour, expires: true, refreshless: true,
		answer: func(t issued) map[string]any {
			return map[string]any{"data": []any{map[string]any{
				"access_token": t.access, "user_id": 17_000_000_000_000_000 + who(t.who.Account).number("instagram-app"), "permissions": words(t.scopes, ","),
			}}}
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			kind := "OAuthException"
			status := http.StatusBadRequest
			if key == faultClient {
				sentence = "Invalid platform app"
			}
			return status, map[string]any{"error_type": kind, "code": status, "error_message": sentence}
		},
		revocation: revokeNone,

		open: map[string]func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect){
			"access_token": func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
				q := r.URL.Query()
				if q.Get("client_secret") != clientSecret || q.Get("grant_type") != "ig_exchange_token" {
					writeJSON(w, http.StatusBadRequest, graphFault("Error validating client secret.", 101))
					return
				}
				s.renewItself(w, r, d, long, 0)
			},
			"refresh_access_token": func(s *Server, w http.ResponseWriter, r *http.Request, d *dialect) {
				if q := r.URL.Query(); q.Get("grant_type") != "ig_refresh_token" || q.Has("client_secret") {
					writeJSON(w, http.StatusBadRequest, graphFault("Invalid grant type.", 100))
					return
				}
				s.renewItself(w, r, d, long, 24*time.Hour)
			},
		},

		userinfo: func(v view) any {
			all := map[string]any{
				"user_id": who(v.Account).digits("instagram", 17), "id": who(v.Account).digits("instagram-app", 17), "username": v.Login,
				"name": v.Name, "account_type": "BUSINESS", "profile_picture_url": v.origin + iconPath,
			}
			if fields := v.query.Get("fields"); fields != "" {
				chosen := map[string]any{"id": all["id"]}
				for f := range strings.SplitSeq(fields, ",") {
					if value, ok := all[f]; ok {
						chosen[f] = value
					}
				}
				return chosen
			}
			return map[string]any{"id": all["id"]}
		},
		userinfoNeeds: []string{"instagram_business_basic"},
		resources:     []resource{{path: "me/media", data: within("data", listOf(itemSamples, "id", "caption"))}},
		unauthorized: func(tokenState) any {
			return graphFault("Error validating access token: the session is invalid.", 190)
		},
	}
}

func graphFault(message string, code int) map[string]any {
	return map[string]any{"error": map[string]any{"message": message, "type": "OAuthException", "code": code, "fbtrace_id": who(message).letters("trace", 11)}}
}

// renewItself trades an access token for a longer one of the same grant. One that is
// too young is refused.
func (s *Server) renewItself(w http.ResponseWriter, r *http.Request, d *dialect, lifetime, age time.Duration) {
	if !allowed(w, r, http.MethodGet) {
		return
	}
	out, f := s.grants.prolong(d, r.URL.Query().Get("access_token"), lifetime, age)
	if f != nil {
		status := http.StatusBadRequest
		if f.key == faultServer {
			status = http.StatusInternalServerError
		}
		writeJSON(w, status, graphFault(f.sentence, 190))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, map[string]any{"access_token": out.access, "token_type": "bearer", "expires_in": seconds(out.lifetime)})
}

// prolong issues an access token of the grant of a living one.
func (g *grants) prolong(d *dialect, value string, lifetime, age time.Duration) (issued, *fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	t := g.tokens[value]
	if t == nil || t.refresh || t.grant.dialect != d || t.state(now) != tokenAlive {
		return issued{}, &fault{faultToken, "Error validating access token: the session has expired or is invalid."}
	}
	sc := t.grant.scenario
	if sc.lifetime > 0 {
		lifetime, age = sc.lifetime, 0 // the scenario has no day to wait
	}
	if now.Sub(t.made) < age {
		return issued{}, &fault{faultRequest, "The token must be at least 24 hours old."}
	}
	access := &token{grant: t.grant, value: d.accessPrefix + "L" + newToken(), scopes: t.scopes, made: now, expires: now.Add(lifetime)}
	t.grant.access = g.keep(t.grant.access, access)
	return issued{who: identify(t.grant.account), client: t.grant.client, scopes: t.scopes, access: access.value, lifetime: lifetime, refreshed: true}, nil
}
