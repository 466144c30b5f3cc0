package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDocuments(t *testing.T) {
	tests := map[string]struct {
		name, content string
		want          shop
	}{
		"YAML": {
			"shop.yaml", "# comment\nTIMEOUT: 1.20\nTOKEN: \"!x\"\nCOUNT: 7\nORIGINS: [a, 'b,c']\ntls.crt: |\n  a\n  b\n",
			shop{Timeout: "1.20", Token: NewSecret("!x"), Count: 7, Origins: []string{"a", "b,c"}, Cert: "a\nb\n"},
		},
		"JSON": {
			"shop.json", "{\n\t\"TIMEOUT\": true, \"TOKEN\": \"\\ud83d\\ude00\", \"COUNT\": 7, \"ORIGINS\": [\"a\", 1]}",
			shop{Timeout: "true", Token: NewSecret("😀"), Count: 7, Origins: []string{"a", "1"}},
		},
		"JSON as YAML":               {"shop.conf", `{"COUNT": 7}`, shop{Timeout: "30s", Count: 7}},
		"unset in YAML":              {"shop.yaml", "COUNT:\nTOKEN: ~\nTIMEOUT: ''\n", shop{Timeout: "30s"}},
		"unset in JSON":              {"shop.json", `{"COUNT": null, "TIMEOUT": ""}`, shop{Timeout: "30s"}},
		"a list as text":             {"shop.yaml", "ORIGINS: a, b", shop{Timeout: "30s", Origins: []string{"a", "b"}}},
		"the empty list":             {"shop.yaml", "ORIGINS: []", shop{Timeout: "30s", Origins: []string{}}},
		"comments alone":             {"shop.yaml", "# TIMEOUT: 1s\n", shop{Timeout: "30s"}},
		"a mark where it begins":     {"shop.yaml", "---\nCOUNT: 1\n", shop{Timeout: "30s", Count: 1}},
		"no settings":                {"shop.yaml", "{}", shop{Timeout: "30s"}},
		"no settings in JSON either": {"shop.json", "{}", shop{Timeout: "30s"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			write(t, folder, map[string]string{tc.name: tc.content})
			got, err := Read[shop](File(filepath.Join(folder, tc.name)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWrongDocuments(t *testing.T) {
	tests := map[string]struct{ name, content, want string }{
		"empty":                   {"f.yaml", " \n", "PATH: is empty: {} are no settings"},
		"a text":                  {"f.yaml", "\ns3cr3t", "PATH, line 2: the document is not a mapping of names to values"},
		"not YAML":                {"f.yaml", "COUNT: 1\nTOKEN: \"s3cr3t\nTIMEOUT: 1\n", "PATH, line 2: is not YAML: found unexpected end of stream"},
		"a tab":                   {"f.yaml", "COUNT: 1\n\tTOKEN: s3cr3t\n", "PATH, line 2: is not YAML: found a tab character that violates indentation"},
		"an alias of nothing":     {"f.yaml", "TOKEN: *s3cr3t\n", "PATH: is not YAML: a value that begins with & or * needs quotes"},
		"an alias":                {"f.yaml", "TIMEOUT: &s3cr3t a\nTOKEN: *s3cr3t\n", "PATH, line 2: TOKEN is an alias: put quotes around a value that begins with *"},
		"a tag":                   {"f.yaml", "COUNT: 1\nTOKEN: !s3cr3t\n", "PATH, line 2: TOKEN has a tag: put quotes around a value that begins with !"},
		"binary data":             {"f.yaml", "TOKEN: !!binary czNjcjN0\n", "PATH, line 1: TOKEN has a tag: put quotes around a value that begins with !"},
		"two documents":           {"f.yaml", "COUNT: 1\n---\nCOUNT: 2\n", "PATH, line 2: a second document begins, and there must be one"},
		"a key twice":             {"f.yaml", "COUNT: 1\nTOKEN: x\nCOUNT: 2\n", "PATH, line 3: COUNT is there already, in line 1"},
		"a strange key twice":     {"f.yaml", "'a b': 1\n'a b': 2\n", "PATH, line 2: a key that could be no name is there already, in line 1\nPATH, line 1: a key that could be no name is not known"},
		"a key that is a list":    {"f.yaml", "[a]: 1\n", "PATH, line 1: a key is not a name"},
		"levels":                  {"f.yaml", "TIMEOUT:\n  READ: 1s\n", "PATH, line 2: TIMEOUT has keys of its own, and the names have one level"},
		"a list of lists":         {"f.yaml", "ORIGINS:\n- a\n- [b]\n", "PATH, line 3: an item of the list ORIGINS is not a text"},
		"a list for a number":     {"f.yaml", "COUNT: [1, 2]\n", `COUNT (in PATH, line 1): the list "1, 2" is not a whole number`},
		"a list for a secret":     {"f.yaml", "TOKEN: [s3cr3t]\n", `TOKEN (in PATH, line 1): the value, which is not shown, is not a secret`},
		"unknown and wrong":       {"f.yaml", "COUNTS: 1\nCOUNT: x\n", "PATH, line 1: COUNTS is not known: did you mean COUNT?\n" + `COUNT (in PATH, line 2): "x" is not a whole number`},
		"a merge":                 {"f.yaml", "<<: {COUNT: 1}\n", "PATH, line 1: a key that could be no name has keys of its own, and the names have one level"},
		"JSON that is a list":     {"f.json", "\n[\"s3cr3t\"]", "PATH, line 2: the document is not an object of names and values"},
		"not JSON":                {"f.json", "{\n\"COUNT\": 1,\n}", "PATH, line 3: is not JSON: invalid character '}' looking for beginning of object key string"},
		"JSON that ends early":    {"f.json", "{\n\"COUNT\": 1,\n\"TOKEN\": \"s3cr3t", "PATH, line 3: is not JSON: unexpected end of JSON input"},
		"JSON and more":           {"f.json", "{}\ns3cr3t", "PATH, line 2: is not JSON: invalid character 's' after top-level value"},
		"a key twice in JSON":     {"f.json", "{\"COUNT\": 1,\n\"COUNT\": 2}", "PATH, line 2: COUNT is there already, in line 1"},
		"levels in JSON":          {"f.json", "{\"COUNT\": 1,\n\"TOKEN\": {\"s3cr3t\": 1}}", "PATH, line 2: TOKEN has keys or lists of its own, and the names have one level"},
		"a list of lists in JSON": {"f.json", "{\"ORIGINS\": [[\"s3cr3t\"]]}", "PATH, line 1: ORIGINS has keys or lists of its own, and the names have one level"},
		"too large":               {"f.yaml", strings.Repeat("#", largest+1), "PATH: has more than 1 MiB"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			write(t, folder, map[string]string{tc.name: tc.content})
			path := filepath.Join(folder, tc.name)
			_, err := Read[shop](File(path))
			if want := strings.ReplaceAll(tc.want, "PATH", path); err == nil || err.Error() != want {
				t.Errorf("error is\n%v\nwant\n%s", err, want)
			}
		})
	}
	folder := t.TempDir()
	if _, err := Read[shop](File(folder)); err == nil || err.Error() != folder+": is a folder and not a file" {
		t.Errorf("the error for a folder is %v", err)
	}
	missing := filepath.Join(folder, "missing")
	if _, err := Read[shop](File(missing)); err == nil || err.Error() != missing+": can't be read: no such file or directory" {
		t.Errorf("the error for a file that is missing is %v", err)
	}
}
