package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"patchbay/provider"
	"patchbay/vault"
)

// Wix has no authorization request for apps made today. The owner of a site installs
// the app and comes back with an instance id, for which the app then mints tokens with
// its own credentials, as often as it likes: there is no refresh token, so the instance
// id is kept in its place.
//
// https://dev.wix.com/docs/build-apps/launch-your-app/app-distribution/install-your-app/about-the-external-install-flow
// https://dev.wix.com/docs/build-apps/develop-your-app/access/authentication/authenticate-using-oauth
//
// An instance id in the callback proves nothing: anybody can write one there, and the
// app's credentials mint tokens for every site. So what counts as the code is the
// signed instance, and only what it says is believed.

// wixAuthorize: the callback and our state travel in one parameter.
func wixAuthorize(r Registration, q AuthorizeRequest, params map[string]string) error {
	back, err := url.Parse(r.RedirectURI)
	if err != nil {
		return errors.New("the redirect URI is not valid")
	}
	query := back.Query()
	query.Set("state", q.State)
	back.RawQuery = query.Encode()
	params["appId"] = r.ClientID
	params["postInstallationUrl"] = back.String()
	return nil
}

var wixInstanceID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func wixExchange(c *Client, ctx context.Context, r Registration, signed vault.Secret, callback url.Values) (Tokens, error) {
	refused := func(why string) (Tokens, error) {
		return Tokens{}, &Error{Op: "exchange", Class: ProviderFault, Sent: true, cause: errors.New(why)}
	}
	if app := callback["appId"]; len(app) > 1 || len(app) == 1 && app[0] != r.ClientID {
		return refused("the installation is of another app")
	}
	instance, err := c.wixInstance(ctx, r, signed.Reveal())
	if err != nil {
		return Tokens{}, err
	}
	if !wixInstanceID.MatchString(instance) {
		return refused("the signed instance does not name an installation, or is not signed with this app's secret")
	}
	if named := callback["instanceId"]; len(named) > 1 || len(named) == 1 && !strings.EqualFold(named[0], instance) {
		return refused("the callback names another installation than the signed instance")
	}
	return c.wixMint(ctx, "exchange", r, instance, callback)
}

func wixRefresh(c *Client, ctx context.Context, r Registration, instance vault.Secret) (Tokens, error) {
	return c.wixMint(ctx, "refresh", r, instance.Reveal(), nil)
}

// wixInstance returns the instance id inside a signed instance. The documented form is
// signature.payload, an HMAC-SHA256 with the app's secret; a token with two dots is a
// JWT with a key that the app does not hold, and then Wix is asked what it says.
func (c *Client) wixInstance(ctx context.Context, r Registration, signed string) (string, error) {
	signature, payload, ok := strings.Cut(signed, ".")
	if ok && !strings.Contains(payload, ".") {
		for _, secret := range r.ClientSecrets {
			if said, ok := wixVerify(signature, payload, secret); ok {
				return said.instance(r.ClientID, c.now()), nil
			}
		}
		return "", nil
	}
	if strings.Count(signed, ".") != 2 {
		return "", nil
	}
	u, err := url.Parse(r.Endpoints.Token)
	if err != nil {
		return "", &Error{Op: "exchange", Class: ConnectorFault, reason: "the token address is not valid"}
	}
	u.Path += "-info"
	header := headers(nil)
	a, err := c.send(ctx, call{"exchange", "POST", u.String(), header, encode("json", map[string]string{"token": signed}, header)})
	if err != nil {
		return "", err
	}
	if code, bad := errorIn(r.Entry, a.value); bad || !a.ok() {
		return "", a.failed("exchange", r.Entry, code)
	}
	if app := text(lookup(a.value, "clientId")); app != "" && app != r.ClientID {
		return "", nil
	}
	return text(lookup(a.value, "instanceId")), nil
}

// wixSigned is what a signed instance says.
type wixSigned struct {
	InstanceID string    `json:"instanceId"`
	AppID      string    `json:"appDefId"`
	SignedAt   time.Time `json:"signDate"`
}

// instance returns the instance id of what was signed for this app just now: an old
// one may have been read from somebody's history.
func (w wixSigned) instance(app string, now time.Time) string {
	if w.AppID != "" && w.AppID != app || !w.SignedAt.IsZero() && (now.Sub(w.SignedAt) > time.Hour || w.SignedAt.Sub(now) > 5*time.Minute) {
		return ""
	}
	return w.InstanceID
}

func wixVerify(signature, payload string, secret vault.Secret) (wixSigned, bool) {
	sum, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(signature, "="))
	if err != nil || secret.IsZero() {
		return wixSigned{}, false
	}
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte(payload))
	if !hmac.Equal(sum, mac.Sum(nil)) {
		return wixSigned{}, false
	}
	plain, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return wixSigned{}, false
	}
	var said wixSigned
	return said, json.Unmarshal(plain, &said) == nil
}

// wixMint gets a token with the client's credentials. A refusal means that the app is
// no longer installed there, or that the credentials are wrong; Wix does not tell which,
// so only its own code for the client blames the client.
func (c *Client) wixMint(ctx context.Context, op string, r Registration, instance string, callback url.Values) (Tokens, error) {
	t, err := c.token(ctx, op, r, r.Endpoints.Token, map[string]string{
		"grant_type": "client_credentials", "instance_id": instance,
	}, callback)
	if err != nil {
		return Tokens{}, err
	}
	t.RefreshToken = vault.NewSecret(instance)
	if _, lists := configValue(r.Entry, "instance_id"); lists {
		t.addConfig(map[string]string{"instance_id": instance})
	}
	return t, nil
}

func configValue(e *provider.Entry, name string) (*provider.ConfigValue, bool) {
	for i := range e.ConnectionConfig {
		if e.ConnectionConfig[i].Name == name {
			return &e.ConnectionConfig[i], true
		}
	}
	return nil, false
}
