package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// line returns an entry for a key that is different for each id.
func line(id string) string {
	raw := bytes.Repeat([]byte{'#'}, keySize)
	copy(raw, id)
	return id + ":" + base64.StdEncoding.EncodeToString(raw)
}

func ring(t testing.TB, ids ...string) *Ring {
	t.Helper()
	lines := make([]string, len(ids))
	for i, id := range ids {
		lines[i] = line(id)
	}
	r, err := ParseKeys(NewSecret(strings.Join(lines, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var place = Context{App: "acme", Connector: "cal", User: "dana", Row: "17", Purpose: "refresh"}

func seal(t testing.TB, r *Ring, plain string) []byte {
	t.Helper()
	sealed, err := r.Seal(place, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	r := ring(t, "k1")
	for _, plain := range []string{"", "x", strings.Repeat("long ", 1000)} {
		sealed := seal(t, r, plain)
		if len(plain) > 8 && bytes.Contains(sealed, []byte(plain)) { // one byte may well occur by chance
			t.Error("the record shows what it holds")
		}
		got, err := r.Open(place, sealed)
		if err != nil || string(got) != plain {
			t.Errorf("Open = %q, %v; want %q", got, err, plain)
		}
		if want := 30 + len("k1") + len(plain); len(sealed) != want {
			t.Errorf("the record has %d bytes, want %d", len(sealed), want)
		}
	}
	if bytes.Equal(seal(t, r, "x"), seal(t, r, "x")) {
		t.Error("two records of one value are equal")
	}
}

func TestOpenWantsTheSameContext(t *testing.T) {
	r := ring(t, "k1")
	sealed := seal(t, r, "token")
	for name, change := range map[string]func(*Context){
		"app":       func(c *Context) { c.App = "other" },
		"connector": func(c *Context) { c.Connector = "mail" },
		"user":      func(c *Context) { c.User = "sam" },
		"row":       func(c *Context) { c.Row = "18" },
		"purpose":   func(c *Context) { c.Purpose = "access" },
		"no app":    func(c *Context) { c.App = "" },
		"no user":   func(c *Context) { c.User = "" },
		"swapped":   func(c *Context) { c.App, c.Connector = c.Connector, c.App },
		"shifted":   func(c *Context) { c.App, c.Connector = "acmec", "al" },
		"merged":    func(c *Context) { c.App, c.Connector = "acmecal", "" },
	} {
		ctx := place
		change(&ctx)
		if plain, err := r.Open(ctx, sealed); !errors.Is(err, ErrIntegrity) || plain != nil {
			t.Errorf("%s: Open = %q, %v; want ErrIntegrity", name, plain, err)
		}
	}
}

func TestSealWantsAPurpose(t *testing.T) {
	if _, err := ring(t, "k1").Seal(Context{App: "acme"}, []byte("x")); err == nil {
		t.Error("Seal without a purpose succeeded")
	}
}

func TestOpenRefusesEveryFlippedBit(t *testing.T) {
	r := ring(t, "k1", "k0", "j1") // flips of the id reach some of these
	sealed := seal(t, r, "token")
	for bit := range len(sealed) * 8 {
		changed := bytes.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		plain, err := r.Open(place, changed)
		if plain != nil || !(errors.Is(err, ErrIntegrity) || errors.Is(err, ErrUnknownKey)) {
			t.Fatalf("bit %d: Open = %q, %v", bit, plain, err)
		}
	}
	for n := range sealed {
		if _, err := r.Open(place, sealed[:n]); !errors.Is(err, ErrIntegrity) {
			t.Fatalf("first %d bytes: %v", n, err)
		}
	}
	if _, err := r.Open(place, append(bytes.Clone(sealed), 0)); !errors.Is(err, ErrIntegrity) {
		t.Fatalf("a byte more: %v", err)
	}
}

func TestNewestKeySealsAndEveryKeyOpens(t *testing.T) {
	before := ring(t, "old")
	after := ring(t, "new", "old")
	sealed := seal(t, before, "token")
	if plain, err := after.Open(place, sealed); err != nil || string(plain) != "token" {
		t.Errorf("the old key does not open: %q, %v", plain, err)
	}
	if id, err := KeyID(seal(t, after, "token")); id != "new" || err != nil {
		t.Errorf("sealed with %q, %v; want new", id, err)
	}
	if id, err := KeyID(sealed); id != "old" || err != nil {
		t.Errorf("KeyID = %q, %v; want old", id, err)
	}
	if after.NewestID() != "new" || !after.Has("old") || after.Has("none") || strings.Join(after.IDs(), " ") != "new old" {
		t.Errorf("ids: %v", after)
	}
}

func TestOpenNamesTheKeyThatIsMissing(t *testing.T) {
	_, err := ring(t, "new").Open(place, seal(t, ring(t, "old-2025"), "token"))
	if !errors.Is(err, ErrUnknownKey) || !strings.Contains(err.Error(), `"old-2025"`) {
		t.Errorf("Open = %v", err)
	}
}

func TestOpenWithAnotherKeyOfTheSameID(t *testing.T) {
	_, text, _ := strings.Cut(line("other"), ":")
	impostor, err := ParseKeys(NewSecret("k1:" + text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := impostor.Open(place, seal(t, ring(t, "k1"), "token")); !errors.Is(err, ErrIntegrity) {
		t.Errorf("Open = %v, want ErrIntegrity", err)
	}
}

func TestMAC(t *testing.T) {
	old, both := ring(t, "old"), ring(t, "new", "old")
	data := []byte("session 1")
	mac := old.MAC("cookie", data)
	if len(mac) != 32 || bytes.Equal(mac, both.MAC("cookie", data)) {
		t.Errorf("MAC = %x", mac)
	}
	for name, test := range map[string]struct {
		ring    *Ring
		purpose string
		data    string
		mac     []byte
		want    bool
	}{
		"same ring":       {old, "cookie", "session 1", mac, true},
		"an older key":    {both, "cookie", "session 1", mac, true},
		"the newest key":  {both, "cookie", "session 1", both.MAC("cookie", data), true},
		"cut to 16":       {both, "cookie", "session 1", mac[:16], true},
		"cut to 15":       {both, "cookie", "session 1", mac[:15], false},
		"empty":           {both, "cookie", "session 1", nil, false},
		"too long":        {both, "cookie", "session 1", append(bytes.Clone(mac), 0), false},
		"another purpose": {both, "flow", "session 1", mac, false},
		"other data":      {both, "cookie", "session 2", mac, false},
		"another ring":    {ring(t, "new"), "cookie", "session 1", mac, false},
	} {
		if got := test.ring.CheckMAC(test.purpose, []byte(test.data), test.mac); got != test.want {
			t.Errorf("%s: CheckMAC = %v", name, got)
		}
	}
}

// A purpose cannot name the subkey that seals.
func TestUsesHaveSubkeysOfTheirOwn(t *testing.T) {
	k := ring(t, "k1").keys[0]
	seen := map[string]string{}
	for _, use := range []string{"seal", "mac:", "mac:seal", "mac:cookie"} {
		sub := string(k.subkey(use))
		if other, ok := seen[sub]; ok || sub == string(k.secret().root) {
			t.Errorf("%q has the subkey of %q", use, other)
		}
		seen[sub] = use
	}
}

func TestRingServesManyAtOnce(t *testing.T) {
	r := ring(t, "new", "old")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				sealed, err := r.Seal(place, []byte("token"))
				if err != nil {
					t.Error(err)
					return
				}
				if plain, err := r.Open(place, sealed); err != nil || string(plain) != "token" {
					t.Errorf("Open = %q, %v", plain, err)
				}
				if !r.CheckMAC("cookie", sealed, r.MAC("cookie", sealed)) {
					t.Error("CheckMAC = false")
				}
			}
		})
	}
	wg.Wait()
}

// FuzzOpen feeds records that nobody sealed: they never open and never panic. The
// key is a new one, for the seeds come from another process and would open here.
func FuzzOpen(f *testing.F) {
	line, err := NewKeyLine(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	r, err := ParseKeys(NewSecret(line))
	if err != nil {
		f.Fatal(err)
	}
	sealed := seal(f, r, "token")
	for _, seed := range [][]byte{nil, {recordVersion}, {recordVersion, 255}, sealed[:len(sealed)-1], append(bytes.Clone(sealed), 1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		if id, err := KeyID(record); err == nil && !validID(id) {
			t.Errorf("KeyID = %q", id)
		}
		plain, err := r.Open(place, record)
		if err == nil && !bytes.Equal(record, sealed) {
			t.Errorf("opened: %q", plain)
		}
		if err != nil && !errors.Is(err, ErrIntegrity) && !errors.Is(err, ErrUnknownKey) {
			t.Errorf("Open: %v", err)
		}
	})
}

func BenchmarkSeal2KB(b *testing.B) {
	r, plain := ring(b, "k1"), make([]byte, 2048)
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		if _, err := r.Seal(place, plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen2KB(b *testing.B) {
	r := ring(b, "k3", "k2", "k1")
	sealed := seal(b, r, strings.Repeat("x", 2048))
	b.SetBytes(2048)
	for b.Loop() {
		if _, err := r.Open(place, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
