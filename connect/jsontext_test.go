package connect

import "testing"

func TestValidJSONText(t *testing.T) {
	for text, want := range map[string]bool{
		``: true, `{"sub":"dana"}`: true, `"\u00e9 \n \\ \" \ud83d\ude00 é 😀"`: true, `"\ufffd �"`: true,
		`"\\ud800"`: true, `"\`: true, `"\u12`: true,
		`"\ud800"`: false, `"\udc00"`: false, `"\udc00\ud800"`: false, `"\ud800x"`: false, `"\ud800\n"`: false, `"\ud800\ud800"`: false,
		"\"\xff\"": false, "\"\xed\xa0\x80\"": false, "\"\xc0\xaf\"": false,
	} {
		if got := ValidJSONText([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
