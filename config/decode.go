package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	maxProblems = 1000    // that one reading reports
	maxNodes    = 1 << 18 // that one reading visits, so that aliases cannot multiply without end
)

// decoder walks the nodes of one apps file. Its methods take nil for what is
// absent, return the zero value for what is wrong, and report that.
type decoder struct {
	file  string
	files fs.FS
	env   func(string) (string, bool)
	check Checker

	visited int
	names   map[*yaml.Node]string // fields that values and items belong to
	reports []report
	seen    map[report]bool // an alias may bring one problem twice
}

func newDecoder(file string, files fs.FS, env func(string) (string, bool), check Checker) *decoder {
	return &decoder{file: file, files: files, env: env, check: check,
		names: map[*yaml.Node]string{}, seen: map[report]bool{}}
}

type report struct {
	line, col int
	text      string
}

// report adds a problem. A sentence about a value follows the name of its field.
func (d *decoder) report(at *yaml.Node, text string) {
	if name := d.names[at]; name != "" && !strings.HasPrefix(text, name+" ") {
		text = name + ": " + text
	}
	r := report{max(at.Line, 1), max(at.Column, 1), text}
	if !d.seen[r] && len(d.reports) < maxProblems {
		d.seen[r] = true
		d.reports = append(d.reports, r)
	}
}

func (d *decoder) reportf(at *yaml.Node, format string, args ...any) {
	d.report(at, fmt.Sprintf(format, args...))
}

func (d *decoder) pos(n *yaml.Node) Pos { return Pos{d.file, n.Line, n.Column} }

// err returns the problems in the order of the file.
func (d *decoder) err() error {
	slices.SortStableFunc(d.reports, func(a, b report) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col))
	})
	var problems Problems
	for _, r := range d.reports {
		problems = append(problems, Problem{Pos{d.file, r.line, r.col}.String(), r.text})
	}
	return problems.err()
}

// resolve follows an alias and refuses tags that mean another type. It returns nil
// once the walk has become too long.
func (d *decoder) resolve(n *yaml.Node) *yaml.Node {
	if d.visited++; d.visited > maxNodes {
		if d.visited == maxNodes+1 {
			d.report(n, "the file has too many values: remove aliases (*name) that repeat others")
		}
		return nil
	}
	for n.Kind == yaml.AliasNode {
		d.names[n.Alias] = cmp.Or(d.names[n.Alias], d.names[n])
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str" {
		d.report(n, "tags (!name) are not supported: remove it")
		return nil
	}
	return n
}

// object is a mapping with known fields.
type object struct {
	*decoder
	node   *yaml.Node // nil: not a mapping, reported
	what   string
	fields map[string]*yaml.Node
}

// object reads a mapping, what, that may have the fields names.
func (d *decoder) object(n *yaml.Node, what string, names ...string) object {
	o := object{d, nil, what, map[string]*yaml.Node{}}
	if n = d.resolve(n); n == nil {
		return o
	}
	if n.Kind != yaml.MappingNode {
		d.reportf(n, "%s must be a mapping with the fields %s", what, strings.Join(names, ", "))
		return o
	}
	o.node = n
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := fieldName(key)
		switch {
		case key.Kind == yaml.ScalarNode && key.Value == "<<":
			d.report(key, "merge keys (<<) are not supported: write the fields out")
		case !slices.Contains(names, name):
			d.report(key, unknownField(name, what, names))
		case o.fields[name] != nil:
			d.reportf(key, "%q is here a second time: keep one", name)
		default:
			o.fields[name] = value
			d.names[value] = name
		}
	}
	return o
}

// get returns the value of a field, nil where it is absent.
func (o object) get(name string) *yaml.Node { return o.fields[name] }

// need is get for a field that must be there.
func (o object) need(name, advice string) *yaml.Node {
	n := o.fields[name]
	if n == nil && o.node != nil {
		o.reportf(o.node, "%s needs %s: %s", o.what, name, advice)
	}
	return n
}

// fieldName is the text of a key, or "" for what is not short or not a word: an
// error of indentation can make a key of a secret.
func fieldName(key *yaml.Node) string {
	if key.Kind != yaml.ScalarNode || !isShowable(key.Value) {
		return ""
	}
	return key.Value
}

func unknownField(name, what string, names []string) string {
	for _, known := range names {
		if name != "" && distance(strings.ToLower(name), known) <= 2 {
			return fmt.Sprintf("%s has no field %q: did you mean %s?", what, name, known)
		}
	}
	shown := "such field"
	if name != "" {
		shown = fmt.Sprintf("field %q", name)
	}
	return fmt.Sprintf("%s has no %s: remove it; the fields are %s", what, shown, strings.Join(names, ", "))
}

// distance counts the letters to insert, remove or replace between two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// list returns the items of a list.
func (d *decoder) list(n *yaml.Node, what string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n = d.resolve(n); n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.reportf(n, "%s must be a list: write [one, two], or one item a line after a dash", what)
		return nil
	}
	for _, item := range n.Content {
		if item.Kind == yaml.ScalarNode {
			d.names[item] = what
		}
	}
	return n.Content
}

func isEmptyList(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.SequenceNode && len(n.Content) == 0
}
