package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

var start = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// TestPlans compares what is printed with the golden files, which are there to be read.
func TestPlans(t *testing.T) {
	for name, args := range map[string]string{
		"blue-green":        "testdata/v1.yaml testdata/v2.yaml",
		"overlap":           "testdata/v1.yaml testdata/v2-overlap.yaml",
		"nobody-promotes":   "testdata/v1.yaml testdata/v2-manual.yaml",
		"promoted":          "-at 10m:promote testdata/v1.yaml testdata/v2-manual.yaml",
		"promoted-at-once":  "-at 0s:promote testdata/v1.yaml testdata/v2-manual.yaml",
		"scaled-and-undone": "-at 1m:scale=5 -at 2m:abort testdata/v1.yaml testdata/v2-overlap.yaml",
		"rolling":           "testdata/v1.yaml testdata/v2-rolling.yaml",
		"rolling-broken":    "-broken -ready 1s testdata/v1.yaml testdata/v2-rolling.yaml",
		"tried-again":       "-broken -at 1h:retry testdata/v1.yaml testdata/v2.yaml",
		"available-later":   "testdata/v1.yaml testdata/v2-min-ready.yaml",
		"rolling-later":     "testdata/v1.yaml testdata/v2-rolling-min-ready.yaml",
		"rolling-undone":    "-at 50s:abort testdata/v1.yaml testdata/v2-rolling-min-ready.yaml",
		"suspended":         "-at 1m:scale=5 testdata/v1.yaml testdata/v2-suspended.yaml",
		"suspended-first":   "-at 0s:promote testdata/v2-suspended.yaml",
		"suspended-before":  "testdata/v1.yaml testdata/v2-suspended.yaml testdata/v2.yaml",
		"rolled-back":       "-at 5m:rollback testdata/v1.yaml testdata/v2.yaml",
		"rolled-back-warm":  "-at 20s:rollback testdata/v1.yaml testdata/v2.yaml",
		"rolled-back-early": "-at 1m:rollback testdata/v1.yaml testdata/v2-manual.yaml",
		"rolled-back-twice": "-at 5m:rollback=zqqx7cz7f4 -at 10m:rollback=v78kcvzv2m testdata/v1.yaml testdata/v2.yaml testdata/v3.yaml",
		"rollback-held":     "testdata/v1.yaml testdata/v2.yaml testdata/v3-held.yaml testdata/v3.yaml",
		"rollback-unknown":  "-at 2s:rollback=v1 -at 1m:rollback=v78kcvzv2m testdata/v1.yaml testdata/v2.yaml",
		"rollback-at-first": "-at 1m:rollback testdata/v3-held.yaml",
		"rollback-to-none":  "-at 1m:rollback testdata/v1.yaml",
		"rollback-pruned":   "-at 5m:rollback=v78kcvzv2m testdata/v1.yaml testdata/v2.yaml testdata/v3-forgetful.yaml",
		"restarted":         "-at 1m:restart testdata/v1.yaml",
		"restart-broken":    "-broken testdata/v1.yaml testdata/v1-restarted.yaml",
		"restarts-no-more":  "testdata/v1.yaml testdata/v1-restarted.yaml testdata/v1.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(strings.Fields(args), &out, start); err != nil {
				t.Fatal(err)
			}
			got := "$ plan " + args + "\n" + out.String()
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got; go test -update writes it anew)\n%s", diff)
			}
		})
	}
}

// TestEmptyDocuments: what a template leaves of a document that is not wanted is no document.
func TestEmptyDocuments(t *testing.T) {
	manifest, err := os.ReadFile("testdata/v1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a mark before":           "---\n" + string(manifest),
		"an empty one before":     "---\n---\n" + string(manifest),
		"a comment before":        "# of the chart\n---\n" + string(manifest),
		"a mark after":            string(manifest) + "---\n",
		"empty ones on all sides": "---\n# nothing\n---\n" + string(manifest) + "---\n\n---\nnull\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "gs.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			gs, err := load(file)
			if err != nil {
				t.Fatal(err)
			}
			if gs.Spec.Image != "registry.example.com/hello:v1" {
				t.Errorf("image %q", gs.Spec.Image)
			}
		})
	}
}

// TestBadInput: whoever makes a mistake is told what to write.
func TestBadInput(t *testing.T) {
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "gs.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const head = "apiVersion: apps.gin-operator.dev/v1alpha1\nkind: GinService\n"
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no file":            {nil, "name at least one file"},
		"a file that is not": {[]string{"testdata/nothing.yaml"}, "no such file"},
		"another kind":       {[]string{write("apiVersion: v1\nkind: Pod\n")}, "it is v1 Pod: one document of kind GinService"},
		"two documents":      {[]string{write(head + "spec: {image: a}\n---\n" + head + "spec: {image: b}\n")}, "gs.yaml: it has more than one document: give each GinService"},
		"no document":        {[]string{write("---\n# nothing\n")}, "it is empty: one document of kind GinService"},
		"text after a mark":  {[]string{write("--- {kind: GinService}\n")}, "invalid Yaml document separator"},
		"an unknown field":   {[]string{write(head + "spec: {imagee: x}\n")}, "imagee"},
		"no image":           {[]string{write(head + "spec: {replicas: 1}\n")}, "spec.image is missing"},
		"no duration":        {[]string{"-at", "promote", "testdata/v1.yaml"}, "DURATION:ACTION"},
		"an unknown action":  {[]string{"-at", "1s:dance", "testdata/v1.yaml"}, "must be promote, abort, retry, restart, scale=N, rollback, or rollback=REVISION"},
		"a count of nothing": {[]string{"-at", "1s:abort=1", "testdata/v1.yaml"}, "must be promote"},
		"a rollback to \"\"": {[]string{"-at", "1s:rollback=", "testdata/v1.yaml"}, "rollback=REVISION"},
		"less than no pods":  {[]string{"-at", "1s:scale=-1", "testdata/v1.yaml"}, "scale=N"},
		"a time before now":  {[]string{"-ready", "-1s", "testdata/v1.yaml"}, "-ready must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(tc.args, &out, start); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}
