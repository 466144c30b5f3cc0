package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type shop struct {
	Timeout string   `env:"TIMEOUT" default:"30s"`
	Token   Secret   `env:"TOKEN"`
	Count   int      `env:"COUNT"`
	Origins []string `env:"ORIGINS"`
	Cert    string   `env:"tls.crt"`
}

// write puts files into a folder.
func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// mount makes a folder look as if Kubernetes had mounted a version of a ConfigMap there, and removes the version before.
func mount(t *testing.T, folder, version string, files map[string]string) {
	t.Helper()
	write(t, filepath.Join(folder, "..v"+version), files)
	data, temporary := filepath.Join(folder, "..data"), filepath.Join(folder, "..data_tmp")
	before, _ := os.Readlink(data)
	if err := os.Symlink("..v"+version, temporary); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, data); err != nil {
		t.Fatal(err)
	}
	for name := range files {
		link := filepath.Join(folder, name)
		if _, err := os.Lstat(link); err != nil {
			if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
				t.Fatal(err)
			}
		}
	}
	if before != "" && before != "..v"+version {
		if err := os.RemoveAll(filepath.Join(folder, before)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLaterSourcesWin(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{"TIMEOUT": "1s", "COUNT": "1", "TOKEN": ""})
	env := Environment([]string{"TIMEOUT=2s", "TOKEN=t", "COUNT="})
	tests := map[string]struct {
		sources []Source
		want    shop
	}{
		"the environment last":  {[]Source{Files(folder), env}, shop{Timeout: "2s", Count: 1, Token: NewSecret("t")}},
		"the files last":        {[]Source{env, Files(folder)}, shop{Timeout: "1s", Count: 1, Token: NewSecret("t")}},
		"the files alone":       {[]Source{Files(folder)}, shop{Timeout: "1s", Count: 1}},
		"the environment alone": {[]Source{env}, shop{Timeout: "2s", Token: NewSecret("t")}},
		"no source":             {nil, shop{Timeout: "30s"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Read[shop](tc.sources...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyTheValueThatWinsIsLookedAt(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{"COUNT": "x"})
	if _, err := Read[shop](Files(folder), Environment([]string{"COUNT=1"})); err != nil {
		t.Error(err)
	}
}

func TestFilesOfAFolder(t *testing.T) {
	folder := t.TempDir()
	mount(t, folder, "1", map[string]string{
		"TIMEOUT": "5s\n", "TOKEN": "a\n\n", "COUNT": "7\r\n", "ORIGINS": "a,b", "tls.crt": "-----BEGIN\nx\n-----END\n", ".hidden": "x",
	})
	write(t, folder, map[string]string{".swp": "x"})
	got, err := Read[shop](Files(folder))
	if err != nil {
		t.Fatal(err)
	}
	want := shop{Timeout: "5s", Token: NewSecret("a\n"), Count: 7, Origins: []string{"a", "b"}, Cert: "-----BEGIN\nx\n-----END"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsWrongWithAFolder(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"TIMEOUTS": "", "COUNT": "x", "quite-different": "s3cr3t", "TOKEN": strings.Repeat("s", largest+1), "tls.crt": strings.Repeat("x", largest),
	})
	if err := os.Mkdir(filepath.Join(folder, "ORIGINS"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(folder, "broken")); err != nil {
		t.Fatal(err)
	}
	// Reading one that nobody writes to must not wait.
	if err := syscall.Mkfifo(filepath.Join(folder, "TIMEOUT"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Read[shop](Files(folder), Files(filepath.Join(folder, "missing")), Files(filepath.Join(folder, "COUNT")))
	want := strings.ReplaceAll(`DIR/ORIGINS: is a folder and not a file
DIR/TIMEOUT: is not a regular file
DIR/TOKEN: has more than 1 MiB
DIR/broken: can't be read: no such file or directory
DIR: TIMEOUTS is not known: did you mean TIMEOUT?
DIR: quite-different is not known
DIR/missing: can't be read: no such file or directory
DIR/COUNT: can't be read: not a directory
COUNT (in DIR): "x" is not a whole number`, "DIR", folder)
	if err == nil || err.Error() != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
}

func TestUnknownVariablesWithAPrefix(t *testing.T) {
	type settings struct {
		Timeout string `env:"SHOP_TIMEOUT"`
		Other   string `env:"OTHER"`
	}
	env := []string{"SHOP_TIMEOUT=1s", "OTHER=x", "PATH=/bin", "SHOP_TIMOEUT=2s", "SHOP_X y=s3cr3t", "SHOPPING=1"}
	if _, err := Read[settings](Environment(env)); err != nil {
		t.Error(err)
	}
	_, err := Read[settings](Environment(env, Prefix("SHOP_")))
	want := "SHOP_TIMOEUT is not known: did you mean SHOP_TIMEOUT?\na key that could be no name is not known"
	if err == nil || err.Error() != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
}

func TestTheNearestName(t *testing.T) {
	names := []string{"TIMEOUT", "LOG_LEVEL", "LOG_REQUESTS", "PORT"}
	tests := map[string]string{
		"TIMEOUTS": "TIMEOUT", "TIMOEUT": "TIMEOUT", "timeout": "TIMEOUT", "LOGLEVEL": "LOG_LEVEL", "LOG_LEVELS": "LOG_LEVEL", "POTR": "PORT",
		"P": "", "DATABASE": "", "": "", strings.Repeat("TIMEOUT", 100): "",
	}
	for unknown, want := range tests {
		if got := nearest(unknown, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", unknown, got, want)
		}
	}
}
