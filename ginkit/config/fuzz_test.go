package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// outOfBounds says what is wrong with settings that were accepted.
func outOfBounds(e *everything) string {
	length := utf8.RuneCountInString(e.Short)
	checks := map[string]bool{
		"SHORT":        length >= 2 && length <= 4 && utf8.ValidString(e.Short),
		"LONG":         e.Long == nil || utf8.RuneCountInString(*e.Long) >= 3,
		"MODE":         slices.Contains([]mode{"problems", "all", "none"}, e.Mode),
		"WHOLE":        e.Whole >= -10 && e.Whole <= 10,
		"PORT":         e.Port >= 1,
		"MOST":         e.Most <= 3,
		"LEAST":        e.Least >= 1,
		"RATE":         e.Rate >= 0 && e.Rate <= 1,
		"SINGLE":       e.Single-e.Single == 0,
		"WAIT":         e.Wait >= time.Millisecond && e.Wait <= time.Hour,
		"OFFSET":       e.Offset >= -time.Hour,
		"AGE":          e.Age >= 0,
		"ORIGINS":      len(e.Origins) <= 3 && !slices.Contains(e.Origins, ""),
		"FEATURES":     !slices.ContainsFunc(e.Features, func(m mode) bool { return m != "x" && m != "y" }),
		"BACKEND":      e.Backend.Scheme != "",
		"PROXY":        e.Proxy == nil || e.Proxy.Scheme != "",
		"KEY":          e.Key == nil || len(e.Key.Reveal()) >= 8,
		"ADDRESS":      e.Address.IsValid(),
		"DSN":          e.DSN == "postgres://" || e.DSN == "mysql://",
		"DB_POOL_SIZE": e.DB.Pool.Size >= 1 && e.DB.Pool.Size <= 100,
	}
	var wrong []string
	for name, ok := range checks {
		if !ok {
			wrong = append(wrong, name)
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, ", ")
}

var names = func() []string {
	s, err := schemaOf(reflect.TypeFor[everything]())
	if err != nil {
		panic(err)
	}
	return s.names
}()

// FuzzValues gives any value to any name, in the environment and in a document.
func FuzzValues(f *testing.F) {
	for i := range names {
		f.Add(uint8(i), "1")
	}
	for i, value := range []string{
		"", "0", "-1", "NaN", "+Inf", "1e309", "0x1p-2", "1_0", "99999999h", "1ms", "-1ns", "info+4", "a,b", ",", " , ", "http://a", "a:b", "://",
		"\xff", "\x00", strings.Repeat("9", 400), "::1%\xff", "true", "ab\ncd",
	} {
		f.Add(uint8(i), value)
	}
	// It can be told from anything that belongs to a message.
	const mark = "s3cr3t!~"
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		name := names[int(which)%len(names)]
		marked := text
		if slices.Contains([]string{"TOKEN", "KEY", "HIDDEN", "DSN"}, name) {
			marked = text + mark
		}
		for _, source := range []Source{
			Environment([]string{name + "=" + marked, name + "S=x"}, Prefix(name)),
			&given{name, value{items: strings.Split(marked, ",")}},
			&given{name, value{text: marked}},
		} {
			got, err := Read[everything](source)
			if shown := fmt.Sprintf("%v %+v %#v", got.Token, got, got.Key); (name == "TOKEN" || name == "KEY") && strings.Contains(shown, mark) {
				t.Errorf("%s=%q shows in %s", name, text, shown)
			}
			if err == nil {
				if wrong := outOfBounds(&got); wrong != "" {
					t.Errorf("%s=%q is let through: %s", name, text, wrong)
				}
				continue
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, name) {
					t.Errorf("%s=%q: the error does not name it: %s", name, text, line)
				}
			}
			if (marked != text && strings.Contains(err.Error(), mark)) || !utf8.ValidString(err.Error()) {
				t.Errorf("%s=%q: the error shows a secret or is no text: %q", name, text, err)
			}
		}
	})
}

// given is a Source with one value.
type given struct {
	name string
	value
}

func (*given) folder() string { return "" }

func (g *given) read(func(string) bool) ([]entry, []error) {
	return []entry{{name: g.name, value: g.value}}, nil
}

// FuzzDocuments reads any bytes as a document, after a secret.
func FuzzDocuments(f *testing.F) {
	for _, seed := range []string{
		"", "PORT: 1\n", "TOKEN: x\n", "PORT: [1, 2]\n", "ORIGINS:\n- a\n", "&a b: *a\n", "? [x]\n: y\n", "---\n{}\n", "a: |\n  x\n", "<<: *x\n", "!!x y: z",
		`"PORT": 1}`, `"PORT": [1, {}]}`, `"TOKEN": "\ud83d"}`, `"a": 1} {}`, `"WAIT": 1e5, "WAIT": null}`, "\t", "\xff\xfe", "\u0085", "{{{{[[[[",
	} {
		f.Add([]byte(seed))
	}
	const mark = "s3cr3t ~ value"
	f.Fuzz(func(t *testing.T, content []byte) {
		for path, beginning := range map[string]string{
			"/etc/shop.yaml": "TOKEN: '" + mark + "'\n", "/etc/shop.yml": "", "/etc/shop.json": `{"TOKEN": "` + mark + "\"\n,",
		} {
			found, errs := readDocument(path, append([]byte(beginning), content...))
			for _, err := range errs {
				if !strings.HasPrefix(err.Error(), path) || strings.Contains(err.Error(), mark) {
					t.Errorf("%s: the error does not name it, or shows a secret: %v", path, err)
				}
			}
			got, err := Read[everything](&documentSource{found, errs})
			if err == nil {
				if wrong := outOfBounds(&got); wrong != "" {
					t.Errorf("%s is let through: %s", path, wrong)
				}
				if beginning != "" && got.Token.Reveal() != mark {
					t.Errorf("%s: the secret is %q", path, got.Token.Reveal())
				}
			} else if strings.Contains(err.Error(), mark) {
				t.Errorf("%s: the error shows a secret: %v", path, err)
			}
		}
	})
}

// documentSource is a Source that has been read.
type documentSource struct {
	found []entry
	errs  []error
}

func (*documentSource) folder() string { return "" }

func (d *documentSource) read(func(string) bool) ([]entry, []error) { return d.found, d.errs }

// FuzzFiles puts any bytes into the files of a folder.
func FuzzFiles(f *testing.F) {
	f.Add("PORT", []byte("80\n"), []byte("x"))
	f.Add("WAIT", []byte("1s\r\n"), []byte("\n"))
	f.Add("ADDRESS", []byte{0xff}, []byte{0})
	f.Add("PROT", []byte{}, []byte{})
	const mark = "s3cr3t!~"
	f.Fuzz(func(t *testing.T, name string, content, token []byte) {
		if !isName(name) || strings.HasPrefix(name, ".") || name == "TOKEN" {
			t.Skip("not the name of a file that counts")
		}
		folder := t.TempDir()
		secret := mark + string(token)
		write(t, folder, map[string]string{name: string(content), "TOKEN": secret + "\n"})
		got, err := Read[everything](Files(folder))
		if err == nil {
			if wrong := outOfBounds(&got); wrong != "" {
				t.Errorf("%s=%q is let through: %s", name, content, wrong)
			}
			if got.Token.Reveal() != strings.TrimSuffix(secret, "\r") {
				t.Errorf("the secret is %q, want %q", got.Token.Reveal(), secret)
			}
			return
		}
		text := strings.ReplaceAll(err.Error(), filepath.Dir(folder), "")
		if !strings.Contains(text, name) {
			t.Errorf("%s=%q: the error does not name it: %s", name, content, text)
		}
		if strings.Contains(text, mark) && !strings.Contains(string(content), mark) {
			t.Errorf("the error shows a secret: %s", text)
		}
	})
}

// An address whose zone has anything in it is refused by a message that repeats it.
func TestReasonsOfOtherTypesAreOneLine(t *testing.T) {
	type settings struct {
		Address netip.Prefix `env:"ADDRESS"`
	}
	_, err := Read[settings](Environment([]string{"ADDRESS=::1%a\nb\x1b" + strings.Repeat("x", 1000)}))
	if err == nil || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 500 {
		t.Errorf("error is %q", err)
	}
}
