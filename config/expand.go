package config

import (
	"fmt"
	"strings"
)

// expand fills in ${NAME}; $${ stands for a literal ${.
func expand(text string, env func(string) (string, bool)) (expanded, problem string) {
	var b strings.Builder
	for text != "" {
		i := strings.Index(text, "${")
		switch {
		case i < 0:
			b.WriteString(text)
			return b.String(), ""
		case i > 0 && text[i-1] == '$':
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		name, rest, closed := strings.Cut(text[i+2:], "}")
		if !closed || !isEnvName(name) {
			return "", "${ begins the name of an environment variable: write ${NAME}, or $${ for these two characters"
		}
		value, ok := env(name)
		if !ok {
			return "", fmt.Sprintf("the environment variable %s is not set: set it before you start", name)
		}
		b.WriteString(text[:i] + value)
		text = rest
	}
	return b.String(), ""
}

func isEnvName(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
	return name != "" && strings.Trim(name, letters+"0123456789") == "" && strings.IndexByte(letters, name[0]) >= 0 && len(name) <= 100
}
