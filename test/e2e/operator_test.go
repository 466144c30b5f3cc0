//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

var _ = Describe("an operator that is killed", func() {
	It("at random moments of rollouts loses no request, and its successor finishes them", func(ctx SpecContext) {
		const kills = 4
		gs := hello(newNamespace(ctx), withReplicas(2), withScaleDownDelay(2))
		create(ctx, gs)
		traffic, seen := load(ctx, gs, 300), record(ctx, gs)
		for i := range kills {
			next := gs.Status.ActiveColor.Other()
			moments := 1 + chance.IntN(14)
			By(fmt.Sprintf("killing it %d moments into the promotion of %s", moments, next))
			_, before := seen.since(0)
			passed := countMoments(ctx, gs, moments)
			change(ctx, gs, configured("PROMOTION", strconv.Itoa(i)))
			Eventually(passed).WithContext(ctx).Should(BeClosed())
			kill(ctx)
			awaitStep(ctx, gs, v1alpha1.StepCompleted)
			expectTakenOver(seen.awaitAlone(ctx, before, next), next, 2)
			Expect(gs.Status.ActiveColor).To(Equal(next))
			awaitReady(ctx, gs)
		}
		expectAnswers(ctx, traffic, kills+1)
	}, SpecTimeout(10*time.Minute))
})

// countMoments returns a channel that is closed after a number of changes to the GinService or its children, or once a rollout is over.
func countMoments(ctx context.Context, gs *v1alpha1.GinService, wanted int) <-chan struct{} {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(ctx)
	DeferCleanup(cancel)
	changes := make(chan watch.Event)
	for _, list := range []client.ObjectList{&v1alpha1.GinServiceList{}, &corev1.PodList{}, &corev1.ServiceList{}} {
		// From now on: what there is would come first, as an addition.
		Expect(cluster.Client.List(ctx, list, client.InNamespace(gs.Namespace))).To(Succeed())
		w, err := cluster.Client.Watch(ctx, list, client.InNamespace(gs.Namespace), since(list))
		Expect(err).NotTo(HaveOccurred())
		go func() {
			defer w.Stop()
			for event := range w.ResultChan() {
				select {
				case changes <- event:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for seen := 0; seen < wanted; {
			select {
			case event := <-changes:
				seen++
				if now, ok := event.Object.(*v1alpha1.GinService); ok && now.Status.ObservedGeneration == now.Generation && now.Status.Rollout.Step == v1alpha1.StepCompleted {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return passed
}

// kill ends the operator's process with SIGKILL, and then its pod, so that the successor needn't wait out the kubelet's back-off. Where the
// process can't be reached, on a cluster that is not this machine's, it is the pod alone, without a grace period.
func kill(ctx context.Context) {
	GinkgoHelper()
	var pods corev1.PodList
	// The one that was killed last may be about to go, and the container of its successor to come.
	Eventually(func(g Gomega) {
		g.Expect(cluster.Client.List(ctx, &pods, client.InNamespace(testbed.OperatorNamespace), client.MatchingLabels{"app.kubernetes.io/component": "manager"})).To(Succeed())
		g.Expect(pods.Items).To(HaveLen(1))
		g.Expect(pods.Items[0].Status.ContainerStatuses).To(ConsistOf(And(HaveField("State.Running", Not(BeNil())), HaveField("ContainerID", Not(BeEmpty())))))
	}).WithContext(ctx).Should(Succeed())
	pod := &pods.Items[0]
	if cluster.Own {
		signal(pod, syscall.SIGKILL)
	}
	Expect(client.IgnoreNotFound(cluster.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)))).To(Succeed())
}

// signal sends a signal to the process in the only container of a pod on this machine.
func signal(pod *corev1.Pod, what syscall.Signal) {
	GinkgoHelper()
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	Expect(id).NotTo(BeEmpty())
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	Expect(err).NotTo(HaveOccurred())
	reached := 0
	for _, path := range groups {
		group, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(group), id) {
			continue // ended, or of something else
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		Expect(err).NotTo(HaveOccurred())
		Expect(syscall.Kill(pid, what)).To(Succeed())
		reached++
	}
	Expect(reached).To(Equal(1), "processes in the container of %s", pod.Name)
}
