package users_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin/binding"

	"github.com/gin-operator/gin-operator/sampleapp/users"
)

func TestNewUserIsChecked(t *testing.T) {
	tests := map[string]struct {
		user  users.NewUser
		wrong string
	}{
		"a name and an address will do":                        {user: users.NewUser{Name: "Ada", Email: "ada@example.org"}},
		"a hundred characters are counted, not bytes":          {user: users.NewUser{Name: strings.Repeat("ü", 100), Email: "ada@example.org"}},
		"a name of 101 characters is too long":                 {user: users.NewUser{Name: strings.Repeat("a", 101), Email: "ada@example.org"}, wrong: "Name"},
		"a name is needed":                                     {user: users.NewUser{Email: "ada@example.org"}, wrong: "Name"},
		"a name has no character 0, which no database keeps":   {user: users.NewUser{Name: "A\x00da", Email: "ada@example.org"}, wrong: "Name"},
		"an address is needed":                                 {user: users.NewUser{Name: "Ada"}, wrong: "Email"},
		"an address has an at sign":                            {user: users.NewUser{Name: "Ada", Email: "ada"}, wrong: "Email"},
		"an address has no character 0 either":                 {user: users.NewUser{Name: "Ada", Email: "a\x00da@example.org"}, wrong: "Email"},
		"an address of more than 254 characters is no address": {user: users.NewUser{Name: "Ada", Email: "ada@" + strings.Repeat("a.", 130) + "org"}, wrong: "Email"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := binding.Validator.ValidateStruct(tc.user)
			switch {
			case tc.wrong == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.wrong != "" && err == nil:
				t.Error("taken")
			case tc.wrong != "" && !strings.Contains(err.Error(), tc.wrong):
				t.Errorf("got %v, want an error about %s", err, tc.wrong)
			}
		})
	}
}

func TestIsID(t *testing.T) {
	made, err := users.Make(users.NewUser{Name: "Ada", Email: "ada@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		text string
		want bool
	}{
		"what Make makes":       {text: made.ID, want: true},
		"nothing":               {},
		"upper case":            {text: "0193F3A0-0000-7000-8000-00000000000A"},
		"no dashes":             {text: "0193f3a000007000800000000000000a0000"},
		"a dash too many":       {text: "0193f3a0-0000-7000-8000-0000-000000a"},
		"with its name space":   {text: "urn:uuid:0193f3a0-0000-7000-8000-00000000000a"},
		"not hexadecimal":       {text: "0193f3a0-0000-7000-8000-00000000000g"},
		"a character 0 in it":   {text: "0193f3a0-0000-7000-8000-0000000000\x00a"},
		"one character short":   {text: "0193f3a0-0000-7000-8000-00000000000"},
		"one character too far": {text: "0193f3a0-0000-7000-8000-00000000000aa"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := users.IsID(tc.text); got != tc.want {
				t.Errorf("IsID(%q) = %t, want %t", tc.text, got, tc.want)
			}
		})
	}
}

func TestIDsAscend(t *testing.T) {
	last := ""
	for range 10_000 {
		user, err := users.Make(users.NewUser{})
		if err != nil {
			t.Fatal(err)
		}
		if user.ID <= last {
			t.Fatalf("%s follows %s", user.ID, last)
		}
		last = user.ID
	}
}

func TestEmailKey(t *testing.T) {
	tests := map[string]struct{ email, want string }{
		"lower case stays":             {email: "ada@example.org", want: "ada@example.org"},
		"upper case does not count":    {email: "Ada.LoveLace@Example.ORG", want: "ada.lovelace@example.org"},
		"only the letters of ASCII do": {email: "ÄDA@example.org", want: "Äda@example.org"},
		"nor does the Kelvin sign":     {email: "\u212a@example.org", want: "\u212a@example.org"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := users.EmailKey(tc.email); got != tc.want {
				t.Errorf("EmailKey(%q) = %q, want %q", tc.email, got, tc.want)
			}
		})
	}
}

func TestUserAsJSON(t *testing.T) {
	text, err := json.Marshal(users.User{ID: "7", Name: "Ada", Email: "ada@example.org", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"7","name":"Ada","email":"ada@example.org","createdAt":"2026-01-02T03:04:05.000006Z"}`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
