package install_test

import (
	"context"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// may says whether a user may use a verb on a resource such as "deployments.apps" or "ginservices/scale.apps.gin-operator.dev".
// An empty namespace is all of them; without a name, all objects are meant.
func may(ctx context.Context, user, verb, resource, namespace string, named ...string) bool {
	GinkgoHelper()
	kind, group, _ := strings.Cut(resource, ".")
	kind, subresource, _ := strings.Cut(kind, "/")
	review, err := clients.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: verb, Group: group, Resource: kind, Subresource: subresource,
				Name: strings.Join(named, ""),
			},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return review.Status.Allowed
}

// expectAllowed checks that a user may do that, as soon as the API server knows of the roles that were applied last.
func expectAllowed(ctx context.Context, user, verb, resource, namespace string, named ...string) {
	GinkgoHelper()
	Eventually(ctx, func(ctx context.Context) bool { return may(ctx, user, verb, resource, namespace, named...) }).
		Should(BeTrue(), "%s: %s %s", user, verb, resource)
}

// lease is the name of the lease that the managers of one cluster, or of one namespace, compete for.
const lease = "gin-operator.apps.gin-operator.dev"

func serviceAccount(namespace string) string {
	return "system:serviceaccount:" + namespace + ":gin-operator"
}

// managerNeeds are verbs and resources that every mode of the manager needs where GinServices live.
var managerNeeds = [][2]string{
	{"watch", "ginservices.apps.gin-operator.dev"},
	{"update", "ginservices/status.apps.gin-operator.dev"},
	{"update", "ginservices/scale.apps.gin-operator.dev"},
	{"create", "deployments.apps"},
	{"patch", "services"},
	{"delete", "configmaps"},
	{"delete", "controllerrevisions.apps"},
	{"delete", "horizontalpodautoscalers.autoscaling"},
	{"delete", "poddisruptionbudgets.policy"},
	{"delete", "networkpolicies.networking.k8s.io"},
	{"delete", "httproutes.gateway.networking.k8s.io"},
	{"delete", "podmonitors.monitoring.coreos.com"},
	{"watch", "endpointslices.discovery.k8s.io"},
	{"list", "pods"},
	{"create", "events.events.k8s.io"},
}

// managerMustNot are verbs and resources that no mode of the manager may have.
var managerMustNot = [][2]string{
	{"get", "secrets"},
	{"list", "secrets"},
	{"delete", "deployments.apps"},
	{"delete", "services"},
	{"delete", "ginservices.apps.gin-operator.dev"},
	{"create", "pods"},
	{"delete", "pods"},
	{"create", "pods/exec"},
	{"escalate", "clusterroles.rbac.authorization.k8s.io"},
	{"impersonate", "users"},
}

var _ = Describe("Rights", Serial, func() {
	Describe("of an installation for the whole cluster", Ordered, func() {
		BeforeAll(func(ctx context.Context) {
			kubectl(ctx, append(clientSide, "-k", filepath.Join(config, "default"))...)
			DeferCleanup(func(ctx context.Context) { uninstall(ctx, filepath.Join(config, "default")) })
		})

		It("are what the manager needs, in every namespace, and no more", func(ctx context.Context) {
			manager := serviceAccount(operatorNamespace)
			for _, needed := range managerNeeds {
				expectAllowed(ctx, manager, needed[0], needed[1], "")
			}
			for _, forbidden := range managerMustNot {
				Expect(may(ctx, manager, forbidden[0], forbidden[1], operatorNamespace)).To(BeFalse(), "%s %s", forbidden[0], forbidden[1])
			}
			expectAllowed(ctx, manager, "create", "tokenreviews.authentication.k8s.io", "")
			expectAllowed(ctx, manager, "create", "subjectaccessreviews.authorization.k8s.io", "")
			expectAllowed(ctx, manager, "update", "leases.coordination.k8s.io", operatorNamespace, lease)
			Expect(may(ctx, manager, "update", "leases.coordination.k8s.io", operatorNamespace)).To(BeFalse())
			Expect(may(ctx, manager, "update", "leases.coordination.k8s.io", "default", lease)).To(BeFalse())
		})

		It("have no wildcard", func(ctx context.Context) {
			for _, object := range rendered(ctx, filepath.Join(config, "default")) {
				rules, _, err := unstructured.NestedSlice(object.Object, "rules")
				Expect(err).NotTo(HaveOccurred())
				for _, rule := range rules {
					for field, values := range rule.(map[string]any) {
						Expect(values).NotTo(ContainElement("*"), "%s %s: %s", object.GetKind(), object.GetName(), field)
					}
				}
			}
		})

		It("come to people with Kubernetes' own roles", func(ctx context.Context) {
			kubectl(ctx, "create", "namespace", "team-users")
			for _, role := range []string{"view", "edit", "admin"} {
				_, err := clients.RbacV1().RoleBindings("team-users").Create(ctx, &rbacv1.RoleBinding{
					ObjectMeta: metav1.ObjectMeta{Name: role},
					RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
					Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: role}},
				}, metav1.CreateOptions{})
				Expect(err).NotTo(HaveOccurred())
			}
			for _, right := range []struct {
				verb, resource    string
				view, edit, admin bool
			}{
				{"get", "ginservices", true, true, true},
				{"watch", "ginservices", true, true, true},
				{"get", "ginservices/scale", true, true, true},
				{"create", "ginservices", false, true, true},
				{"patch", "ginservices", false, true, true},
				{"update", "ginservices/scale", false, true, true},
				{"deletecollection", "ginservices", false, false, true},
				{"patch", "ginservices/status", false, false, false},
			} {
				for user, allowed := range map[string]bool{"view": right.view, "edit": right.edit, "admin": right.admin} {
					Eventually(ctx, func() bool {
						return may(ctx, user, right.verb, right.resource+".apps.gin-operator.dev", "team-users")
					}).Should(Equal(allowed), "%s: %s %s", user, right.verb, right.resource)
				}
			}
		})
	})

	It("of the metrics adapter are to read what it scrapes, and to write its certificate and its registration", func(ctx context.Context) {
		folder := overlay("metrics-adapter", operatorNamespace, "default")
		for _, object := range rendered(ctx, folder) {
			Expect(object.GetKind()).NotTo(Equal("APIService"), "applying it would take the API away from another adapter")
			if object.GetKind() == "RoleBinding" {
				Expect(object.GetNamespace()).To(Equal(operatorNamespace), "a RoleBinding elsewhere is moved by the kustomization")
			}
		}
		kubectl(ctx, append(clientSide, "-k", folder)...)
		DeferCleanup(func(ctx context.Context) { uninstall(ctx, folder) })

		adapter := serviceAccount(operatorNamespace) + "-metrics-adapter"
		const own, apiService = "gin-operator-metrics-adapter", "v1beta2.custom.metrics.k8s.io"
		for _, right := range [][]string{
			{"list", "ginservices.apps.gin-operator.dev", ""},
			{"watch", "pods", ""},
			{"create", "subjectaccessreviews.authorization.k8s.io", ""},
			{"watch", "configmaps", "kube-system", "extension-apiserver-authentication"},
			{"create", "apiservices.apiregistration.k8s.io", "", apiService},
			{"patch", "apiservices.apiregistration.k8s.io", "", apiService},
			{"get", "clusterroles.rbac.authorization.k8s.io", "", own},
			{"create", "secrets", operatorNamespace, own},
			{"update", "secrets", operatorNamespace, own},
			{"create", "events.events.k8s.io", operatorNamespace},
		} {
			expectAllowed(ctx, adapter, right[0], right[1], right[2], right[3:]...)
		}
		for _, wrong := range [][]string{
			{"create", "apiservices.apiregistration.k8s.io", ""},
			{"patch", "apiservices.apiregistration.k8s.io", "", "v1beta1.metrics.k8s.io"},
			{"create", "secrets", operatorNamespace},
			{"get", "secrets", operatorNamespace, "gin-operator-metrics-reader"},
			{"list", "secrets", operatorNamespace},
			{"get", "secrets", "default", own},
			{"get", "configmaps", "kube-system", "kube-root-ca.crt"},
			{"update", "ginservices.apps.gin-operator.dev", ""},
			{"update", "ginservices/scale.apps.gin-operator.dev", ""},
			{"create", "pods/exec", ""},
			{"create", "pods/proxy", ""},
		} {
			Expect(may(ctx, adapter, wrong[0], wrong[1], wrong[2], wrong[3:]...)).To(BeFalse(), "%v", wrong)
		}
	})

	It("of an installation for one namespace end there, and need no ClusterRole", func(ctx context.Context) {
		kubectl(ctx, "create", "namespace", "team-a")
		folder := overlay("namespaced", "team-a", "crd", "rbac", "manager")
		for _, object := range rendered(ctx, folder) {
			Expect(object.GetKind()).NotTo(HavePrefix("ClusterRole"), object.GetName())
			if object.GetKind() != "CustomResourceDefinition" {
				Expect(object.GetNamespace()).To(Equal("team-a"), "%s %s", object.GetKind(), object.GetName())
			}
		}
		kubectl(ctx, append(clientSide, "-k", folder)...)
		DeferCleanup(func(ctx context.Context) { uninstall(ctx, folder) })

		manager := serviceAccount("team-a")
		for _, needed := range managerNeeds {
			expectAllowed(ctx, manager, needed[0], needed[1], "team-a")
			Expect(may(ctx, manager, needed[0], needed[1], "default")).To(BeFalse(), "%s %s elsewhere", needed[0], needed[1])
		}
		for _, forbidden := range managerMustNot {
			Expect(may(ctx, manager, forbidden[0], forbidden[1], "team-a")).To(BeFalse(), "%s %s", forbidden[0], forbidden[1])
		}
		expectAllowed(ctx, manager, "update", "leases.coordination.k8s.io", "team-a", lease)

		deployment, err := clients.AppsV1().Deployments("team-a").Get(ctx, "gin-operator", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElements("--namespace=$(POD_NAMESPACE)", "--metrics-bind-address=0"))
	})
})
