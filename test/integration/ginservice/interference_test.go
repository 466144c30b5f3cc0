package ginservice

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/test/counting"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

// meddler does something once, at the last moment before a request of the operator reaches the API server.
type meddler struct {
	method, suffix string
	act            func()
	once           sync.Once
}

func (m *meddler) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Method == m.method && strings.HasSuffix(req.URL.Path, m.suffix) {
			m.once.Do(m.act)
		}
		return next.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// meddledOperator starts an operator whose request with this method, to a path with this end, finds that act came before it.
func meddledOperator(method, suffix string, act func()) *operator {
	GinkgoHelper()
	cfg := plane.Config()
	cfg.Wrap((&meddler{method: method, suffix: suffix, act: func() {
		defer GinkgoRecover()
		act()
	}}).Wrap)
	return startOperatorAs(cfg)
}

// moveTraffic moves the active Service to a colour, as nobody should.
func (s *service) moveTraffic(ctx context.Context, color v1alpha1.Color) {
	GinkgoHelper()
	active := &corev1.Service{ObjectMeta: s.meta("hello")}
	s.mutate(ctx, active, func(o client.Object) { o.(*corev1.Service).Spec.Selector[v1alpha1.LabelColor] = string(color) })
}

func writesOf(resource string) func(counting.Key) bool {
	return func(key counting.Key) bool { return key.Resource == resource && key.IsWrite() }
}

var _ = Describe("interference", func() {
	It("fills in spec.replicas although somebody labels the GinService in the same moment", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		meddledOperator(http.MethodPut, namespace+"/ginservices/hello/scale", func() {
			gs := &v1alpha1.GinService{}
			Expect(k8s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "hello"}, gs)).To(Succeed())
			gs.Labels = map[string]string{"team": "a"} // neither the generation nor an annotation changes
			Expect(k8s.Update(ctx, gs)).To(Succeed())
		})
		createIn(ctx, namespace, "hello").eventuallyServes(ctx, "v1")
	})

	It("takes a label out of a selector that would keep all traffic from the pods", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(1))
		s.allowOutage(ctx, func() {
			for _, name := range []string{"hello", "hello-preview"} {
				svc := &corev1.Service{ObjectMeta: s.meta(name)}
				s.mutate(ctx, svc, func(o client.Object) { o.(*corev1.Service).Spec.Selector["tier"] = "nowhere" })
				Eventually(func(g Gomega) {
					g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(svc), svc)).To(Succeed())
					g.Expect(svc.Spec.Selector).NotTo(HaveKey("tier"))
				}).Should(Succeed(), name)
			}
		})
		Eventually(endpoints).WithArguments(ctx, s.namespace, "hello").Should(HaveLen(1))
	})

	It("takes traffic back from a colour that has no pods", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(1))
		s.allowOutage(ctx, func() {
			s.moveTraffic(ctx, v1alpha1.Green)
			Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		})
		s.eventuallyServes(ctx, "v1")
		Eventually(s.events).WithArguments(ctx, "TrafficReturned").Should(HaveLen(1))
		err := k8s.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: "hello-green"}, &appsv1.Deployment{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
		Expect(s.events(ctx, "RolloutStarted")).To(HaveLen(1))
	})

	It("takes traffic back although something else is refused", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(1))
		s.change(ctx, unschedulable)
		s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonRejected)
		s.allowOutage(ctx, func() {
			s.moveTraffic(ctx, v1alpha1.Green)
			Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		})
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Scheduling.Affinity = nil })
		s.eventuallyServes(ctx, "v1")
	})

	It("takes traffic back from a preview that doesn't run", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(1))
		s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDeploying)
		Eventually(func() []string { return s.podNames(ctx, v1alpha1.Green) }).Should(HaveLen(1))
		s.allowOutage(ctx, func() {
			s.moveTraffic(ctx, v1alpha1.Green)
			Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		})
		Eventually(endpoints).WithArguments(ctx, s.namespace, s.name).Should(And(HaveLen(1), HaveEach(HavePrefix("hello-blue-"))))
	})

	It("leaves it to the Deployment to restart a colour that kubectl rollout restart names", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(2))
		before := s.podNames(ctx, v1alpha1.Blue)
		patch := client.RawPatch(types.StrategicMergePatchType, []byte(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`))
		Expect(k8s.Patch(ctx, &appsv1.Deployment{ObjectMeta: s.meta("hello-blue")}, patch)).To(Succeed())
		Eventually(s.podNames).WithArguments(ctx, v1alpha1.Blue).Should(And(HaveLen(2), Not(ContainElement(BeElementOf(before)))))
		s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonServing)
		s.poke(ctx)
		Expect(s.deployment(ctx, v1alpha1.Blue).Spec.Template.Annotations).To(HaveKeyWithValue("kubectl.kubernetes.io/restartedAt", "now"))
		Expect(s.events(ctx, "RolloutStarted")).To(HaveLen(1))
	})

	It("repairs the labels and annotations of children whose spec is as it should be", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, everything()...)
		for _, child := range []client.Object{
			&policyv1.PodDisruptionBudget{ObjectMeta: s.meta("hello")}, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: s.meta("hello")},
			&appsv1.Deployment{ObjectMeta: s.meta("hello-blue")}, &corev1.Service{ObjectMeta: s.meta("hello-preview")},
		} {
			Eventually(k8s.Get).WithArguments(ctx, client.ObjectKeyFromObject(child), child).Should(Succeed())
			before := child.GetAnnotations()
			s.mutate(ctx, child, func(o client.Object) { o.GetLabels()[v1alpha1.LabelInstance] = "other" })
			Eventually(func(g Gomega) {
				g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(child), child)).To(Succeed())
				g.Expect(child.GetLabels()).To(HaveKeyWithValue(v1alpha1.LabelInstance, "hello"))
			}).Should(Succeed(), "label of %T", child)
			s.mutate(ctx, child, func(o client.Object) { o.SetAnnotations(nil) })
			Eventually(func(g Gomega) {
				g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(child), child)).To(Succeed())
				for key, value := range before {
					if strings.HasPrefix(key, "apps.gin-operator.dev/") {
						g.Expect(child.GetAnnotations()).To(HaveKeyWithValue(key, value))
					}
				}
			}).Should(Succeed(), "annotations of %T", child)
		}
	})

	It("keeps the configuration of what serves, and repairs its records, whatever becomes of their labels", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(1), config("LEVEL", "one"), manual, func(gs *v1alpha1.GinService) { gs.Spec.RevisionHistoryLimit = new(int32(0)) })
		serving := s.get(ctx).Status.ActiveRevision
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepWaitingForPromotion)
		for _, child := range []client.Object{&appsv1.ControllerRevision{}, &corev1.ConfigMap{}} {
			key := client.ObjectKey{Namespace: s.namespace, Name: s.name + "-" + serving}
			Expect(k8s.Get(ctx, key, child)).To(Succeed())
			before := child.GetUID()
			for _, label := range []string{v1alpha1.LabelRevision, v1alpha1.LabelUID, v1alpha1.LabelInstance} {
				patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, label))
				Expect(k8s.Patch(ctx, child, patch)).To(Succeed())
				Eventually(func(g Gomega) {
					g.Expect(k8s.Get(ctx, key, child)).To(Succeed())
					g.Expect(child.GetLabels()).To(HaveKey(label))
				}).Should(Succeed(), "%T without %s", child, label)
			}
			Expect(child.GetUID()).To(Equal(before))
		}
		Expect(s.configOf(ctx, v1alpha1.Blue)).To(HaveKeyWithValue("LEVEL", "one"))
	})

	It("notices that a budget has lost its owner", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(2))
		budget := &policyv1.PodDisruptionBudget{ObjectMeta: s.meta(s.name)}
		Expect(k8s.Patch(ctx, budget, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`)))).To(Succeed())
		s.eventuallyCondition(ctx, v1alpha1.ConditionNameConflict, v1alpha1.ReasonNameTaken)
	})

	It("rebuilds at rest a status that somebody wiped", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(1))
		before := s.get(ctx).Status
		Eventually(func() error {
			gs := s.get(ctx)
			gs.Status = v1alpha1.GinServiceStatus{}
			return k8s.Status().Update(ctx, gs)
		}).Should(Succeed())
		Eventually(func(g Gomega) {
			now := s.get(ctx).Status
			g.Expect(now.ActiveColor).To(Equal(before.ActiveColor))
			g.Expect(now.ActiveRevision).To(Equal(before.ActiveRevision))
			g.Expect(now.Selector).To(Equal(before.Selector))
		}).Should(Succeed())
	})

	It("gives every child back the label that its cache goes by, and none is made anew", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, everything()...)
		revision := s.get(ctx).Status.ActiveRevision
		for _, child := range []client.Object{
			&corev1.Service{ObjectMeta: s.meta("hello")}, &corev1.Service{ObjectMeta: s.meta("hello-preview")},
			&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: s.meta("hello")}, &policyv1.PodDisruptionBudget{ObjectMeta: s.meta("hello")},
			&corev1.ConfigMap{ObjectMeta: s.meta("hello-" + revision)}, &appsv1.ControllerRevision{ObjectMeta: s.meta("hello-" + revision)},
			&appsv1.Deployment{ObjectMeta: s.meta("hello-blue")},
		} {
			Eventually(k8s.Get).WithArguments(ctx, client.ObjectKeyFromObject(child), child).Should(Succeed())
			uid := child.GetUID()
			s.mutate(ctx, child, func(o client.Object) { delete(o.GetLabels(), v1alpha1.LabelManagedBy) })
			Eventually(func(g Gomega) {
				g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(child), child)).To(Succeed())
				g.Expect(child.GetLabels()).To(HaveKeyWithValue(v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
			}).Should(Succeed(), "%T %s", child, child.GetName())
			Expect(child.GetUID()).To(Equal(uid))
		}
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")
	})

	It("neither changes nor keeps waiting for what took a child's place between a look and a write", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		key := types.NamespacedName{Namespace: namespace, Name: "hello"}
		foreign := &policyv1.PodDisruptionBudget{}
		foreign.Namespace, foreign.Name = namespace, "hello"
		foreign.Spec.MinAvailable = new(intstr.FromInt32(0))
		meddledOperator(http.MethodPatch, namespace+"/poddisruptionbudgets/hello", func() {
			ours := &policyv1.PodDisruptionBudget{}
			if k8s.Get(ctx, key, ours) == nil {
				Expect(k8s.Delete(ctx, ours)).To(Succeed())
			}
			Expect(k8s.Create(ctx, foreign)).To(Succeed())
		})
		s := createIn(ctx, namespace, "hello", replicas(2))
		s.eventuallyCondition(ctx, v1alpha1.ConditionNameConflict, v1alpha1.ReasonNameTaken)
		now := &policyv1.PodDisruptionBudget{}
		Expect(k8s.Get(ctx, key, now)).To(Succeed())
		Expect(now.UID).To(Equal(foreign.UID))
		Expect(now.Generation).To(Equal(foreign.Generation))
		Expect(now.OwnerReferences).To(BeEmpty())
	})

	It("goes on after it deleted what somebody hid from its cache", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		key := types.NamespacedName{Namespace: namespace, Name: "hello"}
		hidden := make(chan struct{})
		meddledOperator(http.MethodPatch, namespace+"/deployments/hello-green", func() {
			defer close(hidden)
			watching, err := client.NewWithWatch(plane.Config(), client.Options{Scheme: scheme})
			Expect(err).NotTo(HaveOccurred())
			watch, err := watching.Watch(ctx, &autoscalingv2.HorizontalPodAutoscalerList{}, client.InNamespace(namespace),
				client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
			Expect(err).NotTo(HaveOccurred())
			defer watch.Stop()
			patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"`+v1alpha1.LabelManagedBy+`":null}}}`))
			hpa := &autoscalingv2.HorizontalPodAutoscaler{}
			hpa.Namespace, hpa.Name = namespace, "hello"
			Expect(k8s.Patch(ctx, hpa, patch)).To(Succeed())
			for event := range watch.ResultChan() {
				if event.Type == "DELETED" {
					return
				}
			}
		})
		s := createIn(ctx, namespace, "hello", autoscaled(1, 3))
		s.eventuallyServes(ctx, "v1")
		Eventually(k8s.Get).WithArguments(ctx, key, &autoscalingv2.HorizontalPodAutoscaler{}).Should(Succeed())
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Autoscaling, gs.Spec.Image = nil, image(namespace, "v2") })
		Eventually(hidden).Should(BeClosed())
		s.eventuallyServes(ctx, "v2")
	})

	It("asks for little while a name is taken, however often it is woken", func(ctx SpecContext) {
		op := startOperator()
		namespace := newNamespace(ctx)
		foreign := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
		foreign.Namespace, foreign.Name = namespace, "hello"
		Expect(k8s.Create(ctx, foreign)).To(Succeed())
		s := createIn(ctx, namespace, "hello", replicas(1))
		s.eventuallyCondition(ctx, v1alpha1.ConditionNameConflict, v1alpha1.ReasonNameTaken)
		before := op.quiet(ctx)
		took := s.rewrite(ctx, 3*time.Second, 30, &v1alpha1.GinService{ObjectMeta: s.meta("hello")}, func(o client.Object, round string) {
			o.SetAnnotations(map[string]string{"round": round})
		})
		diff := op.requests.Since(before)
		Expect(diff.Writes()+diff.Reads()).To(BeNumerically("<=", 2*(10+took+2)), "%v", diff)
		Expect(s.events(ctx, v1alpha1.ReasonNameTaken)).To(HaveLen(1))
	})

	// Whoever answers each repair with another change would otherwise keep the operator and the API server busy for good.
	DescribeTable("settles at a slow rate in a fight over a child, says so, and wins once it is over",
		func(ctx SpecContext, resource string, child client.Object, change func(o client.Object, round string), repaired func(client.Object) bool) {
			op := startOperator()
			s := started(ctx, replicas(1), func(gs *v1alpha1.GinService) { gs.Spec.Strategy.BlueGreen.ScaleDownDelaySeconds = new(int32(0)) })
			child.SetNamespace(s.namespace)
			before := op.quiet(ctx)
			said := make(chan string, 1)
			go func() { // for it is said no longer than a second or two once the fight is over
				defer GinkgoRecover()
				said <- s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonContested)
			}()
			took := s.rewrite(ctx, 6*time.Second, 60, child, change)
			diff := op.requests.Since(before)
			Expect(diff.Total(writesOf(resource))).To(BeNumerically("<=", 10+took+1), "%v", diff)
			Expect(diff.Writes()).To(BeNumerically("<=", 24+took), "%v", diff)
			Eventually(said).Should(Receive(ContainSubstring(child.GetName())))
			s.eventuallyServes(ctx, "v1")
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(child), child)).To(Succeed())
			Expect(repaired(child)).To(BeTrue())
			Eventually(func() int { return len(s.events(ctx, v1alpha1.ReasonContested)) }).Should(And(BeNumerically(">=", 1), BeNumerically("<=", 2)))
			s.release(ctx, "v2")
			s.eventuallyServes(ctx, "v2")
		},
		Entry("the port of the active Service", "services", &corev1.Service{ObjectMeta: (&service{}).meta("hello")},
			func(o client.Object, _ string) {
				o.(*corev1.Service).Spec.Ports[0].TargetPort = intstr.FromString("other")
			},
			func(o client.Object) bool { return o.(*corev1.Service).Spec.Ports[0].TargetPort.StrVal == "http" }),
		Entry("the size of the Deployment", "deployments", &appsv1.Deployment{ObjectMeta: (&service{}).meta("hello-blue")},
			func(o client.Object, _ string) { o.(*appsv1.Deployment).Spec.Replicas = new(int32(2)) },
			func(o client.Object) bool { return *o.(*appsv1.Deployment).Spec.Replicas == 1 }),
		Entry("everything that tells what was applied", "services", &corev1.Service{ObjectMeta: (&service{}).meta("hello-preview")},
			func(o client.Object, round string) {
				o.SetAnnotations(map[string]string{"apps.gin-operator.dev/intent": round})
			},
			func(o client.Object) bool { return len(o.GetAnnotations()["apps.gin-operator.dev/intent"]) == 16 }),
	)
})

var _ = Describe("bad input", func() {
	It("that is added by somebody else to a list is left alone, and is no reason to write again", func(ctx SpecContext) {
		op := startOperator()
		s := started(ctx, replicas(1), func(gs *v1alpha1.GinService) {
			gs.Spec.Scheduling.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
				MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.ScheduleAnyway,
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}},
			}}
		})
		s.mutate(ctx, &appsv1.Deployment{ObjectMeta: s.meta("hello-blue")}, func(o client.Object) {
			spec := &o.(*appsv1.Deployment).Spec.Template.Spec
			extra := spec.TopologySpreadConstraints[0]
			extra.TopologyKey = "rack"
			spec.TopologySpreadConstraints = append(spec.TopologySpreadConstraints, extra)
		})
		before := op.quiet(ctx)
		s.poke(ctx)
		op.quiet(ctx)
		Expect(op.requests.Since(before).Total(writesOf("deployments"))).To(BeZero())
		Expect(s.deployment(ctx, v1alpha1.Blue).Spec.Template.Spec.TopologySpreadConstraints).To(HaveLen(2))
	})

	It("that the API server refuses at length ends in an event all the same", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(1))
		s.change(ctx, func(gs *v1alpha1.GinService) {
			term := corev1.NodeSelectorTerm{}
			for range 20 {
				term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{Key: "zone", Operator: "Near"})
			}
			gs.Spec.Scheduling.Affinity = &v1alpha1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}},
			}}
		})
		message := s.eventuallyCondition(ctx, v1alpha1.ConditionReady, v1alpha1.ReasonRejected)
		Expect(len(message)).To(BeNumerically(">", 1024))
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonRejected).Should(HaveLen(1))
	})

	It("says that a configuration is too large where nothing serves yet", func(ctx SpecContext) {
		startOperator()
		s := create(ctx, replicas(1), func(gs *v1alpha1.GinService) {
			gs.Spec.Config = map[string]string{}
			for _, key := range []string{"A", "B", "C", "D"} {
				gs.Spec.Config[key] = strings.Repeat("界", 100_000)
			}
		})
		s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonConfigTooLarge)
		Eventually(s.events).WithArguments(ctx, v1alpha1.ReasonConfigTooLarge).Should(HaveLen(1))
		s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Config = map[string]string{"A": "small"} })
		s.eventuallyServes(ctx, "v1")
	})
})

var _ = Describe("a history that somebody deleted", func() {
	It("keeps neither the serving colour from being scaled nor a rollout from its end", func(ctx SpecContext) {
		startOperator()
		s := started(ctx, replicas(1), config("N", "1"))
		unready := s.pods("v2", kubelet.Behavior{State: kubelet.NotReady})
		old := s.get(ctx).Status.ActiveRevision
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDeploying)
		Expect(k8s.Delete(ctx, &appsv1.ControllerRevision{ObjectMeta: s.meta("hello-" + old)})).To(Succeed())
		s.scale(ctx, 3)
		for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
			Eventually(s.wants).WithArguments(ctx, color).Should(BeEquivalentTo(3), string(color))
		}
		Expect(s.deployment(ctx, v1alpha1.Blue).Spec.Template.Spec.Containers[0].Image).To(Equal(image(s.namespace, "v1")))
		unready()
		s.eventuallyServes(ctx, "v2")
	})

	It("does not stop a new version where the Deployment that served is gone with it", func(ctx SpecContext) {
		op := startOperator()
		s := started(ctx, replicas(1))
		s.allowOutage(ctx, func() {
			old := s.get(ctx).Status.ActiveRevision
			op.stop()
			Expect(k8s.Delete(ctx, &appsv1.ControllerRevision{ObjectMeta: s.meta("hello-" + old)})).To(Succeed())
			Expect(k8s.Delete(ctx, &appsv1.Deployment{ObjectMeta: s.meta("hello-blue")})).To(Succeed())
			s.change(ctx, func(gs *v1alpha1.GinService) { gs.Spec.Image = image(s.namespace, "v2") })
			startOperator()
			s.eventuallyServes(ctx, "v2")
		})
	})
})

// rewrite changes an object for a while and at least so many times, a hundred times a second or as often as the API server lets it. It returns
// how many seconds that took: the slower the machine, the more repairs are due in them.
func (s *service) rewrite(ctx context.Context, duration time.Duration, least int, object client.Object, change func(o client.Object, round string)) int {
	GinkgoHelper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	began := time.Now()
	for rounds := 0; time.Since(began) < duration || rounds <= least; <-ticker.C {
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: object.GetName()}, object)).To(Succeed())
		change(object, time.Now().Format(time.RFC3339Nano))
		err := k8s.Update(ctx, object)
		if err == nil {
			rounds++
		}
		Expect(err == nil || apierrors.IsConflict(err)).To(BeTrue(), "%v", err)
	}
	return int(time.Since(began).Seconds())
}
