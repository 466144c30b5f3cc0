package ginservice

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// installed reads an object of the operator's own manifests.
func installed(object any, path ...string) {
	GinkgoHelper()
	document, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "..", "config"}, path...)...))
	Expect(err).NotTo(HaveOccurred())
	Expect(yaml.UnmarshalStrict(document, object)).To(Succeed())
}

// end is one end of a connection, as a NetworkPolicy sees it.
type end struct {
	namespace string
	pod       labels.Set
	// ports are those of its containers, by their names.
	ports map[string]int32
}

func endOf(pod *corev1.Pod) end {
	e := end{namespace: pod.Namespace, pod: pod.Labels, ports: map[string]int32{}}
	for _, port := range pod.Spec.Containers[0].Ports {
		e.ports[port.Name] = port.ContainerPort
	}
	return e
}

func matches(selector *metav1.LabelSelector, set labels.Set) bool {
	GinkgoHelper()
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	Expect(err).NotTo(HaveOccurred())
	return compiled.Matches(set)
}

// among reports whether somebody is one of the peers of a rule in a policy of a namespace. A rule without peers is for everybody.
func (e end) among(peers []networkingv1.NetworkPolicyPeer, namespace string) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		there := e.namespace == namespace
		if peer.NamespaceSelector != nil {
			there = matches(peer.NamespaceSelector, labels.Set{corev1.LabelMetadataName: e.namespace})
		}
		return peer.IPBlock == nil && there && (peer.PodSelector == nil || matches(peer.PodSelector, e.pod))
	})
}

// opens reports whether a port of a pod is one of those of a rule. A rule without ports is for all of them.
func opens(ports []networkingv1.NetworkPolicyPort, to end, number int32) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(port networkingv1.NetworkPolicyPort) bool {
		switch {
		case *port.Protocol != corev1.ProtocolTCP:
			return false
		case port.Port.Type == intstr.String:
			return to.ports[port.Port.StrVal] == number
		case port.EndPort != nil:
			return port.Port.IntVal <= number && number <= *port.EndPort
		default:
			return port.Port.IntVal == number
		}
	})
}

// letsIn and letsOut report whether a policy of the called, or of the caller, lets a connection be made.
func letsIn(policy *networkingv1.NetworkPolicy, from, to end, number int32) bool {
	return matches(&policy.Spec.PodSelector, to.pod) && slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		return from.among(rule.From, policy.Namespace) && opens(rule.Ports, to, number)
	})
}

func letsOut(policy *networkingv1.NetworkPolicy, from, to end, number int32) bool {
	return matches(&policy.Spec.PodSelector, from.pod) && slices.ContainsFunc(policy.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return to.among(rule.To, policy.Namespace) && opens(rule.Ports, to, number)
	})
}

var _ = Describe("a version that is measured behind NetworkPolicies", func() {
	It("is asked for nothing that the policies of either side forbid", func(ctx SpecContext) {
		var mutex sync.Mutex
		dialled := map[string]bool{}
		idle := run()
		idle.traffic = 0
		apps{"v1": run(), "v2": idle}.measuring(func(address string) {
			mutex.Lock()
			defer mutex.Unlock()
			dialled[address] = true
		})
		s := started(ctx, guarded, before(analysed(2, 2), v1alpha1.WarmUpRequest{Path: "/users"}), func(gs *v1alpha1.GinService) { gs.Spec.Ports.Metrics = new(int32(9090)) })
		s.release(ctx, "v2")
		s.eventuallyServes(ctx, "v2")

		ofService, ofOperator, operator := &networkingv1.NetworkPolicy{}, &networkingv1.NetworkPolicy{}, &appsv1.Deployment{}
		Expect(k8s.Get(ctx, s.key(), ofService)).To(Succeed())
		installed(ofOperator, "components", "networkpolicy", "networkpolicy.yaml")
		installed(operator, "manager", "deployment.yaml")
		from := end{namespace: operator.Namespace, pod: operator.Spec.Template.Labels}
		mutex.Lock()
		defer mutex.Unlock()
		asked := map[int32]int{}
		for address := range dialled {
			host, text, err := net.SplitHostPort(address)
			Expect(err).NotTo(HaveOccurred())
			number, err := strconv.ParseInt(text, 10, 32)
			Expect(err).NotTo(HaveOccurred())
			var pods corev1.PodList
			Expect(k8s.List(ctx, &pods, client.InNamespace(s.namespace), client.MatchingFields{"status.podIP": host})).To(Succeed())
			Expect(pods.Items).To(HaveLen(1), "%s is no pod of the GinService", address)
			to := endOf(&pods.Items[0])
			Expect(letsIn(ofService, from, to, int32(number))).To(BeTrue(), "its policy keeps the operator from %s", address)
			Expect(letsOut(ofOperator, from, to, int32(number))).To(BeTrue(), "the operator's policy keeps it from %s", address)
			asked[int32(number)]++

			somebody := end{namespace: "default", pod: labels.Set{v1alpha1.LabelName: "somebody"}}
			Expect(letsIn(ofService, somebody, to, int32(number))).To(BeFalse(), "everybody may ask %s", address)
			Expect(letsOut(ofOperator, from, somebody, int32(number))).To(BeFalse(), "the operator may ask everybody for %d", number)
		}
		Expect(asked).To(And(HaveKey(BeEquivalentTo(8080)), HaveKey(BeEquivalentTo(9090)), HaveLen(2)), "%v", dialled)
	})
})
