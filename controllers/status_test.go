package controllers

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// situation is what a status is made of.
type situation struct {
	o       *observation
	plan    rollout.Plan
	trouble *problem
	pods    string
}

// situations are those that differ in what status says of them.
func situations() map[string]struct {
	change func(*situation)
	want   string // the conditions, with their reasons, where True
	ready  string // the reason of Ready
} {
	type row = struct {
		change func(*situation)
		want   string
		ready  string
	}
	rollOut := func(step v1alpha1.RolloutStep) func(*situation) {
		return func(s *situation) {
			s.o.state.Wanted = "new"
			s.plan.Rollout = &v1alpha1.RolloutStatus{Revision: "new", Step: step, Message: "waiting"}
			s.plan.Preview = rollout.Preview{Color: v1alpha1.Green, Revision: "new"}
			s.plan.Colors[v1alpha1.Green] = rollout.Target{Revision: "new", Replicas: 2}
		}
	}
	return map[string]row{
		"all is well": {func(*situation) {}, "Available=EndpointsReady Ready=Serving", "Serving"},
		"nothing exists yet": {func(s *situation) {
			s.o.state.Colors, s.o.state.ActiveEndpoints, s.plan.Rollout.Step = nil, nil, v1alpha1.StepDeploying
		}, "Progressing=Deploying Reconciling=RollingOut", "RollingOut"},
		"a preview is being prepared":  {rollOut(v1alpha1.StepDeploying), "Available=EndpointsReady Progressing=Deploying Reconciling=RollingOut", "RollingOut"},
		"a preview waits for approval": {rollOut(v1alpha1.StepWaitingForPromotion), "Available=EndpointsReady Progressing=WaitingForPromotion Reconciling=RollingOut", "RollingOut"},
		"a preview does not start": {func(s *situation) {
			rollOut(v1alpha1.StepDeploying)(s)
			s.pods = "the image can't be pulled"
		}, "Available=EndpointsReady Progressing=Deploying Reconciling=PodsNotStarting", "PodsNotStarting"},
		"an analysis has failed": {func(s *situation) {
			rollOut(v1alpha1.StepAborted)(s)
			s.plan.Rollout.Analysis = &v1alpha1.AnalysisStatus{Outcome: v1alpha1.AnalysisFailed}
		}, "Available=EndpointsReady Stalled=AnalysisFailed", "AnalysisFailed"},
		"an analysis of what serves has failed": {func(s *situation) {
			rollOut(v1alpha1.StepAborted)(s)
			s.plan.Rollout.PostPromotionAnalysis = &v1alpha1.AnalysisStatus{Outcome: v1alpha1.AnalysisFailed}
		}, "Available=EndpointsReady Stalled=AnalysisFailed", "AnalysisFailed"},
		"a rollout has failed":  {rollOut(v1alpha1.StepFailed), "Available=EndpointsReady Stalled=ProgressDeadlineExceeded", "ProgressDeadlineExceeded"},
		"a rollout was aborted": {rollOut(v1alpha1.StepAborted), "Available=EndpointsReady Stalled=Aborted", "Aborted"},
		"the old colour is still warm": {func(s *situation) {
			s.plan.Rollout.Step = v1alpha1.StepDraining
		}, "Available=EndpointsReady Progressing=Draining Ready=Serving", "Serving"},
		"a revision was taken back": {func(s *situation) {
			s.plan.Rollout.Step = v1alpha1.StepCancelled
		}, "Available=EndpointsReady Ready=Serving", "Serving"},
		"pods are being added": {func(s *situation) { s.plan.Serving = 5 }, "Available=EndpointsReady Reconciling=Scaling", "Scaling"},
		"a change that the Deployment's controller has not seen": {func(s *situation) {
			blue := s.o.state.Colors[v1alpha1.Blue]
			blue.Settled = false
			s.o.state.Colors[v1alpha1.Blue] = blue
		}, "Available=EndpointsReady Reconciling=Scaling", "Scaling"},
		"no replica is wanted": {func(s *situation) { s.plan.Serving, s.o.state.ActiveEndpoints = 0, nil }, "Ready=ScaledToZero", "ScaledToZero"},
		"no pod is ready any more": {func(s *situation) {
			s.o.state.ActiveEndpoints = nil
			s.o.state.Colors[v1alpha1.Blue] = rollout.Color{Revision: s.o.wanted.Name, Replicas: 2, Settled: true}
		}, "Reconciling=Scaling", "Scaling"},
		"a name is taken": {func(s *situation) {
			s.trouble = problemOf(&nameTakenError{kind: "Service", name: "hello"})
		}, "Available=EndpointsReady NameConflict=NameTaken Stalled=NameTaken", "NameTaken"},
		"somebody fights": {func(s *situation) {
			s.trouble = &problem{reason: v1alpha1.ReasonContested, message: "something keeps changing it"}
		}, "Available=EndpointsReady Stalled=Contested", "Contested"},
		"it is suspended during a rollout": {func(s *situation) {
			rollOut(v1alpha1.StepDeploying)(s)
			s.o.gs.Spec.Suspend = new(true)
		}, "Available=EndpointsReady", "Suspended"},
		"the autoscaler has not reported": {func(s *situation) {
			s.o.gs.Spec.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: 3}
		}, "Available=EndpointsReady Ready=Serving", "Serving"},
		"the cluster has no HTTPRoutes":   {routed(kindMissing), "Available=EndpointsReady Ready=Serving", "Serving"},
		"there is no HTTPRoute yet":       {routed(kindRead), "Available=EndpointsReady Ready=Serving", "Serving"},
		"a Gateway takes the HTTPRoute":   {routed(kindRead, metav1.ConditionTrue), "Available=EndpointsReady Ready=Serving RouteAccepted=Accepted", "Serving"},
		"a Gateway refuses the HTTPRoute": {routed(kindRead, metav1.ConditionFalse), "Available=EndpointsReady Ready=Serving", "Serving"},
		"the cluster has no PodMonitors":  {watchedBy(kindMissing, false), "Available=EndpointsReady Ready=Serving", "Serving"},
		"there is no PodMonitor yet":      {watchedBy(kindRead, false), "Available=EndpointsReady Ready=Serving", "Serving"},
		"there is a PodMonitor":           {watchedBy(kindRead, true), "Available=EndpointsReady Monitored=PodMonitorWritten Ready=Serving", "Serving"},
		"the autoscaler decides": {
			scaled(corev1.ConditionTrue, "ValidMetricFound", "the HPA was able to compute 17 from cpu"), "AutoscalingActive=ValidMetricFound Available=EndpointsReady Ready=Serving", "Serving",
		},
		"the autoscaler can't measure":     {scaled(corev1.ConditionFalse, "FailedGetPodsMetric", "no metrics"), "Available=EndpointsReady Ready=Serving", "Serving"},
		"the autoscaler has gone to zero":  {atZero(scaled(corev1.ConditionTrue, "ValidMetricFound", "0 of jobs")), "AutoscalingActive=ValidMetricFound Ready=ScaledToZero", "ScaledToZero"},
		"somebody else has, and it pauses": {atZero(scaled(corev1.ConditionFalse, "ScalingDisabled", "it is zero")), "Ready=ScaledToZero", "ScaledToZero"},
	}
}

// scaled is a service with an autoscaler, and what that reports.
func scaled(active corev1.ConditionStatus, reason, message string) func(*situation) {
	return func(s *situation) {
		s.o.gs.Spec.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(0)), MaxReplicas: 3}
		s.o.hpa = &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: ownedBy(s.o.gs, "hello")}
		s.o.hpa.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.ScalingActive, Status: active, Reason: reason, Message: message}}
	}
}

// lacking is a service whose autoscaler has a value of cpu alone.
func lacking(s *situation) {
	scaled(corev1.ConditionTrue, "ValidMetricFound", "the HPA was able to compute 2 from cpu")(s)
	s.o.hpa.Spec.Metrics = []autoscalingv2.MetricSpec{
		{Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU}},
		{Pods: &autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "jobs"}}},
		{External: &autoscalingv2.ExternalMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "messages"}}},
		{ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: corev1.ResourceMemory}},
		{Object: &autoscalingv2.ObjectMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "queue"}}},
		{Type: "Other"},
	}
	s.o.hpa.Status.CurrentMetrics = make([]autoscalingv2.MetricStatus, len(s.o.hpa.Spec.Metrics))
	s.o.hpa.Status.CurrentMetrics[0].Type = autoscalingv2.ResourceMetricSourceType
	s.o.hpa.Status.CurrentReplicas = 2
}

func TestStatusNamesTheMetricsWithoutAValue(t *testing.T) {
	const after = ": by the other metrics, the HorizontalPodAutoscaler adds pods, and takes none away; "
	for name, tc := range map[string]struct {
		change          func(*situation)
		reason, message string
	}{
		"some have none": {func(*situation) {}, v1alpha1.ReasonMetricMissing, "there is no value of jobs, messages, memory, queue, Other" + after + "its events say why"},
		"there are no pods to measure in": {
			func(s *situation) { s.o.hpa.Status.CurrentReplicas = 0 },
			v1alpha1.ReasonMetricMissing, "there is no value of messages, queue, Other" + after + "its events say why",
		},
		"nothing else is lacking where there are no pods": {func(s *situation) {
			s.o.hpa.Status.CurrentReplicas = 0
			s.o.hpa.Spec.Metrics, s.o.hpa.Status.CurrentMetrics = s.o.hpa.Spec.Metrics[:2], s.o.hpa.Status.CurrentMetrics[:2]
		}, "ValidMetricFound", "the HorizontalPodAutoscaler decides on the number of pods"},
		"the report is of another spec": {
			func(s *situation) { s.o.hpa.Spec.Metrics = s.o.hpa.Spec.Metrics[:2] },
			"ValidMetricFound", "the HorizontalPodAutoscaler decides on the number of pods",
		},
		"the others ask for fewer": {
			func(s *situation) { fails(s, "no pod has a value of jobs") },
			v1alpha1.ReasonMetricMissing, "there is no value of jobs, messages, memory, queue, Other" + after + "no pod has a value of jobs",
		},
		"all have none": {func(s *situation) {
			fails(s, "no pod has a value of cpu")
			s.o.hpa.Status.CurrentMetrics[0].Type = ""
		}, "FailedGetPodsMetric", "no pod has a value of cpu"},
	} {
		s := newSituation(lacking)
		tc.change(s)
		condition := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionAutoscalingActive)
		if condition.Reason != tc.reason || condition.Message != tc.message {
			t.Errorf("%s: %s: %s", name, condition.Reason, condition.Message)
		}
	}
}

// fails has an autoscaler report that it can't go on.
func fails(s *situation, message string) {
	report := &s.o.hpa.Status.Conditions[0]
	report.Status, report.Reason, report.Message = corev1.ConditionFalse, "FailedGetPodsMetric", message
}

// Names of metrics have digits, too.
func TestStatusTellsMetricsApartByTheirDigits(t *testing.T) {
	s := newSituation(lacking)
	for _, name := range []string{"jobs_95", "jobs_99"} {
		s.o.hpa.Spec.Metrics[1].Pods.Metric.Name = name
		s.o.gs.Status = *s.status()
		if got := apimeta.FindStatusCondition(s.o.gs.Status.Conditions, v1alpha1.ConditionAutoscalingActive).Message; !strings.Contains(got, name) {
			t.Errorf("%q, want %s", got, name)
		}
	}
}

// atZero takes the pods away.
func atZero(change func(*situation)) func(*situation) {
	return func(s *situation) {
		change(s)
		s.plan.Serving, s.o.state.ActiveEndpoints = 0, nil
	}
}

// That a service is never woken is nothing that its zero alone tells.
func TestStatusSaysHowAnAutoscalerThatPausesGoesOn(t *testing.T) {
	for name, wayOut := range map[string]bool{"somebody else has, and it pauses": true, "the autoscaler has gone to zero": false} {
		condition := apimeta.FindStatusCondition(newSituation(situations()[name].change).status().Conditions, v1alpha1.ConditionAutoscalingActive)
		if strings.Contains(condition.Message, "scale to one or more") != wayOut {
			t.Errorf("%s: %q", name, condition.Message)
		}
	}
}

func newSituation(change func(*situation)) *situation {
	o := serving(service())
	s := &situation{o: o, plan: completed(o)}
	change(s)
	return s
}

func (s *situation) status() *v1alpha1.GinServiceStatus {
	return statusOf(s.o, s.plan, s.trouble, s.pods)
}

func TestStatusSaysWhatIsGoingOn(t *testing.T) {
	for name, tc := range situations() {
		t.Run(name, func(t *testing.T) {
			conditions := newSituation(tc.change).status().Conditions
			var holding []string
			for _, condition := range conditions {
				if condition.Status == metav1.ConditionTrue {
					holding = append(holding, condition.Type+"="+condition.Reason)
				}
				if condition.Message == "" || condition.ObservedGeneration != 3 {
					t.Errorf("%+v", condition)
				}
			}
			slices.Sort(holding)
			if diff := cmp.Diff(tc.want, strings.Join(holding, " ")); diff != "" {
				t.Error(diff)
			}
			if ready := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready == nil || ready.Reason != tc.ready {
				t.Errorf("Ready is %+v", ready)
			}
			for _, passing := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionNameConflict} {
				if condition := apimeta.FindStatusCondition(conditions, passing); condition != nil && condition.Status != metav1.ConditionTrue {
					t.Errorf("%s is there while it is not True", passing)
				}
			}
		})
	}
}

// A status that was stored and read back, an hour later, in the same situation, is the same: there is nothing to write.
func TestStatusIsAtRest(t *testing.T) {
	long := func(s *situation) {
		s.trouble = &problem{reason: v1alpha1.ReasonRejected, message: "x" + strings.Repeat("界", maxMessage)}
	}
	rows := map[string]func(*situation){"a message that is too long": long}
	for name, tc := range situations() {
		rows[name] = tc.change
	}
	for name, change := range rows {
		t.Run(name, func(t *testing.T) {
			s := newSituation(change)
			first := s.status()
			text, err := json.Marshal(first)
			if err != nil {
				t.Fatal(err)
			}
			s = newSituation(change)
			if err := json.Unmarshal(text, &s.o.gs.Status); err != nil {
				t.Fatal(err)
			}
			s.o.state.Now = start.Add(time.Hour)
			if second := s.status(); !equality.Semantic.DeepEqual(&s.o.gs.Status, second) {
				t.Error(cmp.Diff(&s.o.gs.Status, second))
			}
			for _, condition := range first.Conditions {
				if len(condition.Message) > maxMessage || !utf8.ValidString(condition.Message) {
					t.Errorf("%s has a message of %d bytes", condition.Type, len(condition.Message))
				}
			}
		})
	}
}

// From one situation to any other and back, what only passes goes, and what stays keeps the time of its last transition.
func TestStatusLeavesNothingBehind(t *testing.T) {
	all := situations()
	for from, before := range all {
		for to, after := range all {
			s := newSituation(after.change)
			s.o.gs.Status = *newSituation(before.change).status()
			conditions := s.status().Conditions
			clean := newSituation(after.change).status().Conditions
			types := func(conditions []metav1.Condition) (types []string) {
				for _, condition := range conditions {
					types = append(types, condition.Type+"="+string(condition.Status))
				}
				slices.Sort(types)
				return types
			}
			if diff := cmp.Diff(types(clean), types(conditions)); diff != "" {
				t.Errorf("from %q to %q: %s", from, to, diff)
			}
		}
	}
}

// An autoscaler reports another number every few seconds.
func TestStatusKeepsWhatTheAutoscalerSaidFirst(t *testing.T) {
	change := situations()["the autoscaler can't measure"].change
	s := newSituation(change)
	s.o.gs.Status = *s.status()
	s.o.hpa.Status.Conditions[0].Message = "no metrics for 15s"
	s.o.gs.Status = *s.status()
	s.o.hpa.Status.Conditions[0].Message = "no metrics for 5s"
	if second := s.status(); !equality.Semantic.DeepEqual(&s.o.gs.Status, second) {
		t.Error(cmp.Diff(&s.o.gs.Status, second))
	}
	// Another cause may have the same reason, and another reason the same words.
	for _, next := range []struct{ reason, message string }{
		{s.o.hpa.Status.Conditions[0].Reason, "the pods answer with 404"}, {"FailedGetResourceMetric", "the pods answer with 503"},
	} {
		s.o.hpa.Status.Conditions[0].Reason, s.o.hpa.Status.Conditions[0].Message = next.reason, next.message
		s.o.gs.Status = *s.status()
		condition := apimeta.FindStatusCondition(s.o.gs.Status.Conditions, v1alpha1.ConditionAutoscalingActive)
		if condition.Reason != next.reason || condition.Message != next.message {
			t.Errorf("the condition has the reason %s and the message %q, want %+v", condition.Reason, condition.Message, next)
		}
	}
}

func TestColorRoles(t *testing.T) {
	for name, tc := range map[string]struct {
		step     v1alpha1.RolloutStep
		replicas int32
		want     v1alpha1.ColorRole
	}{
		"the preview of a rollout":        {v1alpha1.StepDeploying, 2, v1alpha1.RoleColorPreview},
		"the old colour in a switch":      {v1alpha1.StepSwitching, 2, v1alpha1.RoleColorWarm},
		"the old colour while it is kept": {v1alpha1.StepDraining, 2, v1alpha1.RoleColorWarm},
		"the old colour afterwards":       {v1alpha1.StepCompleted, 0, v1alpha1.RoleColorIdle},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSituation(func(s *situation) {
				s.plan.Rollout.Step = tc.step
				s.plan.Colors[v1alpha1.Green] = rollout.Target{Revision: "other", Replicas: tc.replicas}
			})
			colors := s.status().Colors
			if len(colors) != 2 || colors[0].Role != v1alpha1.RoleColorActive || colors[1].Role != tc.want {
				t.Errorf("the colours are %+v", colors)
			}
		})
	}
}

// What a message tells people to do has to work.
func TestTheWayOutOfARolloutThatCameToNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		record v1alpha1.RolloutStatus
		abort  string
		want   string
	}{
		"failed":                  {v1alpha1.RolloutStatus{Step: v1alpha1.StepFailed}, "", "to try again, change the spec, or set the annotation apps.gin-operator.dev/retry: new; to go back, apply the spec of revision"},
		"failed again":            {v1alpha1.RolloutStatus{Step: v1alpha1.StepFailed, Retry: "new"}, "", "retry: new.2;"},
		"and again":               {v1alpha1.RolloutStatus{Step: v1alpha1.StepFailed, Retry: "new.2"}, "", "retry: new.3;"},
		"with a suffix of theirs": {v1alpha1.RolloutStatus{Step: v1alpha1.StepFailed, Retry: "new.monday"}, "", "retry: new.monday.2;"},
		"with that of another":    {v1alpha1.RolloutStatus{Step: v1alpha1.StepFailed, Retry: "old"}, "", "retry: new;"},
		"aborted":                 {v1alpha1.RolloutStatus{Step: v1alpha1.StepAborted}, "new", "to try again, remove the annotation apps.gin-operator.dev/abort and change the spec, or set the annotation apps.gin-operator.dev/retry: new;"},
		"aborted by the name it had before a restart": {v1alpha1.RolloutStatus{Step: v1alpha1.StepAborted}, "new-abcde", "to try again, change the spec"},
		"expired": {v1alpha1.RolloutStatus{Step: v1alpha1.StepAborted}, "", "to try again, change the spec, or"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSituation(func(s *situation) {
				wanted := s.o.wanted.Name
				s.o.wanted.Name = "new"
				tc.record.Revision = "new"
				s.plan.Rollout = &tc.record
				s.o.state.Aborted = tc.abort
				s.o.want()
				s.o.wanted.Name = wanted
			})
			ready := apimeta.FindStatusCondition(s.status().Conditions, v1alpha1.ConditionReady)
			if !strings.Contains(ready.Message, tc.want) {
				t.Errorf("%s\nwant in it: %s", ready.Message, tc.want)
			}
		})
	}
}
