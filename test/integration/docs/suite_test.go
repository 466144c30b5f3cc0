// Package docs_test tests what the documentation shows: that a real API server takes each example, and that each link leads somewhere.
// No operator runs.
package docs_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/controlplane"
)

// root is the project.
const root = "../../.."

func TestDocs(t *testing.T) {
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	RunSpecs(t, "Docs")
}

var resources dynamic.NamespaceableResourceInterface

var _ = BeforeSuite(func(ctx context.Context) {
	cp, err := controlplane.Start(ctx)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cp.Stop)
	client, err := dynamic.NewForConfig(cp.Config())
	Expect(err).NotTo(HaveOccurred())
	resources = client.Resource(v1alpha1.GroupVersion.WithResource("ginservices"))
})

// pages returns the Markdown files of a folder, as paths relative to the project. Folders that hold what was built are left out.
func pages(folder string) []string {
	GinkgoHelper()
	var found []string
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "dist" || entry.Name() == ".cluster"):
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(path, ".md"):
			relative, err := filepath.Rel(root, path)
			found = append(found, relative)
			return err
		}
		return nil
	})
	Expect(err).NotTo(HaveOccurred())
	return found
}
