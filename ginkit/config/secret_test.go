package config

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSecretsDoNotShowThemselves(t *testing.T) {
	const hidden = "hunter2-hunter2"
	type holder struct {
		Public  Secret
		Pointer *Secret
		private Secret
	}
	s := NewSecret(hidden)
	h := holder{Public: s, Pointer: &s, private: s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10.3s", "%!"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
		fmt.Fprintf(&out, verb+"\n", []holder{h})
		fmt.Fprintf(&out, verb+"\n", fmt.Errorf("wrapped %v", s))
	}
	fmt.Fprintln(&out, s, h, &h, s.String())
	for _, log := range []*slog.Logger{slog.New(slog.NewJSONHandler(&out, nil)), slog.New(slog.NewTextHandler(&out, nil))} {
		log.Info("x", "secret", s, "pointer", &s, "holder", h)
	}
	for _, encode := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal, xml.Marshal} {
		text, err := encode(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), redacted) {
			t.Errorf("%s does not say that there is a secret", text)
		}
		out.Write(text)
	}
	text := out.String()
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), hidden[:3], fmt.Sprintf("%d", []byte(hidden))} {
		if strings.Contains(text, form) {
			t.Errorf("%q shows in\n%s", form, text)
		}
	}
	if s.Reveal() != hidden {
		t.Errorf("Reveal returns %q", s.Reveal())
	}
}

func TestSecretsCanBeCompared(t *testing.T) {
	a, b, c := NewSecret("a"), NewSecret("a"), NewSecret("b")
	if !a.Equal(b) || a.Equal(c) || a.Equal(Secret{}) || !NewSecret("").Equal(Secret{}) {
		t.Error("Equal does not compare the texts")
	}
	if (Secret{}).Reveal() != "" {
		t.Error("the zero value is not the empty text")
	}
}
