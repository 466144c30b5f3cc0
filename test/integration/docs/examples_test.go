package docs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// block is a fenced block of a page.
type block struct {
	page     string
	line     int // of its first line, from 1
	language string
	text     string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// blocks returns the fenced blocks of a page.
func blocks(page, content string) []block {
	var found []block
	var open *block
	for i, line := range strings.Split(content, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{page: page, line: i + 2, language: strings.TrimSpace(fence)}
		case isFence:
			found, open = append(found, *open), nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		found = append(found, *open)
	}
	return found
}

func read(page string) string {
	GinkgoHelper()
	content, err := os.ReadFile(filepath.Join(root, page))
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}

// examples returns the YAML blocks for users: those of the README and of the guides.
func examples() []block {
	GinkgoHelper()
	var found []block
	for _, page := range append([]string{"README.md"}, pages("docs")...) {
		for _, b := range blocks(page, read(page)) {
			if b.language == "yaml" {
				found = append(found, b)
			}
		}
	}
	return found
}

var _ = Describe("Each example", func() {
	It("is taken by the API server as it stands", func(ctx context.Context) {
		tried := map[string]int{}
		for _, b := range examples() {
			for document := range strings.SplitSeq(b.text, "\n---\n") {
				object := &unstructured.Unstructured{}
				Expect(yaml.UnmarshalStrict([]byte(document), &object.Object)).To(Succeed(), "%s", b)
				if object.GetKind() != "GinService" {
					continue
				}
				_, err := resources.Namespace(metav1.NamespaceDefault).Create(ctx, object, metav1.CreateOptions{
					DryRun:          []string{metav1.DryRunAll},
					FieldValidation: metav1.FieldValidationStrict,
				})
				Expect(err).NotTo(HaveOccurred(), "%s", b)
				tried[b.page]++
			}
		}
		Expect(tried).To(HaveKey("README.md"), "README.md has no example of a GinService in a block that begins with ```yaml")
		for _, page := range pages(filepath.Join("docs", "guide")) {
			if filepath.Base(page) != "troubleshooting.md" {
				Expect(tried).To(HaveKey(page), "%s has no example of a GinService in a block that begins with ```yaml", page)
			}
		}
	})
})

var _ = Describe("The check of examples", func() {
	It("finds a field that does not exist", func(ctx context.Context) {
		found := blocks("page", "text\n```yaml\nkind: GinService\nspec: {image: app, replica: 2}\n```\nmore\n")
		Expect(found).To(Equal([]block{{page: "page", line: 3, language: "yaml", text: "kind: GinService\nspec: {image: app, replica: 2}\n"}}))
		object := &unstructured.Unstructured{}
		Expect(yaml.Unmarshal([]byte("apiVersion: apps.gin-operator.dev/v1alpha1\nmetadata: {name: tried}\n"+found[0].text), &object.Object)).To(Succeed())
		_, err := resources.Namespace(metav1.NamespaceDefault).Create(ctx, object, metav1.CreateOptions{
			DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
		})
		Expect(err).To(MatchError(ContainSubstring(`unknown field "spec.replica"`)))
	})
})
