package controlplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const assetsVariable = "KUBEBUILDER_ASSETS"

// findAssets returns the folder with the Kubernetes binaries.
func findAssets(root string) (string, error) {
	folder := os.Getenv(assetsVariable)
	if folder == "" {
		folder = filepath.Join(root, "bin", "k8s")
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("finding the Kubernetes binaries: %w", err)
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return "", fmt.Errorf("finding %s: %w: run `make k8s` to build the Kubernetes binaries (`make test` does), or set %s to a folder that has them",
				name, err, assetsVariable)
		}
	}
	return folder, nil
}

// moduleRoot returns the nearest folder above the working directory that has a go.mod: the project, in a test of its packages.
func moduleRoot() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the project: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("finding the project: no go.mod in the working directory or above it: run this inside the project")
		}
		folder = parent
	}
}
