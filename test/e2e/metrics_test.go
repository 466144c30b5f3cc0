//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/gin-operator/gin-operator/test/testbed"
)

var _ = Describe("the operator's metrics", func() {
	It("are served over TLS, to those only who may read them", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		gs := hello(namespace, withScaleDownDelay(0))
		create(ctx, gs)
		change(ctx, gs, toVersion("v2"))
		awaitReady(ctx, gs)
		url := "https://" + forward(ctx, testbed.OperatorNamespace, "deployment/"+testbed.OperatorName, 8443) + "/metrics"
		for _, account := range []string{"reader", "nobody"} {
			_, err := cluster.Kubectl(ctx, "create", "serviceaccount", account, "-n", namespace)
			Expect(err).NotTo(HaveOccurred())
		}
		binding := "e2e-" + namespace
		_, err := cluster.Kubectl(ctx, "create", "clusterrolebinding", binding, "--clusterrole=gin-operator-metrics-reader", "--serviceaccount="+namespace+":reader")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) {
			_, err := cluster.Kubectl(ctx, "delete", "clusterrolebinding", binding)
			Expect(err).NotTo(HaveOccurred())
		})

		status, _ := get(ctx, url, "")
		Expect(status).To(Equal(http.StatusUnauthorized))
		status, _ = get(ctx, url, "no such token")
		Expect(status).To(Equal(http.StatusUnauthorized))
		status, body := get(ctx, url, token(ctx, namespace, "nobody"))
		Expect(status).To(Equal(http.StatusForbidden))
		Expect(body).NotTo(ContainSubstring("gin_operator"))
		status, body = get(ctx, url, token(ctx, namespace, "reader"))
		Expect(status).To(Equal(http.StatusOK))
		for _, name := range []string{"gin_operator_writes_total", "gin_operator_rollout_duration_seconds", "gin_operator_switch_duration_seconds", "controller_runtime_reconcile_total", "rest_client_requests_total"} {
			Expect(body).To(ContainSubstring("# TYPE " + name + " "))
		}
		By("reading there that the API server has refused it nothing that it wanted to read")
		// Writes are refused in a namespace that is being deleted, whatever the operator may do; its log tells those apart.
		Expect(regexp.MustCompile(`rest_client_requests_total\{code="40[13]"[^}]*method="GET"[^}]*\}.*`).FindAllString(body, -1)).To(BeEmpty())

		By("asking without TLS")
		status, body = get(ctx, strings.Replace(url, "https://", "http://", 1), token(ctx, namespace, "reader"))
		Expect(status).To(Equal(http.StatusBadRequest), "%s", body)
	})
})

// forward makes a port of pods reachable from here for as long as the spec lasts, and returns its address. kubectl ends
// with the first connection that breaks in the pod (client-go closes all of them then), so another takes its place.
func forward(ctx context.Context, namespace, pods string, number int) string {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	opened := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		port := ""
		wait.UntilWithContext(ctx, func(ctx context.Context) {
			port = forwardOnce(ctx, namespace, pods, fmt.Sprintf("%s:%d", port, number), opened)
		}, 100*time.Millisecond)
	}()
	DeferCleanup(func() {
		cancel()
		<-ended
	})
	var port string
	Eventually(opened).WithTimeout(30 * time.Second).Should(Receive(&port))
	return "127.0.0.1:" + port
}

// forwardOnce forwards until kubectl ends, and returns the local port, which it also sends if nobody has had it yet.
func forwardOnce(ctx context.Context, namespace, pods, ports string, opened chan<- string) string {
	local, _, _ := strings.Cut(ports, ":")
	forwarding := cluster.StartKubectl(ctx, "port-forward", "-n", namespace, pods, ports)
	forwarding.Stderr = GinkgoWriter
	out, err := forwarding.StdoutPipe()
	if err == nil {
		err = forwarding.Start()
	}
	if err != nil {
		fmt.Fprintln(GinkgoWriter, "forwarding:", err)
		return local
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		found := regexp.MustCompile(`from 127\.0\.0\.1:(\d+)`).FindStringSubmatch(lines.Text())
		if found != nil && local == "" {
			local = found[1]
			opened <- local
		}
	}
	if err := forwarding.Wait(); err != nil {
		fmt.Fprintln(GinkgoWriter, "forwarding:", err)
	}
	return local
}

func token(ctx context.Context, namespace, account string) string {
	GinkgoHelper()
	text, err := cluster.Kubectl(ctx, "create", "token", account, "-n", namespace)
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(text)
}

// get asks as a scraper does.
func get(ctx context.Context, url, bearer string) (int, string) {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	scraper := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the operator signs for itself
	}}
	var status int
	var body []byte
	// The way there, by kubectl, may drop a connection; whatever the operator answers counts.
	Eventually(func(g Gomega) {
		response, err := scraper.Do(request)
		g.Expect(err).NotTo(HaveOccurred())
		defer response.Body.Close()
		body, err = io.ReadAll(response.Body)
		g.Expect(err).NotTo(HaveOccurred())
		status = response.StatusCode
	}).WithContext(ctx).WithTimeout(20 * time.Second).Should(Succeed())
	return status, string(body)
}
