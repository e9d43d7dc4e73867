package config

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// maxLogo is the size of the largest logo, in bytes.
const maxLogo = 64 << 10

// loadLogo reads a picture beside the apps file and returns what is wrong. Files
// out of that folder, by .. or by a symbolic link, are not reachable through files.
func loadLogo(files fs.FS, name string) (logo *Logo, problem string) {
	const beside = "name a picture beside the apps file, like ./acme.svg"
	if strings.Contains(name, `\`) || path.IsAbs(name) || !fs.ValidPath(path.Clean(name)) {
		return nil, "the logo must lie in the folder of the apps file: " + beside
	}
	if files == nil {
		return nil, "there is no folder to read the logo from: " + beside
	}
	name = path.Clean(name)
	info, err := fs.Stat(files, name)
	switch {
	case err != nil:
		return nil, fmt.Sprintf("the logo cannot be read (%v): %s", reason(err), beside)
	case !info.Mode().IsRegular(): // opening a pipe would wait
		return nil, "the logo is not a file: " + beside
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, fmt.Sprintf("the logo cannot be read (%v): %s", reason(err), beside)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxLogo+1))
	switch {
	case err != nil:
		return nil, fmt.Sprintf("the logo cannot be read (%v): %s", reason(err), beside)
	case len(data) > maxLogo:
		return nil, "the logo is larger than 64 KB: make it smaller"
	}
	mediaType := pictureType(data)
	if mediaType == "" {
		return nil, "the logo is not a PNG, WebP or SVG picture: convert it to one of these"
	}
	return &Logo{data, mediaType}, ""
}

// pictureType tells by the content what a picture is, or returns "".
func pictureType(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case len(data) >= 16 && string(data[:4]) == "RIFF" && string(data[8:14]) == "WEBPVP":
		return "image/webp"
	case isSVG(data):
		return "image/svg+xml"
	}
	return ""
}

// isSVG reports whether data is XML whose first element is svg.
func isSVG(data []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\uFEFF"))))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch t := token.(type) {
		case xml.StartElement:
			return t.Name.Local == "svg" && (t.Name.Space == "" || t.Name.Space == "http://www.w3.org/2000/svg")
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return false
			}
		}
	}
}
