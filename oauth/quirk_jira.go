package oauth

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// jiraSites asks which Atlassian sites the token reaches
// (https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/#implementing-oauth-2-0--3lo-).
// The one that the person named before the flow, else the only one, becomes cloud_id
// and site_url. With several and none named, none is guessed, for a wrong guess writes
// into somebody else's site: site_urls then lists them. The same site is listed once
// for each product.
func jiraSites(c *Client, ctx context.Context, r Registration, t *Tokens) error {
	address := apiAddress(r, "/oauth/token/accessible-resources")
	if address == "" {
		return nil // a token endpoint of the operator's, and an API that is not known
	}
	value, err := c.ask(ctx, r, *t, "GET", address, nil)
	if err != nil {
		return err
	}
	list, _ := value.([]any)
	want := ""
	if site := filled(r.Entry, r.Params)["subdomain"]; site != "" {
		want = "https://" + strings.ToLower(site) + ".atlassian.net"
	}
	var ids, urls []string
	for _, item := range list {
		id, at := text(lookup(item, "id")), strings.TrimRight(text(lookup(item, "url")), "/")
		if !tenantID.MatchString(id) || slices.Contains(ids, id) || want != "" && at != want {
			continue
		}
		ids, urls = append(ids, id), append(urls, at)
	}
	switch {
	case len(ids) == 0 && want != "":
		return &Error{Op: "account", Class: ProviderFault, Status: 200, Sent: true, cause: errors.New("the person gave no access to the site that was named")}
	case len(ids) == 0:
		return &Error{Op: "account", Class: ProviderFault, Status: 200, Sent: true, cause: errors.New("the token reaches no site")}
	case len(ids) == 1:
		t.addConfig(map[string]string{"cloud_id": ids[0], "site_url": urls[0]})
	default:
		t.addConfig(map[string]string{"site_urls": strings.Join(urls, " ")})
	}
	return nil
}
