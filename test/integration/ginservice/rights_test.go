package ginservice

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
	"github.com/gin-operator/gin-operator/test/kubelet"
)

// witness records which rights requests make use of, and which of them are refused.
type witness struct {
	mutex   sync.Mutex
	used    map[string]bool
	refused []string
}

func (w *witness) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(req)
		if err != nil {
			return response, err
		}
		right := rightOf(req)
		w.mutex.Lock()
		defer w.mutex.Unlock()
		if response.StatusCode == http.StatusForbidden {
			w.refused = append(w.refused, right)
		}
		w.used[right] = true
		if verb, on, _ := strings.Cut(right, " "); verb == "patch" && response.StatusCode == http.StatusCreated {
			w.used["create "+on] = true // an apply that creates takes both rights
		}
		return response, nil
	})
}

// rightOf returns the verb and the resource of a request, such as "patch deployments.apps".
func rightOf(req *http.Request) string {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	group := ""
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		group, parts = parts[1], parts[3:]
	default:
		return strings.ToLower(req.Method) + " " + req.URL.Path
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	named := len(parts) > 1
	verb := map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}[req.Method]
	switch {
	case req.Method == http.MethodGet && req.URL.Query().Get("watch") != "":
		verb = "watch"
	case req.Method == http.MethodGet && named:
		verb = "get"
	case req.Method == http.MethodGet:
		verb = "list"
	}
	resource := parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return right(verb, group, resource)
}

func right(verb, group, resource string) string {
	return strings.TrimSuffix(verb+" "+resource+"."+group, ".")
}

// readManifest reads one of the project's manifests.
func readManifest(into any, path ...string) {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "..", "config"}, path...)...))
	Expect(err).NotTo(HaveOccurred())
	Expect(yaml.UnmarshalStrict(text, into)).To(Succeed())
}

func managerRole() *rbacv1.ClusterRole {
	GinkgoHelper()
	role := &rbacv1.ClusterRole{}
	readManifest(role, "rbac", "role.yaml")
	return role
}

// grant makes an account that may do in a namespace what rules say.
func grant(ctx SpecContext, namespace string, rules []rbacv1.PolicyRule) (*rbacv1.Role, *rest.Config) {
	GinkgoHelper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "manager"}, Rules: rules}
	Expect(k8s.Create(ctx, role)).To(Succeed())
	Expect(k8s.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "manager"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "manager"}},
	})).To(Succeed())
	cfg, err := plane.AddServiceAccount(namespace, "manager")
	Expect(err).NotTo(HaveOccurred())
	return role, cfg
}

// foreigners are objects that have the names of a GinService's children, one of each kind.
func foreigners(gs *v1alpha1.GinService) []client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: gs.Namespace, Name: name} }
	labels := map[string]string{"app": "other"}
	pods := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}}}
	revision := gs.Name + "-" + resources.RevisionOf(gs.Spec.WorkloadSpec).Name
	return []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta(revision)},
		&appsv1.ControllerRevision{ObjectMeta: meta(revision), Revision: 1, Data: runtime.RawExtension{Raw: []byte("{}")}},
		&appsv1.Deployment{ObjectMeta: meta(gs.Name + "-blue"), Spec: appsv1.DeploymentSpec{Replicas: new(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: pods}},
		&corev1.Service{ObjectMeta: meta(gs.Name), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
		&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta(gs.Name), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			MaxReplicas: 1, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "other"},
		}},
		&policyv1.PodDisruptionBudget{ObjectMeta: meta(gs.Name)},
		&gatewayv1.HTTPRoute{ObjectMeta: meta(gs.Name)},
		&networkingv1.NetworkPolicy{ObjectMeta: meta(gs.Name)},
		&monitoring.PodMonitor{ObjectMeta: meta(gs.Name), Spec: runtime.RawExtension{Raw: []byte(`{"selector":{}}`)}},
	}
}

var _ = Describe("the operator's rights", func() {
	It("are enough for all that it does, and none of them is without a use", func(ctx SpecContext) {
		installGatewayAPI(ctx)
		installPodMonitors()
		role, binding := managerRole(), &rbacv1.ClusterRoleBinding{}
		readManifest(binding, "rbac", "role_binding.yaml")
		for _, object := range []client.Object{role, binding} {
			Expect(k8s.Create(ctx, object)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(k8s.Delete(ctx, object)).To(Succeed()) })
		}
		account := binding.Subjects[0]
		cfg, err := plane.AddServiceAccount(account.Namespace, account.Name)
		Expect(err).NotTo(HaveOccurred())
		Eventually(func(g Gomega) {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + account.Namespace + ":" + account.Name,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "watch", Group: "policy", Resource: "poddisruptionbudgets"},
			}}
			g.Expect(k8s.Create(ctx, review)).To(Succeed())
			g.Expect(review.Status.Allowed).To(BeTrue())
		}).Should(Succeed())

		By("creating GinServices of which each finds another child's name taken")
		var taken []*service
		for kind := range foreigners(&v1alpha1.GinService{}) {
			s := create(ctx, append(everything(), routed, guarded, measured)...)
			Expect(k8s.Create(ctx, foreigners(s.get(ctx))[kind])).To(Succeed())
			taken = append(taken, s)
		}
		seen := &witness{used: map[string]bool{}}
		cfg.Wrap(seen.Wrap)
		startOperatorAs(cfg)
		for _, s := range taken {
			s.eventuallyCondition(ctx, v1alpha1.ConditionNameConflict, v1alpha1.ReasonNameTaken)
		}

		By("creating, upgrading, scaling, failing, going back, pruning and deleting")
		s := started(ctx, append(everything(), routed, guarded, measured, func(gs *v1alpha1.GinService) { gs.Spec.RevisionHistoryLimit = new(int32(0)) })...)
		for _, version := range []string{"v2", "v3"} {
			s.release(ctx, version)
			s.eventuallyServes(ctx, version)
			s.eventuallyStep(ctx, v1alpha1.StepCompleted)
		}
		s.scale(ctx, 4)
		Eventually(s.wants).WithArguments(ctx, s.activeColor(ctx)).Should(BeEquivalentTo(4))
		s.pods("v4", kubelet.Behavior{State: kubelet.CrashLoop})
		s.release(ctx, "v4", deadline(2))
		s.eventuallyStep(ctx, v1alpha1.StepFailed)
		s.release(ctx, "v3", deadline(600))
		s.eventuallyServes(ctx, "v3")
		s.change(ctx, func(gs *v1alpha1.GinService) {
			gs.Spec.Autoscaling, gs.Spec.Route, gs.Spec.DisruptionBudget.Mode = nil, nil, v1alpha1.DisruptionBudgetDisabled
			gs.Spec.Network = nil
			unmeasured(gs)
		})
		for _, child := range []client.Object{
			&autoscalingv2.HorizontalPodAutoscaler{}, &policyv1.PodDisruptionBudget{}, &gatewayv1.HTTPRoute{}, &networkingv1.NetworkPolicy{}, &monitoring.PodMonitor{},
		} {
			Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, s.key(), child)) }).Should(BeTrue(), "%T", child)
		}
		Expect(k8s.Delete(ctx, s.get(ctx))).To(Succeed())

		Eventually(func() []string { return seen.unused(role) }).Should(BeEmpty(), "granted, and not made use of")
		Expect(seen.refusals()).To(BeEmpty())
	})
})

func (w *witness) refusals() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return slices.Clone(w.refused)
}

// kept are rights that this spec has no use for, each with the reason why they are granted.
var kept = map[string]string{
	"patch events.events.k8s.io": "the recorder counts an event that comes again for the same version of an object, which no pass does now",
}

// unused returns what a role grants and no request needed. A cache lists only where an API server can't stream what is there as the
// beginning of a watch, so that one who watches may list too.
func (w *witness) unused(role *rbacv1.ClusterRole) []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var unused []string
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					granted := right(verb, group, resource)
					fallback := verb == "list" && w.used[right("watch", group, resource)]
					if !w.used[granted] && !fallback && kept[granted] == "" {
						unused = append(unused, granted)
					}
				}
			}
		}
	}
	return unused
}
