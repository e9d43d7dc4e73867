package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a parsed answer, so that 1 MiB of text cannot become much more memory.
const (
	maxDepth  = 64
	maxValues = 20_000
)

// parseBody reads an answer: JSON whatever its type says, or a form if its type says
// so. A form is returned as a map of strings, like a JSON object. Duplicate names are
// an error in both, for two readers may take different ones.
func parseBody(body []byte, contentType string) (any, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if !utf8.Valid(body) {
		return nil, errors.New("the answer is not UTF-8")
	}
	media, _, _ := mime.ParseMediaType(contentType)
	if media == "application/x-www-form-urlencoded" && !bytes.HasPrefix(body, []byte("{")) {
		return parseForm(string(body))
	}
	return parseJSON(body)
}

func parseForm(body string) (any, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, errors.New("the answer is not a valid form")
	}
	if len(values) > maxValues {
		return nil, errors.New("the answer holds too many values")
	}
	object := map[string]any{}
	for name, all := range values {
		if len(all) > 1 {
			return nil, errors.New("the answer names something twice")
		}
		object[name] = all[0]
	}
	return object, nil
}

// parseJSON is encoding/json with numbers kept as written, no duplicate names, and
// limits.
func parseJSON(body []byte) (any, error) {
	if !json.Valid(body) {
		return nil, errors.New("the answer is not JSON")
	}
	r := jsonReader{dec: json.NewDecoder(bytes.NewReader(body))}
	r.dec.UseNumber()
	return r.value(0)
}

type jsonReader struct {
	dec    *json.Decoder
	values int
}

func (r *jsonReader) value(depth int) (any, error) {
	if r.values++; r.values > maxValues || depth > maxDepth {
		return nil, errors.New("the answer is too deep or holds too many values")
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return r.object(depth)
	case json.Delim('['):
		return r.list(depth)
	}
	return token, nil
}

func (r *jsonReader) object(depth int) (any, error) {
	object := map[string]any{}
	for r.dec.More() {
		key, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("unexpected %T in the answer", key)
		}
		if _, twice := object[name]; twice {
			return nil, errors.New("the answer names something twice")
		}
		if object[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := r.dec.Token()
	return object, err
}

func (r *jsonReader) list(depth int) (any, error) {
	list := []any{}
	for r.dec.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	_, err := r.dec.Token()
	return list, err
}

// lookup follows a path of names and, for lists, positions: "data.0.id". "." is the
// value itself. What is not there is nil.
func lookup(value any, path string) any {
	if path == "." {
		return value
	}
	for step := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// text returns a single value as text; "" for null, lists and objects.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	default:
		return ""
	}
}
