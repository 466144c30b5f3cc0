package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// staticBinary builds the pause component, which is small.
func staticBinary(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "app")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, ".")
	build.Dir = filepath.Join("components", "pause")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return binary
}

func testImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := buildImage(imageSpec{binary: staticBinary(t), entrypoint: "/bin/app", labels: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestImageConfig(t *testing.T) {
	file, err := testImage(t).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Config.Entrypoint) != 1 || file.Config.Entrypoint[0] != "/bin/app" {
		t.Errorf("entrypoint %v", file.Config.Entrypoint)
	}
	if file.Config.User != nonRoot || file.Config.Labels["a"] != "b" {
		t.Errorf("user %q, labels %v", file.Config.User, file.Config.Labels)
	}
	if file.OS != "linux" || file.Architecture != runtime.GOARCH {
		t.Errorf("platform %s/%s", file.OS, file.Architecture)
	}
}

func TestImageLayerIsExecutable(t *testing.T) {
	layers, err := testImage(t).Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, error %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	modes := map[string]int64{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[header.Name] = header.Mode
	}
	if len(modes) != 2 || modes["bin/"] != 0o755 || modes["bin/app"] != 0o755 {
		t.Errorf("files and modes: %v", modes)
	}
}

func TestImageIsReproducible(t *testing.T) {
	first, err := testImage(t).Digest()
	if err != nil {
		t.Fatal(err)
	}
	second, err := testImage(t).Digest()
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("%s and %s of the same binary", first, second)
	}
}

func TestImageRefusesWhatCannotRun(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for binary, want := range map[string]string{script: "not a Linux binary", "/bin/sh": "CGO_ENABLED=0"} {
		_, err := buildImage(imageSpec{binary: binary, entrypoint: "/x"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", binary, err, want)
		}
	}
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference, fullName, err := parseReference(strings.TrimPrefix(server.URL, "http://")+"/team/app:v1", true)
	if err != nil {
		t.Fatal(err)
	}
	image := testImage(t)
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := pushImage(context.Background(), reference, fullName, image, &out); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(reference)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pulled.Digest(); err != nil || got != want {
		t.Errorf("pulled %s, error %v, want %s", got, err, want)
	}
	if want := "pushed " + fullName + " " + want.String() + "\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestArchiveKeepsTheDigest(t *testing.T) {
	image := testImage(t)
	var archive bytes.Buffer
	if err := writeArchive(&archive, image, "localhost/app:v1"); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for reader := tar.NewReader(&archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(files["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != want {
		t.Fatalf("index %s, want the digest %s", files["index.json"], want)
	}
	if name := index.Manifests[0].Annotations["io.containerd.image.name"]; name != "localhost/app:v1" {
		t.Errorf("name %q", name)
	}
	// The manifest, the configuration and one layer, each under the name of its own hash.
	if len(files) != 5 || files[blobPath(want)] == nil {
		t.Errorf("%d files, want 5 with the manifest", len(files))
	}
}

func TestParseReference(t *testing.T) {
	tests := map[string]struct {
		reference, want string
		wantErr         bool
	}{
		"a name alone is Docker Hub's":    {reference: "nginx", want: "docker.io/library/nginx:latest"},
		"a registry with a port":          {reference: "127.0.0.1:5000/a/b:v1", want: "127.0.0.1:5000/a/b:v1"},
		"localhost is no Docker Hub user": {reference: "localhost/app:dev", want: "localhost/app:dev"},
		"nothing":                         {reference: "", wantErr: true},
		"capital letters":                 {reference: "localhost/App", wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, got, err := parseReference(tc.reference, false)
			if (err != nil) != tc.wantErr || got != tc.want {
				t.Errorf("got %q, error %v", got, err)
			}
		})
	}
}

func TestLoadOptions(t *testing.T) {
	tests := map[string]struct {
		arguments      []string
		wantEntrypoint string
		wantErr        string
	}{
		"the entrypoint follows the binary": {arguments: []string{"--binary", "bin/app"}, wantEntrypoint: "/app"},
		"or is given":                       {arguments: []string{"--binary", "a", "--entrypoint", "/b"}, wantEntrypoint: "/b"},
		"as an absolute path":               {arguments: []string{"--binary", "a", "--entrypoint", "b"}, wantErr: "absolute"},
		"nothing to load":                   {wantErr: "one of --binary and --tar"},
		"two things to load":                {arguments: []string{"--binary", "a", "--tar", "b"}, wantErr: "one of --binary and --tar"},
		"a stray word":                      {arguments: []string{"--binary", "a", "b"}, wantErr: "flags only"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o, err := parseLoadOptions(tc.arguments)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("error %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || o.entrypoint != tc.wantEntrypoint {
				t.Errorf("entrypoint %q, error %v", o.entrypoint, err)
			}
		})
	}
}
