package config

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a text that does not show itself: whatever prints, logs or encodes it writes "[redacted]". The zero value is the empty text.
type Secret struct {
	// Two pointers say nothing about two texts, so == does not compile: use Equal.
	_ [0]func()
	// fmt calls no methods on fields that are not exported, and would print a string in one. Of a pointer it prints the address.
	value *string
}

// NewSecret returns a Secret that holds a text.
func NewSecret(text string) Secret { return Secret{value: &text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Equal compares two texts in a time that does not depend on where they differ.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Format prints "[redacted]" for every verb.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// MarshalText returns "[redacted]", for JSON, YAML and XML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
