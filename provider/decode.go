package provider

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFile is the size of the largest provider file that is read, in bytes.
const maxFile = 256 << 10

// file is a provider file while it is read and checked. Positions are kept by path
// ("scopes.known.3.ability"), so that a check far from the text can point at it.
type file struct {
	name     string
	entry    Entry
	nodes    map[string]*yaml.Node
	problems Problems
}

// parseFile decodes and checks text. Problems are left in the result.
// A file that wants discovery gets it from ask.
func parseFile(name string, text []byte, ask Discover) *file {
	f := &file{name: name, nodes: map[string]*yaml.Node{}}
	root, ok := f.parse(text)
	if !ok {
		return f
	}
	f.decode("", root, reflect.ValueOf(&f.entry).Elem())
	f.discover(ask)
	setDefaults(&f.entry)
	f.check()
	return f
}

func (f *file) parse(text []byte) (*yaml.Node, bool) {
	fail := func(line, column int, reason string) (*yaml.Node, bool) {
		f.problems = append(f.problems, Problem{f.name, max(line, 1), max(column, 1), reason})
		return nil, false
	}
	if len(text) > maxFile {
		return fail(1, 1, fmt.Sprintf("the file is larger than %d KiB", maxFile>>10))
	}
	if !utf8.Valid(text) {
		return fail(1, 1, "the file is not UTF-8")
	}
	var doc yaml.Node
	if err := yaml.Load(text, &doc); err != nil {
		var bad *yaml.LoadError
		if errors.As(err, &bad) {
			return fail(bad.Mark.Line, bad.Mark.Column, bad.Message)
		}
		return fail(1, 1, err.Error())
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return fail(1, 1, "the file must hold one YAML document")
	}
	return doc.Content[0], true
}

// problem notes a mistake at a path, or at the nearest thing around it that exists.
func (f *file) problem(path, format string, args ...any) {
	n := f.node(path)
	f.problems = append(f.problems, Problem{f.name, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

func (f *file) node(path string) *yaml.Node {
	for {
		if n, ok := f.nodes[path]; ok {
			return n
		}
		cut := strings.LastIndexByte(path, '.')
		if path == "" {
			return &yaml.Node{Line: 1, Column: 1}
		}
		path = path[:max(cut, 0)]
	}
}

func (f *file) position(path string) string {
	n := f.node(path)
	return fmt.Sprintf("%s:%d:%d", f.name, n.Line, n.Column)
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	patternType  = reflect.TypeFor[*regexp.Regexp]()
)

// decode fills v from n. Every kind of value that an Entry is made of is handled
// here, and nothing else.
func (f *file) decode(path string, n *yaml.Node, v reflect.Value) {
	f.nodes[path] = n
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		f.problem(path, "anchors and aliases are not used in provider files")
		return
	}
	switch {
	case v.Type() == durationType:
		f.decodeDuration(path, n, v)
	case v.Type() == patternType:
		f.decodePattern(path, n, v)
	case v.Kind() == reflect.Struct:
		f.decodeStruct(path, n, v)
	case v.Kind() == reflect.Map:
		f.decodeMap(path, n, v)
	case v.Kind() == reflect.Slice:
		f.decodeList(path, n, v)
	case v.Kind() == reflect.String:
		if text, ok := f.scalar(path, n); ok {
			v.SetString(text)
		}
	case v.Kind() == reflect.Bool:
		if text, ok := f.scalar(path, n); ok {
			if text != "true" && text != "false" {
				f.problem(path, "must be true or false")
			}
			v.SetBool(text == "true")
		}
	case v.Kind() == reflect.Int:
		if text, ok := f.scalar(path, n); ok {
			number, err := strconv.Atoi(text)
			if err != nil {
				f.problem(path, "must be a whole number")
			}
			v.SetInt(int64(number))
		}
	default:
		panic("provider: no decoder for " + v.Type().String())
	}
}

func (f *file) decodeStruct(path string, n *yaml.Node, v reflect.Value) {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("yaml")] = v.Field(i)
	}
	f.pairs(path, n, func(key string, value *yaml.Node) {
		field, ok := fields[key]
		if !ok {
			f.problem(join(path, key), "unknown field %q", key)
			return
		}
		f.decode(join(path, key), value, field)
	})
}

func (f *file) decodeMap(path string, n *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	f.pairs(path, n, func(key string, value *yaml.Node) {
		element := reflect.New(v.Type().Elem()).Elem()
		f.decode(join(path, key), value, element)
		v.SetMapIndex(reflect.ValueOf(key), element)
	})
}

// pairs calls each for the pairs of a mapping. The value's path points at the key
// until each decodes it.
func (f *file) pairs(path string, n *yaml.Node, each func(key string, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		f.problem(path, "must be a mapping (name: value)")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		name := key.Value
		if key.Kind != yaml.ScalarNode || name == "" {
			f.problems = append(f.problems, Problem{f.name, key.Line, key.Column, "a name must be text"})
			continue
		}
		if seen[name] {
			f.problems = append(f.problems, Problem{f.name, key.Line, key.Column, fmt.Sprintf("%q is given twice", name)})
			continue
		}
		seen[name] = true
		f.nodes[join(path, name)] = key
		each(name, n.Content[i+1])
	}
}

// decodeList reads a sequence; a single text stands for a list of one.
func (f *file) decodeList(path string, n *yaml.Node, v reflect.Value) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	} else if n.Kind != yaml.ScalarNode || v.Type().Elem().Kind() != reflect.String {
		f.problem(path, "must be a list")
		return
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		f.decode(join(path, strconv.Itoa(i)), item, list.Index(i))
	}
	v.Set(list)
}

func (f *file) scalar(path string, n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		f.problem(path, "must be a single value")
		return "", false
	}
	if n.ShortTag() == "!!null" {
		f.problem(path, "has no value; leave the field out instead")
		return "", false
	}
	return n.Value, true
}

func (f *file) decodePattern(path string, n *yaml.Node, v reflect.Value) {
	text, ok := f.scalar(path, n)
	if !ok {
		return
	}
	pattern, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		f.problem(path, "the pattern does not compile: %v", err)
		return
	}
	v.Set(reflect.ValueOf(pattern))
}

var durationUnits = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}

// decodeDuration reads a whole number and one of the units s, m, h, d.
func (f *file) decodeDuration(path string, n *yaml.Node, v reflect.Value) {
	text, ok := f.scalar(path, n)
	if !ok {
		return
	}
	if text != "" {
		last := len(text) - 1
		unit, known := durationUnits[text[last]]
		number, err := strconv.Atoi(text[:last])
		if known && err == nil && number > 0 && number < 100_000 {
			v.SetInt(int64(time.Duration(number) * unit))
			return
		}
	}
	f.problem(path, "must be a duration such as 30s, 10m, 1h or 180d")
}

// setDefaults fills in what a file may leave out.
func setDefaults(e *Entry) {
	text := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	list := func(field *[]string, values ...string) {
		if *field == nil {
			*field = slices.Clone(values)
		}
	}
	text(&e.Client.IDParam, "client_id")
	text(&e.Authorize.CodeParam, "code")
	text(&e.Scopes.Param, "scope")
	text(&e.Scopes.Separator, " ")
	list(&e.OpenID.Algs, "RS256")
	text(&e.Token.Body, "form")
	list(&e.Token.At, ".")
	list(&e.Token.Types, "bearer")
	text(&e.Token.ScopeAt, "scope")
	text(&e.Refresh.Rotation, "none")
	text(&e.Revoke.Method, "POST")
	text(&e.Revoke.Body, "form")
	text(&e.Revoke.Token, "refresh")
	if e.Revoke.Style == "rfc7009" && e.Revoke.Fields == nil {
		e.Revoke.Fields = map[string]string{"token": "{token}"}
	}
	text(&e.Account.From, "url")
	text(&e.Account.Method, "GET")
	list(&e.Errors.At, "error")
	for i := range e.ConnectionConfig {
		text(&e.ConnectionConfig[i].From, "answer")
	}
	text(&e.RedirectURI.HTTP, "never")
	text(&e.RedirectURI.Match, "exact")
}
