package hostile

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// The table of docs/security-tests.md says which test holds which promise. Each test in
// it exists, and each number that this version answers for has one.
func TestSecurityItemsHaveTests(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../../docs/security-tests.md")
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "../*_test.go", "../types/*_test.go", "../../oauth/*_test.go", "../../session/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllSubmatch(source, -1) {
				exist[string(m[1])] = true
			}
		}
	}
	held := map[int]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|.*$`).FindAllSubmatch(table, -1) {
		number, err := strconv.Atoi(string(row[1]))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(row[0], -1) {
			held[number] = true
			if !exist[string(name[1])] {
				t.Errorf("%d: there is no %s", number, name[1])
			}
		}
	}
	for number := 1; number <= 80; number++ {
		if (number <= 24 || number >= 34 && number <= 52 || slices.Contains([]int{57, 62, 63, 64, 66, 67, 68}, number) || number >= 69) && !held[number] {
			t.Errorf("%d has no test", number)
		}
	}
}
