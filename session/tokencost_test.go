package session

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"runtime"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"patchbay/connect"
	"patchbay/vault"
)

// A token that is long, or says that it unpacks to more, is refused before it costs
// anything. Not parallel: what is allocated meanwhile is counted.
func TestVerifySpendsNothingOnBombs(t *testing.T) {
	const secret = "a secret of thirty-two bytes or more"
	app := &connect.App{ID: "acme", UserTokens: connect.UserTokens{HS256Secret: vault.NewSecret(secret)}}
	long := claims()
	long["x"] = strings.Repeat("x", 4<<20)
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	tokens := map[string]string{
		"4 MB, well signed": sign(t, jose.HS256, []byte(secret), nil, long),
		"an encrypted one that unpacks to 8 MB": enc([]byte(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`)) + ".." +
			enc(make([]byte, 12)) + "." + enc(packed.Bytes()) + "." + enc(make([]byte, 16)),
	}
	for name, token := range tokens {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := checker(nil).Verify(t.Context(), app, token)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: taken", name)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 256<<10 {
			t.Errorf("%s: %d KiB were allocated", name, spent>>10)
		}
	}
}
