package config

import (
	"os"
	"strings"
	"testing"
)

// The page for users shows what the examples compile and what they print.
func TestTheDocumentationShowsTheExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/ginkit/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	source := string(examples)
	// What is printed stands in comments.
	printed := strings.ReplaceAll(source, "\t// ", "")
	shown := 0
	for i, block := range strings.Split(string(page), "```") {
		if i%2 == 0 {
			continue
		}
		language, text, _ := strings.Cut(block, "\n")
		switch {
		case language == "go" && !strings.Contains(source, text):
			t.Errorf("no example has\n%s", text)
		case language == "text" && !strings.Contains(text, "/etc/") && !strings.Contains(printed, text):
			t.Errorf("no example prints\n%s", text)
		case language == "go" || language == "text":
			shown++
		}
	}
	if shown != 6 {
		t.Errorf("%d blocks are examples or messages, want 6", shown)
	}
}

func TestTheDocumentedMessagesOfAFile(t *testing.T) {
	folder := t.TempDir()
	content := "A: 1\n\n\nTIMEOUTS: 1s\n\n\nDB_POOL: 0\n"
	write(t, folder, map[string]string{"shop.yaml": content})
	type settings struct {
		A       int    `env:"A"`
		Timeout string `env:"TIMEOUT"`
		Pool    int    `env:"DB_POOL" default:"10" min:"1" max:"100"`
	}
	_, err := Read[settings](File(folder + "/shop.yaml"))
	want := `/etc/shop/shop.yaml, line 4: TIMEOUTS is not known: did you mean TIMEOUT?
DB_POOL (in /etc/shop/shop.yaml, line 7): "0" is not a whole number from 1 to 100`
	if err == nil || strings.ReplaceAll(err.Error(), folder, "/etc/shop") != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
}
