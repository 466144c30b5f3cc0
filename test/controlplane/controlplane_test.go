package controlplane_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gin-operator/gin-operator/test/controlplane"
)

var _ = Describe("A control plane", func() {
	It("can be used with kubectl", func(ctx context.Context) {
		cmd := exec.CommandContext(ctx, cp.Binary("kubectl"), "--kubeconfig", cp.Kubeconfig(), "auth", "can-i", "*", "*")
		out, err := cmd.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(Equal("yes\n"))
	})

	It("gives a ServiceAccount the rights that RBAC grants, and no others", func(ctx context.Context) {
		cfg, err := cp.AddServiceAccount("default", "reader")
		Expect(err).NotTo(HaveOccurred())
		reader, err := kubernetes.NewForConfig(cfg)
		Expect(err).NotTo(HaveOccurred())
		_, err = reader.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
		Expect(apierrors.IsForbidden(err)).To(BeTrue(), "got %v", err)

		_, err = client.RbacV1().RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "reader"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "reader"}},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() error {
			_, err := reader.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
			return err
		}).Should(Succeed())
		err = reader.CoreV1().ConfigMaps("default").Delete(ctx, "any", metav1.DeleteOptions{})
		Expect(apierrors.IsForbidden(err)).To(BeTrue(), "got %v", err)
	})

	It("writes each request to the audit log", func(ctx context.Context) {
		_, err := client.CoreV1().ConfigMaps("default").Create(ctx,
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "audited"}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(g Gomega) {
			g.Expect(auditedCreates(g, "audited")).To(Equal(1))
		}).Should(Succeed())
	})

	It("collects the children of what is deleted", func(ctx context.Context) {
		parent, err := client.CoreV1().ConfigMaps("default").Create(ctx,
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "parent"}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		_, err = client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Name: "child",
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(parent, corev1.SchemeGroupVersion.WithKind("ConfigMap")),
			},
		}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(client.CoreV1().ConfigMaps("default").Delete(ctx, "parent", metav1.DeleteOptions{})).To(Succeed())
		Eventually(func() bool {
			_, err := client.CoreV1().ConfigMaps("default").Get(ctx, "child", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}).Should(BeTrue())
	})

	It("says what to do when there are no binaries", func(ctx context.Context) {
		GinkgoT().Setenv("KUBEBUILDER_ASSETS", GinkgoT().TempDir())
		_, err := controlplane.Start(ctx)
		Expect(err).To(MatchError(ContainSubstring("run `make k8s`")))
	})

	It("shows the log of a server that does not start, and leaves nothing running", func(ctx context.Context) {
		folder := GinkgoT().TempDir()
		GinkgoT().Setenv("TMPDIR", folder)
		_, err := controlplane.Start(ctx, controlplane.WithAPIServerFlags("--no-such-flag=1"))
		Expect(err).To(MatchError(ContainSubstring("unknown flag: --no-such-flag")))
		Expect(processesWith(folder)).To(BeEmpty())
		Expect(os.ReadDir(folder)).To(BeEmpty())
	})

	It("ends with the process that started it, even when that is killed", func(ctx context.Context) {
		folder := GinkgoT().TempDir()
		victim := exec.CommandContext(ctx, os.Args[0], "-test.run=TestVictim")
		victim.Env = append(os.Environ(), "CONTROLPLANE_VICTIM=1", "TMPDIR="+folder)
		out, err := victim.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(victim.Start()).To(Succeed())
		line, err := bufio.NewReader(out).ReadString('\n')
		Expect(err).NotTo(HaveOccurred())
		Expect(line).To(Equal("started\n"))
		Expect(processesWith(folder)).To(HaveLen(2), "etcd and kube-apiserver")

		Expect(victim.Process.Signal(syscall.SIGKILL)).To(Succeed())
		Expect(victim.Wait()).NotTo(Succeed())
		Eventually(func() []string { return processesWith(folder) }).Should(BeEmpty())
		Eventually(func(g Gomega) { g.Expect(os.ReadDir(folder)).To(BeEmpty()) }).Should(Succeed())
	})
})

// auditedCreates counts the answered creates of a ConfigMap in the audit log.
func auditedCreates(g Gomega, name string) int {
	content, err := os.ReadFile(auditLog)
	g.Expect(err).NotTo(HaveOccurred())
	found := 0
	for line := range bytes.Lines(content) {
		var event auditv1.Event
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		g.Expect(json.Unmarshal(line, &event)).To(Succeed())
		if event.ObjectRef != nil && event.ObjectRef.Name == name && event.Verb == "create" && event.Stage == auditv1.StageResponseComplete {
			found++
		}
	}
	return found
}

// processesWith returns the command lines of the servers that name a folder.
func processesWith(folder string) []string {
	GinkgoHelper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Expect(err).NotTo(HaveOccurred())
	var found []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		line := strings.ReplaceAll(string(content), "\x00", " ")
		if strings.Contains(line, folder) && (strings.Contains(line, "--data-dir") || strings.Contains(line, "--cert-dir")) {
			found = append(found, line)
		}
	}
	return found
}

func deployment(namespace, name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: fmt.Sprintf("registry.example.com/%s:v1", name)}}},
			},
		},
	}
}
