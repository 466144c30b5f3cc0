package testbed

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// pinned is the prefix of the images that the project's manifests name.
const pinned = "ghcr.io/gin-operator/"

// references finds them in a manifest.
var references = regexp.MustCompile(regexp.QuoteMeta(pinned) + `[-\w./:]+`)

// imageStore is where a cluster has its images from.
type imageStore interface {
	// add puts an image of one binary there, and reports whether it is news.
	add(ctx context.Context, reference, binary string) (bool, error)
	// rewrite changes the references in a manifest to what the images are called there.
	rewrite(manifest string) string
}

// AddImage makes an image of one static binary, in the cluster or its registry, and reports whether its content is new there. The
// reference is the one that manifests name: Apply and Install change it to what the image is really called.
func (c *Cluster) AddImage(ctx context.Context, reference, binary string) (bool, error) {
	if !strings.HasPrefix(reference, pinned) {
		return false, fmt.Errorf("image %s: must begin with %s", reference, pinned)
	}
	if _, err := os.Stat(binary); err != nil {
		return false, fmt.Errorf("image %s: `make build` makes its binary: %w", reference, err)
	}
	return c.images.add(ctx, reference, binary)
}

// ManagerImage returns the reference of the operator's image in config/.
func (c *Cluster) ManagerImage() (string, error) {
	path := filepath.Join(c.Root, "config", "manager", "deployment.yaml")
	manifest, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`image: (` + regexp.QuoteMeta(pinned) + `gin-operator:\S+)`).FindSubmatch(manifest)
	if found == nil {
		return "", fmt.Errorf("%s names no image that begins with %sgin-operator", path, pinned)
	}
	return string(found[1]), nil
}

// LoadImage is the reference of the load generator's image.
const LoadImage = pinned + "load:testbed"

// SampleImage returns the reference of a version of the sample application.
func SampleImage(version string) string { return pinned + "sampleapp:" + version }

// AddSample builds a version of the sample application and makes an image of it.
func (c *Cluster) AddSample(ctx context.Context, version string) error {
	// Each version has a folder, so that Go finds that nothing has changed, and the binary has the same name in each image.
	binary := filepath.Join(c.Root, "bin", "versions", version, "sampleapp")
	build := c.command(ctx, "go", "build", "-trimpath", "-tags", "nomsgpack,validator_novalidatefn", "-ldflags", "-s -w -X main.version="+version, "-o", binary, "./sampleapp")
	build.Env = append(build.Env, "CGO_ENABLED=0", "GOOS=linux")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building version %s of the sample application: %w: %s", version, err, text)
	}
	_, err := c.AddImage(ctx, SampleImage(version), binary)
	return err
}

// Rewrite changes the image references in a manifest to what the images are called in this cluster.
func (c *Cluster) Rewrite(manifest string) string { return c.images.rewrite(manifest) }

// localImages are loaded into the checkout's own cluster, under the names that the manifests have.
type localImages struct{ cluster *Cluster }

func (s *localImages) add(ctx context.Context, reference, binary string) (bool, error) {
	text, err := s.cluster.output(ctx, "", s.cluster.bin("cluster"), "load-image", "--image", reference, "--binary", binary)
	return !strings.Contains(text, "was there already"), err
}

func (*localImages) rewrite(manifest string) string { return manifest }

// pushedImages are pushed to a registry, with the content in the tag: a node that has pulled a tag once doesn't ask again.
type pushedImages struct {
	cluster  *Cluster
	registry string
	insecure bool
	names    map[string]string // what a reference is called there
}

func (s *pushedImages) add(ctx context.Context, reference, binary string) (bool, error) {
	digest, err := digestOf(binary)
	if err != nil {
		return false, err
	}
	name := strings.TrimSuffix(s.registry, "/") + "/" + strings.TrimPrefix(reference, pinned) + "-" + digest[:12]
	arguments := []string{"load-image", "--push", "--image", name, "--binary", binary}
	if s.insecure {
		arguments = append(arguments, "--insecure")
	}
	if _, err := s.cluster.output(ctx, "", s.cluster.bin("cluster"), arguments...); err != nil {
		return false, err
	}
	s.names[reference] = name
	// A new content has a new name, which the manifests bring.
	return false, nil
}

func (s *pushedImages) rewrite(manifest string) string {
	return references.ReplaceAllStringFunc(manifest, func(reference string) string { return cmp.Or(s.names[reference], reference) })
}

func digestOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
