package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var (
	// linkTarget is where an inline link leads: [text](target).
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#{1,6}\s+(.+?)\s*$`)
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
	// notInAnchor is what GitHub leaves out of a heading's anchor.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
	// anchorTag is an anchor that is written out, as generated pages do.
	anchorTag = regexp.MustCompile(`<a (?:name|id)="([^"]+)"`)
)

// prose returns a page without its fenced blocks.
func prose(content string) string {
	var kept []string
	fenced := false
	for line := range strings.SplitSeq(content, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// anchors returns what links to a page may have after '#'. A heading that occurs again gets a number, as on GitHub.
func anchors(content string) map[string]bool {
	found := map[string]bool{}
	text := prose(content)
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		plain := linkTarget.ReplaceAllString(match[1], "")
		base := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(plain), ""), " ", "-")
		name := base
		for i := 1; found[name]; i++ {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		found[name] = true
	}
	for _, match := range anchorTag.FindAllStringSubmatch(text, -1) {
		found[match[1]] = true
	}
	return found
}

// brokenLinks returns the relative links of a page that lead nowhere, each with what is wrong, and the number of those it looked at.
func brokenLinks(folder, page string) (broken []string, checked int) {
	GinkgoHelper()
	content, err := os.ReadFile(filepath.Join(folder, page))
	Expect(err).NotTo(HaveOccurred())
	for _, match := range linkTarget.FindAllStringSubmatch(codeSpan.ReplaceAllString(prose(string(content)), ""), -1) {
		target := match[1]
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		checked++
		path, anchor, _ := strings.Cut(target, "#")
		file := filepath.Join(folder, page)
		if path != "" {
			file = filepath.Join(folder, filepath.Dir(page), path)
		}
		info, err := os.Stat(file)
		switch {
		case err != nil:
			broken = append(broken, fmt.Sprintf("%s: %s: no such file", page, target))
		case anchor != "" && info.IsDir():
			broken = append(broken, fmt.Sprintf("%s: %s: a folder has no headings", page, target))
		case anchor != "":
			linked, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			if !anchors(string(linked))[anchor] {
				broken = append(broken, fmt.Sprintf("%s: %s: no such heading", page, target))
			}
		}
	}
	return broken, checked
}

var _ = Describe("Each relative link", func() {
	It("leads to a file, and to a heading that is there", func() {
		var broken []string
		total := 0
		for _, page := range pages(".") {
			wrong, checked := brokenLinks(root, page)
			broken, total = append(broken, wrong...), total+checked
		}
		Expect(broken).To(BeEmpty())
		Expect(total).To(BeNumerically(">", 0))
	})
})

var _ = Describe("The check of links", func() {
	It("finds links that lead nowhere", func() {
		folder := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(folder, "a.md"), []byte(`# A page
## What `+"`make`"+` does, and why
[here](#what-make-does-and-why) [gone](#gone) [b](b.md) [folder](sub) [far](https://example.com/x) `+"`[code](code.md)`"+`
`+"```\n[block](block.md)\n```\n"), 0o600)).To(Succeed())
		Expect(os.Mkdir(filepath.Join(folder, "sub"), 0o700)).To(Succeed())
		broken, checked := brokenLinks(folder, "a.md")
		Expect(broken).To(ConsistOf("a.md: #gone: no such heading", "a.md: b.md: no such file"))
		Expect(checked).To(Equal(4))
	})
})
