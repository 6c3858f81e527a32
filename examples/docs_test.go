package examples_test

import (
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGuides holds the code of guides to the examples that it is taken from. What is not
// from there has to be Go at least.
func TestGuides(t *testing.T) {
	for _, guide := range []string{"writing-a-destination.md", "receiving.md"} {
		t.Run(guide, func(t *testing.T) { testGuide(t, "../docs/"+guide) })
	}
}

func testGuide(t *testing.T, guide string) {
	text, err := os.ReadFile(guide)
	require.NoError(t, err)
	source := regexp.MustCompile(`^// from ((?:examples/custom-destination|sources/trackingapi)/\S+)\n`)
	excerpts := 0
	for _, block := range regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		code := block[1]
		from := source.FindStringSubmatch(code)
		if from == nil {
			require.NoError(t, parses(code), "%s", code)
			continue
		}
		excerpts++
		file, err := os.ReadFile("../" + from[1])
		require.NoError(t, err)
		require.True(t, holds(string(file), strings.TrimPrefix(code, from[0])), "%s does not hold this:\n%s", from[1], code)
	}
	require.Positive(t, excerpts)
}

// TestReceivingProgram holds the program and the documents of docs/receiving.md to the
// examples that are compiled and run.
func TestReceivingProgram(t *testing.T) {
	text, err := os.ReadFile("../docs/receiving.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?ms)^```go\n(package main\n.*?)^```$").FindSubmatch(text)
	require.NotNil(t, block, "docs/receiving.md has no whole program")
	program := string(block[1])
	_, body, found := strings.Cut(program, "\nfunc main() {\n")
	require.True(t, found)
	file, err := os.ReadFile("../sources/trackingapi/example_test.go")
	require.NoError(t, err)
	require.True(t, holds(string(file), "func Example() {\n"+body))
	for line := range strings.Lines(program[:len(program)-len(body)]) {
		if strings.HasPrefix(line, "\t\"") {
			require.Contains(t, string(file), line, "an import")
		}
	}
	documents := regexp.MustCompile("(?m)^```json\n(.*)\n```$").FindAllSubmatch(text, -1)
	require.Len(t, documents, 2)
	for _, d := range documents {
		require.Contains(t, string(file), "// "+string(d[1])+"\n", "what an example prints")
	}
}

// holds tells whether the lines of excerpt stand in file one after another, each
// further in by the same indentation, which may be none.
func holds(file, excerpt string) bool {
	have, want := strings.Split(file, "\n"), strings.Split(strings.TrimRight(excerpt, "\n"), "\n")
	for i := range have {
		indent, ok := strings.CutSuffix(have[i], want[0])
		if ok && strings.TrimLeft(indent, "\t") == "" && i+len(want) <= len(have) && same(have[i:i+len(want)], want, indent) {
			return true
		}
	}
	return false
}

func same(have, want []string, indent string) bool {
	for i, line := range want {
		if line != "" {
			line = indent + line
		}
		if have[i] != line {
			return false
		}
	}
	return true
}

// parses tells whether code is Go: a whole file, declarations, or what stands in a func.
func parses(code string) error {
	if strings.HasPrefix(code, "package ") {
		_, err := parser.ParseFile(token.NewFileSet(), "", code, 0)
		return err
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, 0); err == nil {
		return nil
	}
	_, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+code+"\n}", 0)
	return err
}

func TestHolds(t *testing.T) {
	const file = "package p\n\nfunc f() {\n\tif x {\n\t\ty()\n\n\t\tz()\n\t}\n}\n"
	for excerpt, want := range map[string]bool{
		"if x {\n\ty()\n\n\tz()\n}\n":   true,
		"y()\n\nz()\n":                  true,
		"func f() {\n\tif x {\n":        true,
		"y()\nz()\n":                    false, // a line is missing
		"if x {\ny()\n":                 false, // another indentation
		"f() {\n":                       false, // half a line
		"\t}\n}\n\n// and what follows": false,
	} {
		require.Equal(t, want, holds(file, excerpt), "%q", excerpt)
	}
}
