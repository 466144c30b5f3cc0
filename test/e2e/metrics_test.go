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

// forward makes a port of pods reachable from here for as long as the spec lasts, and returns its address.
func forward(ctx context.Context, namespace, pods string, number int) string {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	forwarding := cluster.StartKubectl(ctx, "port-forward", "-n", namespace, pods, fmt.Sprintf(":%d", number))
	forwarding.Stderr = GinkgoWriter
	out, err := forwarding.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(forwarding.Start()).To(Succeed())
	ports := make(chan string, 1)
	go func() {
		defer close(ports)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if port := regexp.MustCompile(`from 127\.0\.0\.1:(\d+)`).FindStringSubmatch(lines.Text()); port != nil {
				ports <- port[1]
			}
		}
	}()
	DeferCleanup(func() {
		cancel()
		_ = forwarding.Wait() // its end by a signal is an error, and what is wanted
	})
	var port string
	Eventually(ports).Should(Receive(&port))
	return "127.0.0.1:" + port
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
