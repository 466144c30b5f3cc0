// Package gatewayapi finds the CustomResourceDefinitions of the Gateway API, of the version that the operator is built with.
package gatewayapi

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Directory returns the directory with the manifests of the standard channel. Go has downloaded it with the module.
func Directory(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module of the Gateway API: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "standard"), nil
}
