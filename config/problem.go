package config

import "strings"

// A Problem is one thing to mend: where it is, and a sentence that says what to do.
type Problem struct {
	// Where is a setting, "PATCHBAY_LISTEN (--listen)", or a place in the apps
	// file, "apps.yaml:3:5".
	Where string
	Text  string
}

func (p Problem) Error() string { return p.Where + ": " + p.Text }

// Problems is everything that one reading found, in the order of the settings or
// of the file. Every error of this package is a Problems.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// err avoids the typed nil.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
