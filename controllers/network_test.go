package controllers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// watchedBy makes a situation one with a PodMonitor that is asked for, and maybe there.
func watchedBy(known kindState, there bool) func(*situation) {
	return func(s *situation) {
		s.o.gs.Spec.Monitoring.Type = v1alpha1.MonitoringPodMonitor
		s.o.monitor = optionalChild[*monitoring.PodMonitor]{known: known, wanted: true, current: true}
		if there {
			s.o.monitor.live = &monitoring.PodMonitor{ObjectMeta: ownedBy(s.o.gs, "hello")}
		}
	}
}

func TestMonitoredTellsWhetherThePodMonitorIsThere(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*situation)
		status metav1.ConditionStatus
		says   string
	}{
		"it is":                            {watchedBy(kindRead, true), metav1.ConditionTrue, "the PodMonitor is there"},
		"it is not, and no pass has ended": {watchedBy(kindRead, false), metav1.ConditionUnknown, "there is no PodMonitor yet"},
		"the cluster has none":             {watchedBy(kindMissing, false), metav1.ConditionFalse, "has no PodMonitors, and all else works without: install prometheus-operator"},
		"they are being read":              {watchedBy(kindUnread, false), metav1.ConditionUnknown, "see the log of the operator"},
		"it is that of an earlier spec": {func(s *situation) {
			watchedBy(kindRead, true)(s)
			s.o.monitor.current = false
		}, metav1.ConditionUnknown, "the PodMonitor is being written"},
		"its name is taken": {func(s *situation) {
			watchedBy(kindRead, false)(s)
			s.o.monitor.trouble = problemOf(&nameTakenError{kind: "PodMonitor", name: "hello"})
		}, metav1.ConditionFalse, "PodMonitor hello exists and does not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			condition := apimeta.FindStatusCondition(newSituation(tc.change).status().Conditions, v1alpha1.ConditionMonitored)
			if condition == nil || condition.Status != tc.status || !strings.Contains(condition.Message, tc.says) {
				t.Errorf("%+v", condition)
			}
		})
	}
	s := newSituation(watchedBy(kindRead, true))
	s.o.gs.Status = *s.status()
	s.o.gs.Spec.Monitoring.Type = v1alpha1.MonitoringNone
	if condition := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionMonitored); condition != nil {
		t.Errorf("it stays when nobody asks for it any more: %+v", condition)
	}
}

// TestMetricsPortsAreThoseOfPods: while a rollout moves the metrics, Prometheus has to reach the old pods and the new ones.
func TestMetricsPortsAreThoseOfPods(t *testing.T) {
	gs := service()
	together := resources.RevisionOf(gs.Spec.WorkloadSpec)
	gs.Spec.Ports.Metrics = new(int32(9090))
	apart := resources.RevisionOf(gs.Spec.WorkloadSpec)
	for name, tc := range map[string]struct {
		wanted resources.Revision
		colors map[v1alpha1.Color]rollout.Color
		want   []string
	}{
		"no pods":                          {apart, nil, []string{"metrics"}},
		"one revision":                     {together, map[v1alpha1.Color]rollout.Color{v1alpha1.Blue: {Revision: together.Name, Current: 2}}, []string{"http"}},
		"the old pods have another port":   {apart, map[v1alpha1.Color]rollout.Color{v1alpha1.Blue: {Revision: together.Name, Current: 2}}, []string{"http", "metrics"}},
		"the old colour has no pods":       {apart, map[v1alpha1.Color]rollout.Color{v1alpha1.Blue: {Revision: together.Name}}, []string{"metrics"}},
		"pods of a revision that vanished": {together, map[v1alpha1.Color]rollout.Color{v1alpha1.Blue: {Revision: "lost", Current: 2}}, []string{"http", "metrics"}},
	} {
		o := serving(gs)
		o.wanted, o.state.Colors = tc.wanted, tc.colors
		o.recorded = map[string]resources.Revision{together.Name: together, apart.Name: apart}
		if diff := cmp.Diff(tc.want, o.metricsPorts()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}
