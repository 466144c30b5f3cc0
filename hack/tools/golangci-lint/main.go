// Command golangci-lint is golangci-lint with the kube-api-linter plugin linked in, at the versions that hack/tools/go.mod pins. A
// plugin has to be part of the binary; building it here, from modules, needs neither a git clone nor a second copy of golangci-lint.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"
	// Registers the linter "kubeapilinter" with golangci-lint.
	_ "sigs.k8s.io/kube-api-linter"
)

const modulePath = "github.com/golangci/golangci-lint/v2"

func main() {
	info := commands.BuildInfo{
		GoVersion: runtime.Version(),
		Version:   linkedVersion(),
		Commit:    "hack/tools, with kube-api-linter",
		Date:      "(unknown)",
	}
	if err := commands.Execute(info); err != nil { // which has printed it
		os.Exit(exitcodes.Failure)
	}
}

// linkedVersion returns the version of golangci-lint that this binary was linked with, without its leading v.
func linkedVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == modulePath {
			return strings.TrimPrefix(dependency.Version, "v")
		}
	}
	return "unknown"
}
