package tracing_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestThePageShowsTheExample keeps the code of the page the one that is compiled.
func TestThePageShowsTheExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/ginkit/tracing.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(page), "```go\n")
	code, _, found := strings.Cut(code, "```")
	_, body, _ := strings.Cut(string(source), "func Example() {\n")
	body, _, _ = strings.Cut(body, "\t// Output:")
	if body = regexp.MustCompile(`(?m)^\t`).ReplaceAllString(body, ""); !found || code != body {
		t.Errorf("the page has\n%s\nthe example is\n%s", code, body)
	}
}

// TestThePageListsEachVariable compares the page with the source that reads them.
func TestThePageListsEachVariable(t *testing.T) {
	page, err := os.ReadFile("../../docs/ginkit/tracing.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("environment.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`"((?:OTEL|POD|GIN_SERVICE)_[A-Z_]*[A-Z])"`).FindAllStringSubmatch(string(source), -1)
	for _, suffix := range regexp.MustCompile(`either\("([A-Z_]+)"\)`).FindAllStringSubmatch(string(source), -1) {
		names = append(names, []string{"", "OTEL_EXPORTER_OTLP_" + suffix[1]}, []string{"", "OTEL_EXPORTER_OTLP_TRACES_" + suffix[1]})
	}
	if len(names) < 30 {
		t.Errorf("%d variables found in the source", len(names))
	}
	for _, name := range names {
		if !strings.Contains(string(page), "`"+name[1]+"`") {
			t.Errorf("the page doesn't have %s", name[1])
		}
	}
}
