package ginservice

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/invariants"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

// image returns the image of a version. Every spec has its own, so that a kubelet's behaviour is for its pods alone.
func image(namespace, version string) string { return "example.com/" + namespace + "/hello:" + version }

// newNamespace makes a namespace for a spec.
func newNamespace(ctx SpecContext) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	Expect(k8s.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

// service is a GinService under test, and what a spec says and asks about it.
type service struct {
	namespace, name string
	observer        *invariants.Observer
}

// manifest changes the GinService that create makes.
type manifest func(*v1alpha1.GinService)

func replicas(n int32) manifest { return func(gs *v1alpha1.GinService) { gs.Spec.Replicas = new(n) } }

func config(key, value string) manifest {
	return func(gs *v1alpha1.GinService) { gs.Spec.Config = map[string]string{key: value} }
}

func manual(gs *v1alpha1.GinService) { gs.Spec.Strategy.BlueGreen.Promotion = v1alpha1.PromotionManual }

// unschedulable is refused by the API server, though not by the schema of a GinService.
func unschedulable(gs *v1alpha1.GinService) {
	gs.Spec.Scheduling.Affinity = &v1alpha1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: "Near"}}},
		}},
	}}
}

func scaleDownDelay(seconds int32) manifest {
	return func(gs *v1alpha1.GinService) { gs.Spec.Strategy.BlueGreen.ScaleDownDelaySeconds = new(seconds) }
}

// deadline bounds how long a version may take to become ready. It is no part of a revision: a short one comes with a version that is not to
// become ready, and goes with the next, because all else that comes up under it would have to be as fast, on a machine of any speed.
func deadline(seconds int32) manifest {
	return func(gs *v1alpha1.GinService) {
		gs.Spec.ProgressDeadlineSeconds = new(seconds)
		gs.Spec.Strategy.BlueGreen.AbortScaleDownDelaySeconds = new(int32(1))
	}
}

func autoscaled(minimum, maximum int32) manifest {
	return func(gs *v1alpha1.GinService) {
		gs.Spec.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(minimum), MaxReplicas: maximum}
	}
}

// create creates a GinService named hello with version v1, in a namespace of its own.
func create(ctx SpecContext, manifests ...manifest) *service {
	GinkgoHelper()
	return createIn(ctx, newNamespace(ctx), "hello", manifests...)
}

func createIn(ctx SpecContext, namespace, name string, manifests ...manifest) *service {
	GinkgoHelper()
	gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	gs.Spec.Image = image(namespace, "v1")
	for _, change := range manifests {
		change(gs)
	}
	// What is left would be work for the operators of later specs, some of which count what theirs asks for. It goes once nobody looks at the
	// invariants any more: which of the watches tells of its end first is a matter of chance.
	DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(k8s.Delete(ctx, gs))).To(Succeed()) })
	s := &service{namespace: namespace, name: name, observer: observeInvariants(namespace, name)}
	Expect(k8s.Create(ctx, gs)).To(Succeed())
	DeferCleanup(s.checkContract)
	return s
}

// started creates a GinService and waits until it serves.
func started(ctx SpecContext, manifests ...manifest) *service {
	GinkgoHelper()
	s := create(ctx, manifests...)
	s.eventuallyServes(ctx, "v1")
	return s
}

func (s *service) key() client.ObjectKey {
	return client.ObjectKey{Namespace: s.namespace, Name: s.name}
}

func (s *service) get(ctx context.Context) *v1alpha1.GinService {
	GinkgoHelper()
	gs := &v1alpha1.GinService{}
	Expect(k8s.Get(ctx, s.key(), gs)).To(Succeed())
	return gs
}

// change updates the spec or the annotations, as often as it takes.
func (s *service) change(ctx context.Context, change func(*v1alpha1.GinService)) {
	GinkgoHelper()
	Eventually(func() error {
		gs := &v1alpha1.GinService{}
		if err := k8s.Get(ctx, s.key(), gs); err != nil {
			return err
		}
		change(gs)
		return k8s.Update(ctx, gs)
	}).WithContext(ctx).Should(Succeed())
}

// release changes the image to another version's, and what else comes with it.
func (s *service) release(ctx context.Context, version string, manifests ...manifest) {
	GinkgoHelper()
	s.change(ctx, func(gs *v1alpha1.GinService) {
		gs.Spec.Image = image(s.namespace, version)
		for _, change := range manifests {
			change(gs)
		}
	})
}

// promote approves a revision.
func (s *service) promote(ctx context.Context, revision string) {
	GinkgoHelper()
	s.annotate(ctx, v1alpha1.AnnotationPromote, revision)
}

func (s *service) annotate(ctx context.Context, key, value string) {
	GinkgoHelper()
	s.change(ctx, func(gs *v1alpha1.GinService) { metav1.SetMetaDataAnnotation(&gs.ObjectMeta, key, value) })
}

// scale writes /scale, as an autoscaler and kubectl scale do.
func (s *service) scale(ctx context.Context, n int32) {
	GinkgoHelper()
	Eventually(func() error {
		gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name}}
		scale := &autoscalingv1.Scale{}
		if err := k8s.SubResource("scale").Get(ctx, gs, scale); err != nil {
			return err
		}
		scale.Spec.Replicas = n
		return k8s.SubResource("scale").Update(ctx, gs, client.WithSubResourceBody(scale))
	}).WithContext(ctx).Should(Succeed())
}

// pods has the node treat the pods of a version like this.
func (s *service) pods(version string, behavior kubelet.Behavior) (undo func()) {
	return node.Set(kubelet.Image(image(s.namespace, version)), behavior)
}

func (s *service) deployment(ctx context.Context, color v1alpha1.Color) *appsv1.Deployment {
	deployment := &appsv1.Deployment{}
	if err := k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: s.name + "-" + string(color)}, deployment); err != nil {
		return nil
	}
	return deployment
}

func (s *service) wants(ctx context.Context, color v1alpha1.Color) int32 {
	if deployment := s.deployment(ctx, color); deployment != nil {
		return *deployment.Spec.Replicas
	}
	return 0
}

// activeColor returns what the live Service selects.
func (s *service) activeColor(ctx context.Context) v1alpha1.Color {
	svc := &corev1.Service{}
	if err := k8s.Get(ctx, s.key(), svc); err != nil {
		return ""
	}
	return v1alpha1.Color(svc.Spec.Selector[v1alpha1.LabelColor])
}

// endpoints returns the names of the pods that a Service sends traffic to.
func endpoints(ctx context.Context, namespace, service string) []string {
	var list discoveryv1.EndpointSliceList
	if err := k8s.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service}); err != nil {
		return nil
	}
	var names []string
	for _, slice := range list.Items {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready && endpoint.TargetRef != nil {
				names = append(names, endpoint.TargetRef.Name)
			}
		}
	}
	return names
}

// eventually waits until a check of the GinService holds.
func (s *service) eventually(ctx context.Context, check func(Gomega, *v1alpha1.GinService)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		gs := &v1alpha1.GinService{}
		g.Expect(k8s.Get(ctx, s.key(), gs)).To(Succeed())
		check(g, gs)
	}).WithContext(ctx).Should(Succeed(), func() string { return s.describe() })
}

// eventuallyServes waits until a version takes all traffic and the operator says so.
func (s *service) eventuallyServes(ctx context.Context, version string) {
	GinkgoHelper()
	s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
		g.Expect(gs.Status.ObservedGeneration).To(Equal(gs.Generation))
		g.Expect(apimeta.IsStatusConditionTrue(gs.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
		deployment := s.deployment(ctx, s.activeColor(ctx))
		g.Expect(deployment).NotTo(BeNil())
		g.Expect(deployment.Spec.Template.Spec.Containers[0].Image).To(Equal(image(s.namespace, version)))
		g.Expect(gs.Status.ActiveColor).To(Equal(s.activeColor(ctx)))
	})
}

// eventuallyStep waits for a step of the rollout.
func (s *service) eventuallyStep(ctx context.Context, step v1alpha1.RolloutStep) *v1alpha1.GinService {
	GinkgoHelper()
	var found *v1alpha1.GinService
	s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
		g.Expect(gs.Status.ObservedGeneration).To(Equal(gs.Generation))
		g.Expect(gs.Status.Rollout).NotTo(BeNil())
		g.Expect(gs.Status.Rollout.Step).To(Equal(step))
		found = gs
	})
	return found
}

// eventuallyCondition waits for a condition with a reason, and returns its message.
func (s *service) eventuallyCondition(ctx context.Context, kind, reason string) string {
	GinkgoHelper()
	var message string
	s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
		condition := apimeta.FindStatusCondition(gs.Status.Conditions, kind)
		g.Expect(condition).NotTo(BeNil())
		g.Expect(condition.Reason).To(Equal(reason))
		message = condition.Message
	})
	return message
}

// eventuallySays waits for a condition with a reason and with these words in its message, where other messages have the same reason. News
// that are in the message alone may take a second.
func (s *service) eventuallySays(ctx context.Context, kind, reason, words string) {
	GinkgoHelper()
	s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
		condition := apimeta.FindStatusCondition(gs.Status.Conditions, kind)
		g.Expect(condition).NotTo(BeNil())
		g.Expect(condition.Reason).To(Equal(reason))
		g.Expect(condition.Message).To(ContainSubstring(words))
	})
}

// eventuallyCrashed waits until a pod of a version says that it has crashed, which is what the operator repeats when a deadline passes.
func (s *service) eventuallyCrashed(ctx context.Context, version string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		var pods corev1.PodList
		g.Expect(k8s.List(ctx, &pods, client.InNamespace(s.namespace))).To(Succeed())
		g.Expect(pods.Items).To(ContainElement(And(
			HaveField("Spec.Containers", ContainElement(HaveField("Image", image(s.namespace, version)))),
			HaveField("Status.ContainerStatuses", ContainElement(HaveField("LastTerminationState.Terminated", Not(BeNil())))),
		)))
	}).WithContext(ctx).Should(Succeed())
}

// events returns the messages of the events with a reason.
func (s *service) events(ctx context.Context, reason string) []string {
	var list eventsv1.EventList
	if err := k8s.List(ctx, &list, client.InNamespace(s.namespace)); err != nil {
		return nil
	}
	var notes []string
	for _, event := range list.Items {
		if event.Reason == reason && event.Regarding.Kind == "GinService" && event.Regarding.Name == s.name {
			notes = append(notes, event.Note)
		}
	}
	return notes
}

// describe is what a failed wait shows.
func (s *service) describe() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gs := &v1alpha1.GinService{}
	if err := k8s.Get(ctx, s.key(), gs); err != nil {
		return err.Error()
	}
	status, _ := json.MarshalIndent(gs.Status, "", " ") //nolint:errchkjson // of our own type
	return fmt.Sprintf("generation %d, active %q, blue wants %d, green wants %d, status %s", gs.Generation, s.activeColor(ctx),
		s.wants(ctx, v1alpha1.Blue), s.wants(ctx, v1alpha1.Green), status)
}

// podNames returns the pods of a colour.
func (s *service) podNames(ctx context.Context, color v1alpha1.Color) []string {
	return s.podsMatching(ctx, labels.SelectorFromSet(labels.Set{v1alpha1.LabelColor: string(color)}))
}

func (s *service) podsMatching(ctx context.Context, selector labels.Selector) []string {
	var pods corev1.PodList
	if err := k8s.List(ctx, &pods, client.InNamespace(s.namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil
	}
	var names []string
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil {
			names = append(names, pods.Items[i].Name)
		}
	}
	return names
}

// configOf returns the configuration that the pods of a colour get.
func (s *service) configOf(ctx context.Context, color v1alpha1.Color) map[string]string {
	GinkgoHelper()
	for _, source := range s.deployment(ctx, color).Spec.Template.Spec.Containers[0].EnvFrom {
		if source.ConfigMapRef != nil {
			snapshot := &corev1.ConfigMap{}
			Expect(k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: source.ConfigMapRef.Name}, snapshot)).To(Succeed())
			Expect(snapshot.Immutable).To(HaveValue(BeTrue()))
			return snapshot.Data
		}
	}
	return nil
}

// revisions returns the history: change causes by revision.
func (s *service) revisions(ctx context.Context) map[string]string {
	var list appsv1.ControllerRevisionList
	if err := k8s.List(ctx, &list, client.InNamespace(s.namespace)); err != nil {
		return nil
	}
	causes := map[string]string{}
	for _, revision := range list.Items {
		causes[revision.Labels[v1alpha1.LabelRevision]] = revision.Annotations[v1alpha1.AnnotationChangeCause]
	}
	return causes
}

// poke starts a pass, and waits until it is over: a label that the operator owns is taken away and comes back.
func (s *service) poke(ctx context.Context) {
	GinkgoHelper()
	svc := &corev1.Service{}
	Eventually(func() error {
		if err := k8s.Get(ctx, s.key(), svc); err != nil {
			return err
		}
		svc.Labels[v1alpha1.LabelRole] = "poked"
		return k8s.Update(ctx, svc)
	}).Should(Succeed())
	Eventually(func(g Gomega) {
		g.Expect(k8s.Get(ctx, s.key(), svc)).To(Succeed())
		g.Expect(svc.Labels).To(HaveKeyWithValue(v1alpha1.LabelRole, v1alpha1.RoleActive))
	}).Should(Succeed())
}
