package ginservice

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// rate is the metric that the GinServices here scale on, and eachRate what a pod is to take of it.
const (
	rate     = "http_requests_per_second"
	eachRate = 100
)

// onRate scales on requests a second between 1 and 5 pods, down as soon as the autoscaler thinks so.
func onRate(gs *v1alpha1.GinService) {
	gs.Spec.Autoscaling = &v1alpha1.Autoscaling{
		MinReplicas: new(int32(1)), MaxReplicas: 5,
		Metrics:  []v1alpha1.Metric{{Type: v1alpha1.MetricPods, Name: rate, AverageValue: resource.NewQuantity(eachRate, resource.DecimalSI)}},
		Behavior: &v1alpha1.ScalingBehavior{ScaleDown: &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(0))}},
	}
}

// answer is what an adapter does when it is asked for the metric of pods, whose names are sorted.
type answer func(w http.ResponseWriter, r *http.Request, pods []string)

// each says the same of all pods.
func each(value string) answer {
	return func(w http.ResponseWriter, _ *http.Request, pods []string) { say(w, value, pods...) }
}

// nothing says nothing of any pod.
func nothing(w http.ResponseWriter, _ *http.Request, _ []string) { say(w, "0") }

// says answers with a status and a text that need not be of any form.
func says(code int, contentType, body string) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ []string) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body)) // whoever asks may have gone
	}
}

// say answers with a value for each of these pods.
func say(w http.ResponseWriter, value string, pods ...string) {
	list := v1beta2.MetricValueList{Items: []v1beta2.MetricValue{}}
	list.APIVersion, list.Kind = v1beta2.SchemeGroupVersion.String(), "MetricValueList"
	for _, pod := range pods {
		list.Items = append(list.Items, v1beta2.MetricValue{
			DescribedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod},
			Metric:          v1beta2.MetricIdentifier{Name: rate},
			Timestamp:       metav1.Now(),
			Value:           resource.MustParse(value),
		})
	}
	reply(w, list)
}

func reply(w http.ResponseWriter, object any) {
	text, err := json.Marshal(object)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // whoever asks may have gone
}

// adapter is a server of custom.metrics.k8s.io that answers for each namespace as a spec says.
type adapter struct {
	mu      sync.Mutex
	answers map[string]answer
	// asked is how often it was asked.
	asked map[string]int
}

// set changes what it answers for a service, and forgets how often it was asked.
func (a *adapter) set(s *service, does answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[s.namespace], a.asked[s.namespace] = does, 0
}

// times returns how often it was asked for a service since its answer was set.
func (a *adapter) times(s *service) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[s.namespace]
}

func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version := v1beta2.SchemeGroupVersion.String()
	path, found := strings.CutPrefix(r.URL.Path, "/apis/"+version)
	if found && path == "" {
		resources := metav1.APIResourceList{GroupVersion: version, APIResources: []metav1.APIResource{}}
		resources.APIVersion, resources.Kind = "v1", "APIResourceList"
		reply(w, resources)
		return
	}
	parts := strings.Split(path, "/")
	if len(parts) != 6 || parts[1] != "namespaces" || parts[3] != "pods" || parts[4] != "*" || parts[5] != rate {
		http.NotFound(w, r)
		return
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pods := (&service{namespace: parts[2]}).podsMatching(r.Context(), selector)
	slices.Sort(pods)
	a.mu.Lock()
	does := a.answers[parts[2]]
	a.asked[parts[2]]++
	a.mu.Unlock()
	does(w, r, pods)
}

// installAdapter has the API server send questions for custom metrics to an adapter until the spec ends.
func installAdapter(ctx SpecContext) *adapter {
	GinkgoHelper()
	a := &adapter{answers: map[string]answer{}, asked: map[string]int{}}
	server := httptest.NewTLSServer(a)
	DeferCleanup(func() {
		server.CloseClientConnections() // those that hang
		server.Close()
	})
	host, text, err := net.SplitHostPort(server.Listener.Addr().String())
	Expect(err).NotTo(HaveOccurred())
	port, err := strconv.ParseInt(text, 10, 64)
	Expect(err).NotTo(HaveOccurred())
	// The address of such a Service is taken as it is: there is no network of pods here.
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: newNamespace(ctx), Name: "adapter"}}
	svc.Spec.Type, svc.Spec.ExternalName = corev1.ServiceTypeExternalName, host
	Expect(k8s.Create(ctx, svc)).To(Succeed())
	version := v1beta2.SchemeGroupVersion
	registration := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"group": version.Group, "version": version.Version, "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
		"insecureSkipTLSVerify": true,
		"service":               map[string]any{"namespace": svc.Namespace, "name": svc.Name, "port": port},
	}}}
	registration.SetAPIVersion("apiregistration.k8s.io/v1")
	registration.SetKind("APIService")
	registration.SetName(version.Version + "." + version.Group)
	Expect(k8s.Create(ctx, registration)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(k8s.Delete(ctx, registration)).To(Succeed()) })
	return a
}

// history is all that a watch saw of a GinService.
type history struct {
	mu   sync.Mutex
	seen []*v1alpha1.GinService
	lost bool
}

// record watches a GinService until the spec ends.
func (s *service) record(ctx SpecContext) *history {
	GinkgoHelper()
	watching, err := client.NewWithWatch(plane.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	life, end := context.WithCancel(ctx)
	DeferCleanup(end)
	// Without a version it begins with what there is.
	news, err := watching.Watch(life, &v1alpha1.GinServiceList{}, client.InNamespace(s.namespace), client.MatchingFields{"metadata.name": s.name})
	Expect(err).NotTo(HaveOccurred())
	h := &history{}
	go func() {
		for event := range news.ResultChan() {
			h.mu.Lock()
			if gs, ok := event.Object.(*v1alpha1.GinService); ok && event.Type != watch.Deleted {
				h.seen = append(h.seen, gs)
			} else {
				h.lost = true
			}
			h.mu.Unlock()
		}
	}()
	return h
}

// replicas returns how many pods were wanted, each number once for as long as it stayed.
func (h *history) replicas() []int32 {
	GinkgoHelper()
	h.mu.Lock()
	defer h.mu.Unlock()
	Expect(h.lost).To(BeFalse(), "the watch has ended")
	var wanted []int32
	for _, gs := range h.seen {
		wanted = append(wanted, *gs.Spec.Replicas)
	}
	return slices.Compact(wanted)
}

// unready returns the conditions where it was not Ready.
func (h *history) unready() []metav1.Condition {
	h.mu.Lock()
	defer h.mu.Unlock()
	var conditions []metav1.Condition
	for _, gs := range h.seen {
		if !apimeta.IsStatusConditionTrue(gs.Status.Conditions, v1alpha1.ConditionReady) {
			conditions = append(conditions, gs.Status.Conditions...)
		}
	}
	return conditions
}

// trouble is something that an adapter may do, and what comes of it where three pods serve that have just what they are to have.
type trouble struct {
	does answer
	// says is in the message of AutoscalingActive, which is False then. Where it is empty, the autoscaler believes the adapter.
	says string
	// replicas are wanted one after the other.
	replicas []int32
}

// hangs is what the spec has to know by name: an answer that never comes takes its time.
const hangs = "hangs"

// troubles are by what an adapter does.
func troubles() map[string]trouble {
	const (
		json        = "application/json"
		unavailable = "the server is currently unable to handle the request"
		none        = "no pod has a value of http_requests_per_second: pod shop/hello: it answers with 500"
	)
	stays := []int32{3}
	return map[string]trouble{
		hangs: {
			does: func(_ http.ResponseWriter, r *http.Request, _ []string) { <-r.Context().Done() },
			says: "the server was unable to return a response in the time allotted", replicas: stays,
		},
		"hangs up":            {does: func(http.ResponseWriter, *http.Request, []string) { panic(http.ErrAbortHandler) }, says: unavailable, replicas: stays},
		"is overloaded":       {does: says(http.StatusServiceUnavailable, "text/plain", "later"), says: unavailable, replicas: stays},
		"knows nothing of it": {does: says(http.StatusNotFound, "text/plain", "no"), says: "the server could not find the requested resource", replicas: stays},
		"says why it has no value": {
			does: says(http.StatusNotFound, json, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"`+none+`"}`),
			says: none, replicas: stays,
		},
		"has an empty list":    {does: nothing, says: "no metrics returned", replicas: stays},
		"has garbage":          {does: says(http.StatusOK, json, "\x00{]"), says: "control characters are not allowed", replicas: stays},
		"has a page":           {does: says(http.StatusOK, "text/html", "<html>"), says: "json parse error", replicas: stays},
		"is cut off":           {does: says(http.StatusOK, json, `{"kind":"MetricValueList","items":[`), says: "unexpected end of JSON input", replicas: stays},
		"has no kind of value": {does: says(http.StatusOK, json, `{"kind":"PodList","apiVersion":"v1"}`), says: `no kind "PodList" is registered`, replicas: stays},

		// Of a pod without a value the autoscaler takes it that it has just what it is to have.
		"has the value of one pod alone": {
			does: func(w http.ResponseWriter, _ *http.Request, pods []string) { say(w, "1", pods[:1]...) }, replicas: stays,
		},
		"has values of pods that aren't there": {
			does: func(w http.ResponseWriter, _ *http.Request, _ []string) { say(w, "0", "ghost1", "ghost2", "ghost3") }, replicas: stays,
		},
		"has enormous values": {does: each("1e9"), replicas: []int32{3, 5}},
		// An adapter that lies is believed. The last of these values comes to more pods than the autoscaler's 32 bits hold: ours refuses it, as the
		// tests of cmd/metrics-adapter say.
		"has negative values":             {does: each("-1"), replicas: []int32{3, 1}},
		"has values beyond all reckoning": {does: each("1e12"), replicas: []int32{3, 1}},
	}
}

var _ = Describe("an adapter in trouble", func() {
	It("takes no pods away unless it is believed, says what is wrong, and keeps out of Ready", func(ctx SpecContext) {
		startOperator()
		adapter := installAdapter(ctx)
		cases, services, histories := troubles(), map[string]*service{}, map[string]*history{}
		for name := range cases {
			services[name] = create(ctx, replicas(3), onRate)
			adapter.set(services[name], each(strconv.Itoa(eachRate)))
		}
		for name, s := range services {
			s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "ValidMetricFound")
			s.eventuallyHas(ctx, 3)
			histories[name] = s.record(ctx)
		}

		for name, s := range services {
			adapter.set(s, cases[name].does)
		}
		for name, s := range services {
			By("having one that " + name)
			asks := 5
			if name == hangs {
				asks = 2 // the second comes when the API server has given the first one up
			}
			Eventually(adapter.times).WithArguments(s).WithContext(ctx).Should(BeNumerically(">=", asks))
			tc := cases[name]
			if tc.says != "" {
				message := s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "FailedGetPodsMetric")
				Expect(message).To(And(ContainSubstring("unable to get metric "+rate), ContainSubstring(tc.says)))
			}
			Eventually(histories[name].replicas).WithContext(ctx).Should(Equal(tc.replicas))
			Expect(apimeta.IsStatusConditionFalse(s.get(ctx).Status.Conditions, v1alpha1.ConditionAutoscalingActive)).To(Equal(tc.says != ""))
			if len(tc.replicas) == 1 { // pods that come and go are another reason not to be Ready
				Expect(histories[name].unready()).To(BeEmpty())
			}
		}

		By("having one that is well, and has next to nothing to tell of")
		for _, s := range services {
			adapter.set(s, each("1"))
		}
		for name, s := range services {
			s.eventuallyHas(ctx, 1)
			s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, "ValidMetricFound")
			Expect(histories[name].replicas()).To(Equal(slices.Compact(append(cases[name].replicas, 1))), name)
		}
	})

	It("has no value of one of two metrics: the other adds pods and takes none away", func(ctx SpecContext) {
		startOperator()
		adapter := installAdapter(ctx)
		s := create(ctx, replicas(3), onRate, func(gs *v1alpha1.GinService) {
			gs.Spec.Autoscaling.Metrics = append(gs.Spec.Autoscaling.Metrics,
				v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "nobody_serves_this", AverageValue: resource.NewQuantity(1, resource.DecimalSI)})
		})
		adapter.set(s, each(strconv.Itoa(eachRate)))
		s.eventuallyHas(ctx, 3)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, v1alpha1.ReasonMetricMissing)).To(ContainSubstring("nobody_serves_this"))
		seen := s.record(ctx)

		adapter.set(s, each(strconv.Itoa(2*eachRate)))
		s.eventuallyHas(ctx, 5)
		adapter.set(s, each("1"))
		Eventually(func() string {
			return s.eventuallyCondition(ctx, v1alpha1.ConditionAutoscalingActive, v1alpha1.ReasonMetricMissing)
		}).WithContext(ctx).Should(And(ContainSubstring("no value of nobody_serves_this"), ContainSubstring("unable to get metric nobody_serves_this")))
		Eventually(adapter.times).WithArguments(s).WithContext(ctx).Should(BeNumerically(">=", 5))
		Expect(seen.replicas()).To(Equal([]int32{3, 5}))
		Expect(apimeta.IsStatusConditionTrue(s.get(ctx).Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
	})
})
