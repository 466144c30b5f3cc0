package tracing

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	tests := map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"99999999999":                   24 * time.Hour,
		"99999999999999999999":          0,
		"soon":                          0,
		"Fri, 02 Jan 2026 15:04:35 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 15:04:00 GMT": 0,
	}
	for text, want := range tests {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

// FuzzAnswersOfACollector reads what anything may answer.
func FuzzAnswersOfACollector(f *testing.F) {
	f.Add([]byte{0x0a, 0x0b, 0x08, 0x03, 0x12, 0x07, 't', 'o', 'o', ' ', 'o', 'l', 'd'}, "7")
	f.Add([]byte{0xff, 0xff, 0xff}, "Fri, 02 Jan 2026 15:04:35 GMT")
	f.Add([]byte{0x0b, 0x0b, 0x0c, 0x0c}, "-9223372036854775808")
	f.Fuzz(func(t *testing.T, answer []byte, after string) {
		if err := statusError("503 "+after, answer, true); len([]rune(err.Error())) > 20*longestMessage {
			t.Errorf("a message has %d bytes", len(err.Error()))
		}
		if got := retryAfter(after, time.Now()); got < 0 {
			t.Errorf("%q is %s", after, got)
		}
	})
}

// FuzzURLsLoseTheirSecrets puts a secret where secrets are.
func FuzzURLsLoseTheirSecrets(f *testing.F) {
	f.Add("/a%20b", "page", "&x=y")
	f.Add("//evil/", "", "&&=;?#")
	f.Fuzz(func(t *testing.T, path, name, rest string) {
		const secret = "s3cret"
		name = strings.NewReplacer("=", "", "&", "").Replace(name)
		u := &url.URL{Scheme: "https", User: url.UserPassword("me", secret), Host: "next", Path: path, RawQuery: name + "=" + secret + rest}
		if strings.Contains(path+name+rest, secret) {
			return
		}
		if got := redacted(u); strings.Contains(got, secret) {
			t.Errorf("%s has the secret", got)
		}
	})
}
