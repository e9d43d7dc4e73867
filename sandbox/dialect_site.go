package sandbox

import (
	"net/http"
	"time"
)

func siteDialects() []*dialect { return []*dialect{wixDialect()} }

// wixDialect: an app is installed on a site, and mints tokens of four hours for it. See
// install.go.
//
// https://dev.wix.com/docs/build-apps/develop-your-app/access/authentication/authenticate-using-oauth
func wixDialect() *dialect {
	return &dialect{
		id: "wix", name: "Wix", brand: "#0c6efc",

		clientParam: "appId", installs: true, noIssuer: true, scopeless: true,

		accessPrefix: "OauthNG.JWS.", postAuth: true, body: bodyJSON, lifetime: 14_400 * time.Second, expires: true,
		answer: func(t issued) map[string]any {
			answer := plainAnswer(t)
			delete(answer, "scope")
			return answer
		},
		fault: func(key faultKey, sentence string) (int, map[string]any) {
			plain := plainFaults[key]
			return plain.status, map[string]any{"error": plain.name, "error_description": sentence, "message": sentence, "details": map[string]any{}}
		},
		revocation: revokeNone,

		userinfo: func(v view) any {
			return map[string]any{
				"instance": map[string]any{"instanceId": v.install, "appName": "Acme", "isFree": true, "permissions": []string{"SCOPE.DEV_CENTER.APP-INSTANCE-READ-BASIC-INFO"}},
				"site": map[string]any{
					"siteDisplayName": v.Name + "'s site", "url": "https://" + slug(v.Name) + ".wixsite.example", "siteId": guid(v.Account, "site"),
					"ownerInfo": map[string]any{"email": v.Email},
				},
			}
		},
		resources: []resource{{path: "stores/v1/products/query", post: true, data: within("products", listOf(itemSamples, "id", "name"))}},
		unauthorized: func(tokenState) any {
			return map[string]any{"message": "Unauthorized", "details": map[string]any{"applicationError": map[string]any{"code": "UNAUTHENTICATED"}}}
		},
		notFound: map[string]any{"message": http.StatusText(http.StatusNotFound), "details": map[string]any{}},
	}
}
