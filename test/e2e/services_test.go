//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/invariants"
	"github.com/gin-operator/gin-operator/test/testbed"
)

func isNoMatch(err error) bool { return apimeta.IsNoMatchError(err) }

// hello returns a GinService of the sample application, version v1, as an option changes it.
func hello(namespace string, change ...func(*v1alpha1.GinServiceSpec)) *v1alpha1.GinService {
	gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hello"}}
	gs.Spec.Image = cluster.Rewrite(testbed.SampleImage("v1"))
	gs.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("16Mi")}
	for _, c := range change {
		c(&gs.Spec)
	}
	return gs
}

// toVersion changes the image.
func toVersion(version string) func(*v1alpha1.GinServiceSpec) {
	return func(spec *v1alpha1.GinServiceSpec) { spec.Image = cluster.Rewrite(testbed.SampleImage(version)) }
}

// configured adds to the configuration, which makes a new revision of any version.
func configured(key, value string) func(*v1alpha1.GinServiceSpec) {
	return func(spec *v1alpha1.GinServiceSpec) {
		config := map[string]string{key: value}
		for k, v := range spec.Config {
			if k != key {
				config[k] = v
			}
		}
		spec.Config = config
	}
}

func withReplicas(n int32) func(*v1alpha1.GinServiceSpec) {
	return func(spec *v1alpha1.GinServiceSpec) { spec.Replicas = &n }
}

func withScaleDownDelay(seconds int32) func(*v1alpha1.GinServiceSpec) {
	return func(spec *v1alpha1.GinServiceSpec) { spec.Strategy.BlueGreen.ScaleDownDelaySeconds = &seconds }
}

// create creates a GinService and waits until it is Ready. From then on the spec fails where the operator breaks a promise at any version of
// it or its children.
func create(ctx context.Context, gs *v1alpha1.GinService) {
	GinkgoHelper()
	observer, err := invariants.Observe(cluster.Client, gs.Namespace, gs.Name)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		wrong, history, err := observer.Stop()
		Expect(err).NotTo(HaveOccurred())
		Expect(wrong).To(BeEmpty(), func() string { return history })
	})
	Expect(cluster.Client.Create(ctx, gs)).To(Succeed())
	awaitReady(ctx, gs)
}

// change changes the spec of a GinService as it is in the cluster, and leaves it in gs.
func change(ctx context.Context, gs *v1alpha1.GinService, changes ...func(*v1alpha1.GinServiceSpec)) {
	GinkgoHelper()
	Expect(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(gs), gs); err != nil {
			return err
		}
		for _, c := range changes {
			c(&gs.Spec)
		}
		return cluster.Client.Update(ctx, gs)
	})).To(Succeed())
}

// await waits until a GinService, which it leaves in gs, is as the assertions want it.
func await(ctx context.Context, gs *v1alpha1.GinService, assert func(Gomega)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(cluster.Client.Get(ctx, client.ObjectKeyFromObject(gs), gs)).To(Succeed())
		assert(g)
	}).WithContext(ctx).Should(Succeed())
}

// awaitReady waits until the spec serves all traffic with all its replicas.
func awaitReady(ctx context.Context, gs *v1alpha1.GinService) {
	GinkgoHelper()
	await(ctx, gs, func(g Gomega) {
		g.Expect(gs.Status.ObservedGeneration).To(Equal(gs.Generation))
		g.Expect(condition(gs, v1alpha1.ConditionReady).Status).To(Equal(metav1.ConditionTrue), "%+v", gs.Status)
	})
}

// awaitStep waits until the rollout of the spec is in a step.
func awaitStep(ctx context.Context, gs *v1alpha1.GinService, step v1alpha1.RolloutStep) {
	GinkgoHelper()
	await(ctx, gs, func(g Gomega) {
		g.Expect(gs.Status.ObservedGeneration).To(Equal(gs.Generation))
		g.Expect(gs.Status.Rollout).NotTo(BeNil())
		g.Expect(gs.Status.Rollout.Step).To(Equal(step), "%s", gs.Status.Rollout.Message)
	})
}

// condition returns a condition, or an empty one.
func condition(gs *v1alpha1.GinService, kind string) metav1.Condition {
	if found := apimeta.FindStatusCondition(gs.Status.Conditions, kind); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// podsOf lists the pods of a colour, those that are ending included.
func podsOf(ctx context.Context, gs *v1alpha1.GinService, color v1alpha1.Color) []corev1.Pod {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(cluster.Client.List(ctx, &pods, client.InNamespace(gs.Namespace),
		client.MatchingLabels{v1alpha1.LabelUID: string(gs.UID), v1alpha1.LabelColor: string(color)})).To(Succeed())
	return pods.Items
}

// deploymentOf returns the Deployment of a colour.
func deploymentOf(ctx context.Context, gs *v1alpha1.GinService, color v1alpha1.Color) *appsv1.Deployment {
	GinkgoHelper()
	var deployment appsv1.Deployment
	Expect(cluster.Client.Get(ctx, client.ObjectKey{Namespace: gs.Namespace, Name: gs.Name + "-" + string(color)}, &deployment)).To(Succeed())
	return &deployment
}

// eventsOf lists the events about a GinService that have a type.
func eventsOf(ctx context.Context, gs *v1alpha1.GinService, kind string) []corev1.Event {
	GinkgoHelper()
	var events corev1.EventList
	Expect(cluster.Client.List(ctx, &events, client.InNamespace(gs.Namespace))).To(Succeed())
	var found []corev1.Event
	for i := range events.Items {
		if events.Items[i].InvolvedObject.UID == gs.UID && events.Items[i].Type == kind {
			found = append(found, events.Items[i])
		}
	}
	return found
}

// awaitEvent waits for an event about a GinService. Events are written after status, by a queue of their own.
func awaitEvent(ctx context.Context, gs *v1alpha1.GinService, kind, reason string) {
	GinkgoHelper()
	Eventually(eventsOf).WithArguments(ctx, gs, kind).WithContext(ctx).Should(ContainElement(HaveField("Reason", reason)))
}

// occurrences counts how often the events of a list were emitted.
func occurrences(events []corev1.Event) int {
	total := 0
	for i := range events {
		switch {
		case events[i].Series != nil:
			total += int(events[i].Series.Count)
		default:
			total += max(1, int(events[i].Count))
		}
	}
	return total
}

const (
	// loadFresh is the share of the requests of a load that get a connection of their own.
	loadFresh = 0.34
	// loadConnections is how many connections the others share.
	loadConnections = 64
)

// load sends requests to a GinService at a rate, for as long as the spec lasts and ten minutes at most. A third of them takes 20 ms, and
// a third has a connection of its own.
func load(ctx context.Context, gs *v1alpha1.GinService, rate float64, paths ...string) *testbed.Load {
	GinkgoHelper()
	return startLoad(ctx, gs, testbed.LoadOptions{Rate: rate, Duration: 10 * time.Minute}, paths...)
}

// startLoad is load with a rate, a duration, a form of the result and, for a second one beside it, a name of its own.
func startLoad(ctx context.Context, gs *v1alpha1.GinService, options testbed.LoadOptions, paths ...string) *testbed.Load {
	GinkgoHelper()
	if len(paths) == 0 {
		paths = []string{"/", "/api/v1/ping", "/api/v1/load/sleep?ms=20"}
	}
	options.Namespace, options.Name, options.FreshFraction, options.Connections = gs.Namespace, cmp.Or(options.Name, "load"), loadFresh, loadConnections
	options.MaxRequests = int(options.Rate * options.Duration.Seconds())
	// The question is whether a request is lost. A machine that has no time for its pods may answer late.
	options.Timeout = 20 * time.Second
	for _, path := range paths {
		options.URLs = append(options.URLs, fmt.Sprintf("http://%s.%s.svc%s", gs.Name, gs.Namespace, path))
	}
	l, err := cluster.StartLoad(ctx, options)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) { Expect(l.Delete(ctx)).To(Succeed()) })
	return l
}

// expectAnswers waits until a number of revisions has answered, ends the load, and checks that no others have and that no request failed. A
// node may still be writing its rules when the EndpointSlices have confirmed a switch.
func expectAnswers(ctx context.Context, l *testbed.Load, revisions int) testbed.Result {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		soFar, err := l.Result(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(len(soFar.Revisions)).To(BeNumerically(">=", revisions), "%v", soFar.Revisions)
	}).WithContext(ctx).Should(Succeed())
	result := expectNoneFailed(ctx, l)
	Expect(result.Revisions).To(HaveLen(revisions))
	return result
}

// expectNoneFailed ends a load and returns its result, in which no request may have failed.
func expectNoneFailed(ctx context.Context, l *testbed.Load) testbed.Result {
	GinkgoHelper()
	result, err := l.Stop(ctx)
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("load", fmt.Sprintf("%d requests, %d failed, %.0f/s, p50 %.1f ms, p99 %.1f ms, max %.0f ms, connections: %d opened, %d found closed",
		result.Requests, result.Failed, result.AchievedRate, result.LatencyMs.P50, result.LatencyMs.P99, result.LatencyMs.Max,
		result.Connections.Opened, result.Connections.ClosedIdle))
	Expect(result.Failed).To(BeZero(), "of %d requests: %v: %+v", result.Requests, result.Failures, result.Errors)
	Expect(result.Done).To(BeTrue())
	Expect(result.InFlight).To(BeZero())
	Expect(result.Requests).NotTo(BeZero())
	return result
}
