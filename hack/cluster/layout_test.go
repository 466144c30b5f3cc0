package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestProjectAbove(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(root, "docs", "images")
	for _, dir := range []string{newLayout(root).componentsDir(), inside} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, start := range []string{root, inside} {
		if got, found := projectAbove(start); !found || got != root {
			t.Errorf("from %s: %q, found %t", start, got, found)
		}
	}
	if got, found := projectAbove(t.TempDir()); found {
		t.Errorf("found %q above a folder that is in no project", got)
	}
}
