package main

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// drainSeconds is how long the old colour stays after a switch: short, so that the benchmark sees rollouts end.
const drainSeconds = 5

// workload is what the services of the benchmark run.
type workload struct {
	// before and after are the images of the two versions.
	before, after string
	requests      corev1.ResourceList
}

// simulated is the workload where nothing is really started: its images need not exist.
var simulated = workload{before: "registry.example.com/hello:v1.2.0", after: "registry.example.com/hello:v1.3.0"}

// managedByFloor is what the label says on the objects of the floor that says gin-operator on the operator's.
const managedByFloor = "plain-client"

// serviceName returns the name of a service of the benchmark. All have the same length.
func serviceName(i int) string { return fmt.Sprintf("svc-%05d", i) }

// sample returns the GinService that is measured, with its first version: two keys of configuration, and one to three pods by their CPU. So it has a ConfigMap, a
// ControllerRevision, a Deployment, two Services and an autoscaler, and, with one pod, no PodDisruptionBudget.
func (w *workload) sample(namespace, name string) *v1alpha1.GinService {
	return &v1alpha1.GinService{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.GinServiceSpec{
			WorkloadSpec: v1alpha1.WorkloadSpec{
				Image:     w.before,
				Config:    map[string]string{"LOG_LEVEL": "info", "TIMEOUT": "30s"},
				Resources: v1alpha1.Resources{Requests: w.requests},
			},
			Strategy: v1alpha1.Strategy{BlueGreen: v1alpha1.BlueGreen{ScaleDownDelaySeconds: ptr.To[int32](drainSeconds)}},
			Autoscaling: &v1alpha1.Autoscaling{
				MinReplicas: ptr.To[int32](1),
				MaxReplicas: 3,
				Metrics:     []v1alpha1.Metric{{Type: v1alpha1.MetricCPU, AverageUtilization: ptr.To[int32](80)}},
			},
		},
	}
}

// floorSet is what the operator makes for one version of the sample, as a person would write it without an operator.
type floorSet struct {
	config     *corev1.ConfigMap
	history    *appsv1.ControllerRevision
	deployment *appsv1.Deployment
	preview    *corev1.Service
	active     *corev1.Service
	autoscaler *autoscalingv2.HorizontalPodAutoscaler
}

// floorObjects returns the objects of one colour, which tells the version: blue is the first. They come from the operator's own builders, so that they are the same size as what it
// writes; they have no owner, and the autoscaler's target is the Deployment.
func (w *workload) floorObjects(namespace, name string, color v1alpha1.Color) (*floorSet, error) {
	gs := w.sample(namespace, name)
	gs.UID = types.UID("00000000-0000-0000-0000-" + strings.Repeat("0", 12-len(name)) + name)
	if color == v1alpha1.Green {
		gs.Spec.Image = w.after
	}
	revision := resources.RevisionOf(gs.Spec.WorkloadSpec)
	record, err := resources.ControllerRevision(gs, revision, 1)
	if err != nil {
		return nil, err
	}
	set := &floorSet{}
	for _, made := range []struct{ from, to any }{
		{resources.ConfigMap(gs, revision), &set.config},
		{record, &set.history},
		{resources.Deployment(gs, color, revision, 1), &set.deployment},
		{resources.PreviewService(gs, color, revision.Name), &set.preview},
		{resources.ActiveService(gs, color, false, gs.Spec.Ports), &set.active},
		{resources.HorizontalPodAutoscaler(gs), &set.autoscaler},
	} {
		text, err := json.Marshal(made.from)
		if err != nil {
			return nil, fmt.Errorf("making the objects of the floor: %w", err)
		}
		if err := json.Unmarshal(text, made.to); err != nil {
			return nil, fmt.Errorf("making the objects of the floor: %w", err)
		}
	}
	for _, object := range []metav1.Object{set.config, set.history, set.deployment, set.preview, set.active, set.autoscaler} {
		object.SetOwnerReferences(nil)
		object.GetLabels()[v1alpha1.LabelManagedBy] = managedByFloor
	}
	set.autoscaler.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{
		APIVersion: "apps/v1", Kind: "Deployment", Name: names.Deployment(name, color),
	}
	return set, nil
}
