//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/gatewayapi"
	"github.com/gin-operator/gin-operator/test/testbed"
)

// installGateway installs the Gateway API and a Gateway in a namespace, for as long as a spec lasts.
func installGateway(ctx SpecContext, namespace string) {
	GinkgoHelper()
	directory, err := gatewayapi.Directory(ctx)
	Expect(err).NotTo(HaveOccurred())
	there, err := cluster.Kubectl(ctx, "get", "crd", "-o", "name")
	Expect(err).NotTo(HaveOccurred())
	Expect(there).NotTo(ContainSubstring("gateway.networking.k8s.io"), "the test removes the Gateway API in the end, and with it all routes of the cluster: use another one")
	_, err = cluster.Kubectl(ctx, "apply", "--server-side", "-f", directory)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		_, err := cluster.Kubectl(ctx, "delete", "--ignore-not-found", "-f", directory)
		Expect(err).NotTo(HaveOccurred())
	})
	_, err = cluster.AddImage(ctx, "ghcr.io/gin-operator/traefik:testbed", filepath.Join(cluster.Root, "bin", "k8s", "traefik"))
	Expect(err).NotTo(HaveOccurred(), "`make test-gateway` builds it")
	manifest, err := os.ReadFile(filepath.Join("testdata", "gateway.yaml"))
	Expect(err).NotTo(HaveOccurred())
	text := cluster.Rewrite(strings.ReplaceAll(string(manifest), "NAMESPACE", namespace))
	Expect(cluster.Apply(ctx, text)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		_, err := cluster.Kubectl(ctx, "delete", "--ignore-not-found", "clusterrole/"+namespace+"-traefik", "clusterrolebinding/"+namespace+"-traefik")
		Expect(err).NotTo(HaveOccurred())
	})
	_, err = cluster.Kubectl(ctx, "rollout", "status", "-n", namespace, "deployment/traefik", "--timeout=2m")
	Expect(err).NotTo(HaveOccurred())
}

// browser asks a Gateway for a host.
type browser struct {
	url, host string
}

// version returns which version of the sample application answers a request, and the status where it is none of them.
func (b browser) version(ctx context.Context, mark func(*http.Request)) string {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	request.Host = b.host
	mark(request)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var status string
	var body []byte
	// The way there, by kubectl, may drop a connection; whatever the Gateway answers counts.
	Eventually(func(g Gomega) {
		response, err := client.Do(request)
		g.Expect(err).NotTo(HaveOccurred())
		defer response.Body.Close()
		body, err = io.ReadAll(response.Body)
		g.Expect(err).NotTo(HaveOccurred())
		status = response.Status
	}).WithContext(ctx).Should(Succeed())
	var answer struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Version == "" {
		return status
	}
	return answer.Version
}

var _ = Describe("a route", func() {
	// Apart from the rest, because of what its Gateway takes to build: `make test-gateway`.
	It("takes requests from a Gateway without losing one in an upgrade, and marked ones to the preview", Label("gateway"), func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		gs := hello(namespace, withReplicas(2), func(spec *v1alpha1.GinServiceSpec) {
			spec.Strategy.BlueGreen.Promotion = v1alpha1.PromotionManual
			spec.Route = &v1alpha1.Route{
				Gateways: []v1alpha1.RouteGateway{{Name: "public"}}, Hostnames: []v1alpha1.Hostname{v1alpha1.Hostname("gateway." + namespace + ".svc")},
				Preview: &v1alpha1.RoutePreview{
					Header: &v1alpha1.RouteHeader{Name: "X-Preview", Value: "yes"},
					Cookie: &v1alpha1.RouteCookie{Name: "preview", Value: "a.b"},
					Query:  &v1alpha1.RouteQuery{Name: "preview", Value: "1"},
				},
			}
		})
		create(ctx, gs)
		Expect(condition(gs, v1alpha1.ConditionRouteAccepted).Reason).To(Equal(v1alpha1.ReasonGatewayAPIMissing))

		By("installing the Gateway API and a Gateway")
		installGateway(ctx, namespace)
		await(ctx, gs, func(g Gomega) {
			g.Expect(condition(gs, v1alpha1.ConditionRouteAccepted).Reason).To(Equal(v1alpha1.ReasonAccepted))
		})
		user := browser{url: "http://" + forward(ctx, namespace, "deployment/traefik", 8000), host: string(gs.Spec.Route.Hostnames[0])}
		plain := func(*http.Request) {}
		Eventually(user.version).WithContext(ctx).WithArguments(plain).Should(Equal("v1"))
		Expect(browser{user.url, "other.example.com"}.version(ctx, plain)).To(ContainSubstring("404"))
		traffic, err := cluster.StartLoad(ctx, testbed.LoadOptions{
			Namespace: namespace, Name: "load", URLs: []string{"http://" + user.host + "/"}, Rate: 200, FreshFraction: 0.34,
			Timeout: 20 * time.Second, Duration: 10 * time.Minute, MaxRequests: 120_000,
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(traffic.Delete(ctx)).To(Succeed()) })

		By("preparing a version that only marked requests get")
		change(ctx, gs, toVersion("v2"))
		awaitStep(ctx, gs, v1alpha1.StepWaitingForPromotion)
		for _, mark := range []func(*http.Request){
			func(r *http.Request) { r.Header.Set("X-Preview", "yes") },
			func(r *http.Request) { r.Header.Set("Cookie", "session=1; preview=a.b") },
			func(r *http.Request) { r.URL.RawQuery = "preview=1" },
		} {
			Eventually(user.version).WithContext(ctx).WithArguments(mark).Should(Equal("v2"))
		}
		for _, mark := range []func(*http.Request){
			plain,
			func(r *http.Request) { r.Header.Set("X-Preview", "no") },
			func(r *http.Request) { r.Header.Set("Cookie", "preview=a-b") },
			func(r *http.Request) { r.URL.RawQuery = "preview=2" },
		} {
			Expect(user.version(ctx, mark)).To(Equal("v1"))
		}

		By("promoting it")
		approve(ctx, gs, gs.Status.Rollout.Revision)
		awaitReady(ctx, gs)
		Eventually(user.version).WithContext(ctx).WithArguments(plain).Should(Equal("v2"))
		awaitStep(ctx, gs, v1alpha1.StepCompleted)
		expectAnswers(ctx, traffic, 2)
	}, SpecTimeout(10*time.Minute))
})
