package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/testbed"
)

const (
	// lookEvery is how often the cluster is looked at, and so how exact the times are.
	lookEvery = 100 * time.Millisecond
	// loadEvery is how often the load generator is asked.
	loadEvery = 2 * time.Second
)

// scene is what can be seen at one moment.
type scene struct {
	at        time.Time
	condition metav1.Condition // Ready
	current   bool             // the status speaks of the spec
	step      v1alpha1.RolloutStep
	message   string
	active    v1alpha1.Color
	wanted    int                    // spec.replicas
	endpoints map[v1alpha1.Color]int // of the active Service, ready
	pods      map[v1alpha1.Color]int // all of them
	requests  string                 // what the autoscaler sees
}

func (s scene) ready() bool { return s.current && s.condition.Status == metav1.ConditionTrue }

// alone reports whether a colour, and no other, is behind the active Service.
func (s scene) alone(color v1alpha1.Color) bool {
	return s.endpoints[color] > 0 && s.endpoints[color.Other()] == 0
}

// watcher looks at the demo's GinService and shows what changes.
type watcher struct {
	cluster *testbed.Cluster
	show    *show
	load    *testbed.Load

	shown  map[string]string // the latest line of each topic
	asked  time.Time
	result testbed.Result
}

// until looks until the scene is as it should be, and shows what changes meanwhile.
func (w *watcher) until(ctx context.Context, timeout time.Duration, what string, done func(scene) bool) (scene, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("waited %s for %s", timeout, what))
	defer cancel()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		now, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return now, context.Cause(ctx)
		case err != nil:
			return now, err
		case done(now):
			return now, nil
		case now.current && now.step == v1alpha1.StepFailed:
			return now, fmt.Errorf("the rollout has failed: %s", now.message)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return now, context.Cause(ctx)
		}
	}
}

// look returns the scene of this moment and shows what is new in it.
func (w *watcher) look(ctx context.Context) (scene, error) {
	now, err := w.observe(ctx)
	if err != nil {
		return now, fmt.Errorf("looking at the GinService: %w", err)
	}
	if now.step != "" {
		w.tell("rollout", strings.TrimSuffix(fmt.Sprintf("%s: %s", now.step, now.message), ": "))
	}
	w.tell("traffic", fmt.Sprintf("endpoints of the Service: %s", counts(now.endpoints, "ready")))
	if now.requests != "" {
		w.tell("scale", fmt.Sprintf("%d pods wanted, %s requests/s in each", now.wanted, now.requests))
	}
	if w.load != nil && now.at.Sub(w.asked) >= loadEvery {
		return now, w.askLoad(ctx, now.at)
	}
	return now, nil
}

// tell shows a line unless it is the one that was shown last.
func (w *watcher) tell(topic, line string) {
	if w.shown == nil {
		w.shown = map[string]string{}
	}
	if w.shown[topic] != line {
		w.shown[topic] = line
		w.show.line(topic, "%s", line)
	}
}

// askLoad shows who has answered since it was last called.
func (w *watcher) askLoad(ctx context.Context, at time.Time) error {
	before := w.result
	result, err := w.load.Result(ctx)
	if err != nil {
		return err
	}
	w.asked, w.result = at, result
	since := map[v1alpha1.Color]int{}
	for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
		since[color] = freshOf(result, color) - freshOf(before, color)
	}
	w.show.line("load", "%d requests, %d failed; new connections answered by %s", result.Requests, result.Failed, counts(since, ""))
	return nil
}

// answers asks the load generator how many new connections a colour has answered.
func (w *watcher) answers(ctx context.Context, color v1alpha1.Color) (int, error) {
	result, err := w.load.Result(ctx)
	return freshOf(result, color), err
}

// newConnections returns the same as of the latest look.
func (w *watcher) newConnections(color v1alpha1.Color) int { return freshOf(w.result, color) }

func freshOf(result testbed.Result, color v1alpha1.Color) int {
	if seen, ok := result.Colors[string(color)]; ok && seen.NewConnections != nil {
		return seen.NewConnections.Requests
	}
	return 0
}

// observe reads all that makes up a scene.
func (w *watcher) observe(ctx context.Context) (scene, error) {
	now := scene{endpoints: map[v1alpha1.Color]int{}, pods: map[v1alpha1.Color]int{}}
	key := types.NamespacedName{Namespace: namespace, Name: name}
	var gs v1alpha1.GinService
	if err := w.cluster.Client.Get(ctx, key, &gs); err != nil {
		return now, err
	}
	now.current = gs.Status.ObservedGeneration == gs.Generation
	now.active, now.wanted = gs.Status.ActiveColor, int(ptr.Deref(gs.Spec.Replicas, 0))
	if gs.Status.Rollout != nil {
		now.step, now.message = gs.Status.Rollout.Step, gs.Status.Rollout.Message
	}
	if ready := apimeta.FindStatusCondition(gs.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		now.condition = *ready
	}
	var slices discoveryv1.EndpointSliceList
	if err := w.cluster.Client.List(ctx, &slices, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: name}); err != nil {
		return now, err
	}
	countEndpoints(now.endpoints, slices.Items)
	var pods corev1.PodList
	if err := w.cluster.Client.List(ctx, &pods, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelColor}); err != nil {
		return now, err
	}
	for i := range pods.Items {
		now.pods[v1alpha1.Color(pods.Items[i].Labels[v1alpha1.LabelColor])]++
	}
	var hpa autoscalingv2.HorizontalPodAutoscaler
	if err := w.cluster.Client.Get(ctx, key, &hpa); client.IgnoreNotFound(err) != nil {
		return now, err
	}
	for _, metric := range hpa.Status.CurrentMetrics {
		if metric.Pods != nil && metric.Pods.Current.AverageValue != nil {
			now.requests = fmt.Sprintf("%.0f", metric.Pods.Current.AverageValue.AsApproximateFloat64())
		}
	}
	now.at = time.Now()
	return now, nil
}

// countEndpoints counts ready endpoints by colour, which is part of the name of their pods.
func countEndpoints(counted map[v1alpha1.Color]int, slices []discoveryv1.EndpointSlice) {
	for i := range slices {
		for _, endpoint := range slices[i].Endpoints {
			for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
				if ptr.Deref(endpoint.Conditions.Ready, true) && endpoint.TargetRef != nil &&
					strings.HasPrefix(endpoint.TargetRef.Name, name+"-"+string(color)+"-") {
					counted[color]++
				}
			}
		}
	}
}

// counts puts numbers by colour into words.
func counts(numbers map[v1alpha1.Color]int, suffix string) string {
	var parts []string
	for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
		if numbers[color] > 0 {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %d %s", color, numbers[color], suffix)))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
