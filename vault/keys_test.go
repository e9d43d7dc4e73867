package vault

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestParseKeysReadsEveryBase64(t *testing.T) {
	raw := []byte("\xfb\xff\xfe keys of thirty-two bytes \xfb\xef\xbe")
	if len(raw) != keySize {
		t.Fatal(len(raw))
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		r, err := ParseKeys(NewSecret("k1:" + enc.EncodeToString(raw)))
		if err != nil {
			t.Errorf("%s: %v", enc.EncodeToString(raw), err)
			continue
		}
		if string(r.keys[0].secret().root) != string(raw) {
			t.Error("another key was read")
		}
	}
	r, err := ParseKeys(NewSecret(" " + line("b") + " ,\n" + line("a") + "\n"))
	if err != nil || strings.Join(r.IDs(), " ") != "b a" {
		t.Errorf("with spaces around: %v, %v", r, err)
	}
}

func TestParseKeysRefuses(t *testing.T) {
	_, good, _ := strings.Cut(line("good"), ":")
	zero := base64.StdEncoding.EncodeToString(make([]byte, keySize))
	ones := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("1", keySize)))
	for name, test := range map[string]struct{ keys, want string }{
		"nothing":           {"", "there is no key"},
		"blank":             {" \n", "there is no key"},
		"no id":             {good, "entry 1: has no colon"},
		"empty id":          {":" + good, "entry 1: its id is not"},
		"long id":           {strings.Repeat("k", 33) + ":" + good, "entry 1: its id is not"},
		"strange id":        {"k.1:" + good, "entry 1: its id is not"},
		"turned round":      {good + ":k1", "entry 1: its id is not"},
		"too many commas":   {line("a") + "," + line("b") + ",", "entry 3: is empty"},
		"not base64":        {"k1:" + strings.Repeat("!", 44), `entry 1: key "k1" is not base64`},
		"a line end in it":  {"k1:" + good[:20] + "\n" + good[20:], `entry 1: key "k1" is not base64`},
		"16 bytes":          {"k1:MDEyMzQ1Njc4OWFiY2RlZg==", `entry 1: key "k1" has 16 bytes`},
		"no bytes":          {"k1:", `entry 1: key "k1" has 0 bytes`},
		"the same id":       {line("a") + ",a:" + good, `entry 2: the id "a" is used twice`},
		"the same key":      {line("a") + ",b" + strings.TrimPrefix(line("a"), "a"), `entry 2: is the same key as "a"`},
		"zeroes":            {"k1:" + zero, `entry 1: key "k1" is a sample`},
		"one byte repeated": {"k1:" + ones, `entry 1: key "k1" is a sample`},
	} {
		_, err := ParseKeys(NewSecret(test.keys))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v; want %s", name, err, test.want)
		}
	}
	for _, sample := range SampleKeys() {
		if _, err := ParseKeys(NewSecret(sample)); err == nil || !strings.Contains(err.Error(), "is a sample") {
			t.Errorf("%s: %v", sample, err)
		}
	}
}

func TestParseKeysReportsEverythingAndShowsNoKey(t *testing.T) {
	const canary = "CANARYcanaryCANARYcanaryCANARYcanaryCANARY0="
	_, err := ParseKeys(NewSecret(strings.Join([]string{
		canary, "k1:" + canary[1:], canary + ":k1", "k2:!" + canary, "k3:" + canary, "k3:" + canary, "",
	}, ",")))
	if err == nil {
		t.Fatal("no error")
	}
	for _, n := range []int{1, 2, 3, 4, 6, 7} {
		if !strings.Contains(err.Error(), fmt.Sprintf("entry %d: ", n)) {
			t.Errorf("entry %d is not reported", n)
		}
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 6 {
		t.Errorf("%d lines, want 6:\n%v", lines, err)
	}
	if strings.Contains(strings.ToLower(err.Error()), "canary") {
		t.Errorf("shows a key: %v", err)
	}
}

func TestNewKeyLine(t *testing.T) {
	now := time.Date(2026, 11, 23, 23, 30, 0, 0, time.FixedZone("", -3*3600)) // the 24th in UTC
	first, err := NewKeyLine(now)
	if err != nil || !regexp.MustCompile(`^k20261124-[0-9a-f]{4}:[A-Za-z0-9+/]{43}=$`).MatchString(first) {
		t.Fatalf("NewKeyLine = %q, %v", first, err)
	}
	second, err := NewKeyLine(now)
	if err != nil || first == second {
		t.Fatalf("two keys are equal: %v", err)
	}
	if _, err := ParseKeys(NewSecret(second + "," + first)); err != nil {
		t.Error(err)
	}
}

func TestPrintingARingShowsNoKey(t *testing.T) {
	r := ring(t, "canary-key")
	type holder struct {
		ring *Ring
		keys []key
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{r, *r, r.keys, r.keys[0], holder{r, r.keys}, &holder{r, r.keys}} {
			got := fmt.Sprintf(verb, v)
			for _, leak := range []string{"####", "0x23, 0x23", "35 35", "2323"} {
				if strings.Contains(got, leak) {
					t.Errorf("%s of %T shows the key: %s", verb, v, got)
				}
			}
		}
	}
}
