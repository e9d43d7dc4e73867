package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// errWebhookSecret never holds the secret.
var errWebhookSecret = errors.New("is no secret of a webhook: write whsec_ and the base64 of 24 to 64 random bytes, as echo whsec_$(openssl rand -base64 32) makes it")

// WebhookKey returns the bytes that a webhook's secret stands for (Standard Webhooks,
// "Signature scheme"): the base64 behind whsec_, or without that prefix the base64 or,
// where it is none, the text itself; 24 to 64 bytes.
func WebhookKey(secret Secret) ([]byte, error) {
	text, marked := strings.CutPrefix(secret.Reveal(), "whsec_")
	if raw, ok := decodeBase64(text); ok && len(raw) >= 24 && len(raw) <= 64 {
		return raw, nil
	}
	if !marked && len(text) >= 24 && len(text) <= 64 {
		return []byte(text), nil
	}
	return nil, errWebhookSecret
}

// SignWebhook returns the value of the header webhook-signature for a message.
func SignWebhook(key []byte, id string, at time.Time, body []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}
