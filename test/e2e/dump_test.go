//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/gin-operator/gin-operator/test/testbed"
)

// dump writes the state of the cluster to a folder and says where.
func dump(ctx context.Context) {
	GinkgoHelper()
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(CurrentSpecReport().LeafNodeText, "-")
	folder := filepath.Join(cluster.Root, "dist", "e2e", fmt.Sprintf("%s-%.60s", time.Now().UTC().Format("20060102-150405"), name))
	Expect(os.MkdirAll(folder, 0o755)).To(Succeed())
	for file, arguments := range map[string][]string{
		"ginservices.yaml":    {"get", "ginservices", "-A", "-o", "yaml"},
		"objects.txt":         {"get", "ginservices,deployments,replicasets,pods,services,endpointslices,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,configmaps,controllerrevisions", "-A", "-o", "wide"},
		"children.yaml":       {"get", "deployments,pods,services,endpointslices,horizontalpodautoscalers", "-A", "-l", "app.kubernetes.io/managed-by=gin-operator", "-o", "yaml"},
		"described.txt":       {"describe", "ginservices,pods", "-A"},
		"events.txt":          {"get", "events", "-A", "--sort-by=.metadata.creationTimestamp"},
		"operator.log":        {"logs", "-n", testbed.OperatorNamespace, "deployment/" + testbed.OperatorName, "--tail=5000"},
		"adapter.log":         {"logs", "-n", testbed.OperatorNamespace, "-l", "app.kubernetes.io/component=metrics-adapter", "--tail=5000", "--prefix"},
		"operator-before.log": {"logs", "-n", testbed.OperatorNamespace, "deployment/" + testbed.OperatorName, "--previous", "--tail=5000"},
	} {
		text, err := cluster.Kubectl(ctx, arguments...)
		if err != nil {
			text += "\n" + err.Error()
		}
		Expect(os.WriteFile(filepath.Join(folder, file), []byte(text), 0o644)).To(Succeed())
	}
	AddReportEntry("state of the cluster", folder)
}
