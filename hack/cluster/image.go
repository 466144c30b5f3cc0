package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nonRoot is the user of images made here: a number, so that the kubelet can tell that runAsNonRoot is kept.
const nonRoot = "65532:65532"

// imageSpec says what an image is made of.
type imageSpec struct {
	binary     string
	entrypoint string
	labels     map[string]string
}

// buildImage makes an image that holds one static binary and nothing else, as a Dockerfile `FROM scratch` would. The same
// binary makes the same digest, whenever and wherever.
func buildImage(spec imageSpec) (v1.Image, error) {
	content, err := os.ReadFile(spec.binary)
	if err != nil {
		return nil, err
	}
	if err := checkStatic(spec.binary, content); err != nil {
		return nil, err
	}
	layer, err := binaryLayer(strings.TrimPrefix(spec.entrypoint, "/"), content)
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err = mutate.AppendLayers(image, layer)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	file.Config.Entrypoint = []string{spec.entrypoint}
	file.Config.User = nonRoot
	file.Config.WorkingDir = "/"
	file.Config.Env = []string{"PATH=/"}
	file.Config.Labels = spec.labels
	return mutate.ConfigFile(image, file)
}

// checkStatic fails early for a binary that could not start in an image without a C library: the kubelet's message would be
// that the file does not exist.
func checkStatic(path string, content []byte) error {
	binary, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("%s is not a Linux binary: build it with GOOS=linux CGO_ENABLED=0: %w", path, err)
	}
	defer binary.Close()
	for _, program := range binary.Progs {
		if program.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically and can't run in an image of its own: build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}

// binaryLayer returns a layer with one executable.
func binaryLayer(path string, content []byte) (v1.Layer, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	dirs := strings.Split(filepath.Dir(path), "/")
	for i := range dirs {
		if dirs[0] == "." {
			break
		}
		header := &tar.Header{
			Typeflag: tar.TypeDir, Name: strings.Join(dirs[:i+1], "/") + "/", Mode: 0o755, ModTime: time.Unix(0, 0),
		}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
	}
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: path, Mode: 0o755, Size: int64(len(content)), ModTime: time.Unix(0, 0),
	}
	if err := writer.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(1))
}

// parseReference reads an image reference and returns it with its full name, as the kubelet writes it.
func parseReference(reference string, insecure bool) (name.Reference, string, error) {
	if reference == "" {
		return nil, "", errors.New("--image is missing: say what the image is to be called, for example --image localhost/app:dev")
	}
	var options []name.Option
	if insecure {
		options = append(options, name.Insecure)
	}
	parsed, err := name.ParseReference(reference, options...)
	if err != nil {
		return nil, "", err
	}
	// The library spells Docker Hub as its API host; everybody else calls it docker.io.
	full := parsed.Name()
	if rest, found := strings.CutPrefix(full, name.DefaultRegistry+"/"); found {
		full = "docker.io/" + rest
	}
	return parsed, full, nil
}

// writeArchive writes an image as an OCI archive. Unlike Docker's format it keeps the manifest as it is, so that the digest
// in the cluster is the one that a registry would show.
func writeArchive(to io.Writer, image v1.Image, fullName string) error {
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return err
	}
	index, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: mediaType, Digest: digest, Size: int64(len(manifest)),
			Platform:    &v1.Platform{OS: "linux", Architecture: runtime.GOARCH},
			Annotations: map[string]string{"io.containerd.image.name": fullName},
		}},
	})
	if err != nil {
		return err
	}
	writer := tar.NewWriter(to)
	add := func(path string, content []byte) {
		if err == nil {
			err = writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(content))})
		}
		if err == nil {
			_, err = writer.Write(content)
		}
	}
	add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	add("index.json", index)
	add(blobPath(digest), manifest)
	blobs, blobsErr := imageBlobs(image)
	if blobsErr != nil {
		return blobsErr
	}
	for _, blob := range blobs {
		add(blobPath(blob.digest), blob.content)
	}
	return errors.Join(err, writer.Close())
}

func blobPath(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }

type blob struct {
	digest  v1.Hash
	content []byte
}

// imageBlobs returns an image's configuration and layers.
func imageBlobs(image v1.Image) ([]blob, error) {
	config, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	digest, err := image.ConfigName()
	if err != nil {
		return nil, err
	}
	blobs := []blob{{digest, config}}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return nil, err
		}
		compressed, err := layer.Compressed()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(compressed)
		if err := errors.Join(err, compressed.Close()); err != nil {
			return nil, err
		}
		blobs = append(blobs, blob{digest, content})
	}
	return blobs, nil
}
