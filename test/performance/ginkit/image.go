package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// measureImage makes the image of a binary as hack/cluster does, one layer on nothing, and weighs both.
func measureImage(binary string) (*imageResult, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("reading the binary: %w", err)
	}
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s is no binary for Linux: %w", binary, err)
	}
	defer file.Close()
	if file.Machine != elf.EM_X86_64 {
		return nil, fmt.Errorf("%s is for %s, and what counts is the one for amd64", binary, file.Machine)
	}
	image, err := buildImage(content)
	if err != nil {
		return nil, fmt.Errorf("making the image: %w", err)
	}
	size, err := imageSize(image)
	if err != nil {
		return nil, fmt.Errorf("weighing the image: %w", err)
	}
	return &imageResult{Binary: int64(len(content)), Image: size}, nil
}

func buildImage(content []byte) (v1.Image, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: "sampleapp", Mode: 0o755, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
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
	// The fastest level, as hack/cluster has it: what else makes images makes them no larger.
	layer, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(1))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	return mutate.Config(image, v1.Config{Entrypoint: []string{"/sampleapp"}, User: "65532:65532"})
}

// imageSize returns what a registry holds of an image.
func imageSize(image v1.Image) (int64, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return 0, err
	}
	size, err := image.Size() // of the manifest itself
	if err != nil {
		return 0, err
	}
	size += manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	return size, nil
}
