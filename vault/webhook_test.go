package vault

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// The example of the Standard Webhooks specification's reference libraries.
func TestSignWebhook(t *testing.T) {
	key, err := WebhookKey(NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	if err != nil {
		t.Fatal(err)
	}
	got := SignWebhook(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

func TestWebhookKey(t *testing.T) {
	raw := strings.Repeat("k", 32)
	for text, good := range map[string]bool{
		"whsec_" + base64.StdEncoding.EncodeToString([]byte(raw)): true, base64.StdEncoding.EncodeToString([]byte(raw)): true,
		"a plain text of 24 bytes or more": true, "short": false, "": false, "whsec_": false, "whsec_not base64 at all, but long enough": false,
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)): false,
	} {
		if _, err := WebhookKey(NewSecret(text)); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
