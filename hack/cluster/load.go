package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// pauseImage holds a pod's namespaces. It is made here and never pulled.
const pauseImage = "localhost/gin-cluster/pause:1"

// loadOptions are load-image's flags.
type loadOptions struct {
	image, binary, entrypoint, tar string
	push, insecure                 bool
	labels                         labelFlag
}

// labelFlag collects --label KEY=VALUE.
type labelFlag map[string]string

func (labelFlag) String() string { return "" }

func (f labelFlag) Set(value string) error {
	key, content, found := strings.Cut(value, "=")
	if !found || key == "" {
		return errors.New("want KEY=VALUE")
	}
	f[key] = content
	return nil
}

func parseLoadOptions(arguments []string) (loadOptions, error) {
	o := loadOptions{labels: labelFlag{}}
	flags := flag.NewFlagSet("load-image", flag.ContinueOnError)
	flags.StringVar(&o.image, "image", "", "what the image is to be called, with its tag")
	flags.StringVar(&o.binary, "binary", "", "a static Linux binary to make the image of")
	flags.StringVar(&o.entrypoint, "entrypoint", "", "path of the binary in the image (default: / and its name)")
	flags.StringVar(&o.tar, "tar", "", "load this archive (docker save or OCI) instead of making an image")
	flags.BoolVar(&o.push, "push", false, "push to the registry in --image instead of loading into this cluster")
	flags.BoolVar(&o.insecure, "insecure", false, "with --push: plain HTTP")
	flags.Var(o.labels, "label", "a label KEY=VALUE for the image; may be repeated")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("load-image takes flags only, not %q", flags.Arg(0))
	}
	if (o.binary == "") == (o.tar == "") {
		return o, errors.New("load-image takes one of --binary and --tar")
	}
	if o.binary != "" && o.entrypoint == "" {
		o.entrypoint = "/" + filepath.Base(o.binary)
	}
	if o.binary != "" && !strings.HasPrefix(o.entrypoint, "/") {
		return o, fmt.Errorf("--entrypoint must be an absolute path, not %q", o.entrypoint)
	}
	return o, nil
}

func loadImageCommand(ctx context.Context, l layout, arguments []string) error {
	o, err := parseLoadOptions(arguments)
	if err != nil {
		return err
	}
	if o.tar != "" && !o.push {
		return loadArchive(ctx, l, o.tar, os.Stdout)
	}
	reference, fullName, err := parseReference(o.image, o.insecure)
	if err != nil {
		return err
	}
	image, err := o.open()
	if err != nil {
		return err
	}
	if o.push {
		return pushImage(ctx, reference, fullName, image, os.Stdout)
	}
	return loadImage(ctx, l, fullName, image, os.Stdout)
}

// open makes or reads the image.
func (o loadOptions) open() (v1.Image, error) {
	if o.tar != "" {
		image, err := tarball.ImageFromPath(o.tar, nil)
		if err != nil {
			return nil, fmt.Errorf("reading %s (it must be what `docker save` writes, with one image): %w", o.tar, err)
		}
		return image, nil
	}
	return buildImage(imageSpec{binary: o.binary, entrypoint: o.entrypoint, labels: o.labels})
}

func pushImage(ctx context.Context, reference name.Reference, fullName string, image v1.Image, out io.Writer) error {
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	err = remote.Write(reference, image, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return fmt.Errorf("pushing %s (a registry without TLS takes --insecure): %w", fullName, err)
	}
	fmt.Fprintf(out, "pushed %s %s\n", fullName, digest)
	return nil
}

// loadImage brings an image into the cluster, unless it is there already.
func loadImage(ctx context.Context, l layout, fullName string, image v1.Image, out io.Writer) error {
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	present, err := presentDigest(ctx, l, fullName)
	if err != nil {
		return err
	}
	if present == digest.String() {
		fmt.Fprintf(out, "loaded %s %s (was there already)\n", fullName, digest)
		return nil
	}
	var archive bytes.Buffer
	if err := writeArchive(&archive, image, fullName); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	if _, err := ctr(ctx, l, &archive, "images", "import", "-"); err != nil {
		return err
	}
	fmt.Fprintf(out, "loaded %s %s\n", fullName, digest)
	return nil
}

func loadArchive(ctx context.Context, l layout, path string, out io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	output, err := ctr(ctx, l, file, "images", "import", "-")
	if err != nil {
		return err
	}
	fmt.Fprint(out, output)
	return nil
}

// presentDigest returns the digest of an image in the cluster; empty if there is no such image.
func presentDigest(ctx context.Context, l layout, fullName string) (string, error) {
	output, err := ctr(ctx, l, nil, "images", "list", "name=="+fullName)
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(output, "\n") {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == fullName {
			return fields[2], nil
		}
	}
	return "", nil
}

// ctr runs containerd's client inside the cluster.
func ctr(ctx context.Context, l layout, input io.Reader, arguments ...string) (string, error) {
	if err := requireRoot(); err != nil {
		return "", err
	}
	holder, alive := namespaceHolder(l)
	if !alive {
		return "", errNotRunning
	}
	command := exec.CommandContext(ctx, l.binary("ctr"), append([]string{"--namespace=k8s.io"}, arguments...)...)
	var stdout, stderr bytes.Buffer
	command.Dir = "/"
	command.Stdin, command.Stdout, command.Stderr = input, &stdout, &stderr
	if err := inNamespaces(holder, networkAndMounts, command.Start); err != nil {
		return "", err
	}
	if err := command.Wait(); err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(arguments, " "), err, lastLines(stderr.String(), 5))
	}
	return stdout.String(), nil
}

// loadPause makes and loads the pause image as soon as containerd answers.
func loadPause(ctx context.Context, l layout) error {
	image, err := buildImage(imageSpec{binary: l.binary("pause"), entrypoint: "/pause"})
	if err != nil {
		return err
	}
	if err := eventually(ctx, containerdTimeout, func() error {
		_, err := ctr(ctx, l, nil, "version")
		return err
	}); err != nil {
		return fmt.Errorf("containerd does not answer: %w\n%s", err, tail(l.log("containerd"), 5))
	}
	return loadImage(ctx, l, pauseImage, image, io.Discard)
}
