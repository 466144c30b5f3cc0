package main

import (
	stdcmp "cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/apiserver"
	customprovider "sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/podmetrics"
)

const rate = podmetrics.RequestsPerSecond

// service returns a GinService that scales on metrics of its pods.
func service(metrics ...v1alpha1.Metric) *v1alpha1.GinService {
	gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "hello", UID: "uid-of-hello"}}
	gs.Spec.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: 10, Metrics: metrics}
	return gs
}

// worker returns another GinService of the namespace.
func worker(name string, replicas *int32, metrics ...v1alpha1.Metric) *v1alpha1.GinService {
	gs := service(metrics...)
	gs.Name, gs.UID, gs.Spec.Replicas = name, types.UID("uid-of-"+name), replicas
	return gs
}

// of returns a metric of all pods together of a GinService.
func of(name, metric string) v1alpha1.Metric {
	return v1alpha1.Metric{
		Type: v1alpha1.MetricObject, Name: metric, Object: &v1alpha1.MetricObjectReference{APIVersion: "apps.gin-operator.dev/v1alpha1", Kind: "GinService", Name: name},
	}
}

// pod returns a ready pod of that service.
func pod(name string, color v1alpha1.Color, changes ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-of-" + name), Labels: map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelInstance: "hello", v1alpha1.LabelUID: "uid-of-hello", v1alpha1.LabelColor: string(color),
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		Status: corev1.PodStatus{
			PodIP: "10.0.0.7", Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "True"}, {Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func notReady(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionFalse }

func newClient(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithIndex(&corev1.Pod{}, serviceIndex, indexByService).Build()
}

// recorder is a scraper that notes what its targets are.
type recorder map[types.UID]podmetrics.Target

func (r recorder) Set(target podmetrics.Target) error {
	if target.Pod.Name == "refused" {
		return fmt.Errorf("pod %s: it is refused", target.Pod)
	}
	r[target.Pod.UID] = target
	return nil
}

func (r recorder) Remove(uid types.UID) { delete(r, uid) }

// lines tells of targets in a line each.
func (r recorder) lines() []string {
	var lines []string
	for _, target := range r {
		var queries []string
		for _, query := range target.Queries {
			queries = append(queries, query.String())
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s: %s", target.Pod, target.Pod.Service, target.Pod.Color, target.Address, strings.Join(queries, ", ")))
	}
	slices.Sort(lines)
	return lines
}

func TestTargets(t *testing.T) {
	onRate := v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: rate}
	for name, tc := range map[string]struct {
		objects []client.Object
		want    []string
	}{
		"ready pods of both colours": {
			objects: []client.Object{service(onRate), pod("b", v1alpha1.Blue), pod("g", v1alpha1.Green, func(p *corev1.Pod) { p.Status.PodIP = "fd00::7" })},
			want:    []string{"shop/b hello blue 10.0.0.7:8080: http_requests_per_second", "shop/g hello green [fd00::7]:8080: http_requests_per_second"},
		},
		"no pod that isn't ready, ends, has no address or that of its node, or is somebody else's": {
			objects: []client.Object{
				service(onRate), pod("a", v1alpha1.Blue, notReady), pod("b", v1alpha1.Blue, func(p *corev1.Pod) { p.Status.PodIP = "" }),
				pod("c", v1alpha1.Blue, func(p *corev1.Pod) { p.Labels[v1alpha1.LabelUID] = "uid-of-an-earlier-one" }),
				pod("d", v1alpha1.Blue, func(p *corev1.Pod) { p.Namespace = "other" }),
				pod("e", v1alpha1.Blue, func(p *corev1.Pod) { p.DeletionTimestamp, p.Finalizers = ptr.To(metav1.Now()), []string{"x/y"} }),
				pod("f", v1alpha1.Blue, func(p *corev1.Pod) { p.Status.Conditions = nil }),
				pod("g", v1alpha1.Blue, func(p *corev1.Pod) { p.Spec.HostNetwork = true }),
			},
		},
		"metrics on a port of their own, which the pod knows best": {
			objects: []client.Object{
				func() *v1alpha1.GinService {
					gs := service(onRate)
					gs.Spec.Ports.Metrics = ptr.To[int32](9999)
					return gs
				}(),
				pod("b", v1alpha1.Blue, func(p *corev1.Pod) {
					p.Spec.Containers[0].Ports = append(p.Spec.Containers[0].Ports, corev1.ContainerPort{Name: "metrics", ContainerPort: 9090})
					p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "sidecar", Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 15090}}})
				}),
				pod("c", v1alpha1.Blue, func(p *corev1.Pod) { p.Spec.Containers = nil }),
			},
			want: []string{"shop/b hello blue 10.0.0.7:9090: http_requests_per_second", "shop/c hello blue 10.0.0.7:9999: http_requests_per_second"},
		},
		"several metrics, one with a selector, and none that a pod can't have": {
			objects: []client.Object{service(
				v1alpha1.Metric{Type: v1alpha1.MetricCPU}, onRate, v1alpha1.Metric{Type: v1alpha1.MetricExternal, Name: "queue"},
				v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "jobs", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"queue": "mail"}}},
				v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "not.a.metric"},
				v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "x", Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "?"}}}},
			), pod("b", v1alpha1.Blue)},
			want: []string{"shop/b hello blue 10.0.0.7:8080: http_requests_per_second, jobs{queue=mail}"},
		},
		"a selector that says a value twice, as autoscalers ask for it": {
			objects: []client.Object{service(v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "jobs", Selector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"a": "b"}, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "queue", Operator: "In", Values: []string{"sms", "mail", "sms"}}},
			}}), pod("b", v1alpha1.Blue)},
			want: []string{"shop/b hello blue 10.0.0.7:8080: jobs{a=b,queue in (mail,sms)}"},
		},
		"metrics that other GinServices scale on": {
			objects: []client.Object{
				service(onRate), pod("b", v1alpha1.Blue), worker("first", nil, of("hello", "queue_length")), worker("second", nil, of("hello", "queue_length"), of("hello", rate)),
				worker("third", nil, of("other", "x"), v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "y"}),
				worker("fourth", nil, v1alpha1.Metric{
					Type: v1alpha1.MetricObject, Name: "z", Object: &v1alpha1.MetricObjectReference{APIVersion: "v1", Kind: "Service", Name: "hello"},
				}),
			},
			want: []string{"shop/b hello blue 10.0.0.7:8080: queue_length, http_requests_per_second"},
		},
		"CPU alone":      {objects: []client.Object{service(v1alpha1.Metric{Type: v1alpha1.MetricCPU}), pod("b", v1alpha1.Blue)}},
		"no autoscaling": {objects: []client.Object{func() *v1alpha1.GinService { gs := service(); gs.Spec.Autoscaling = nil; return gs }(), pod("b", v1alpha1.Blue)}},
		"no service":     {objects: []client.Object{pod("b", v1alpha1.Blue)}},
		"one that is refused": {
			objects: []client.Object{service(onRate), pod("b", v1alpha1.Blue), pod("refused", v1alpha1.Blue)}, want: []string{"shop/b hello blue 10.0.0.7:8080: http_requests_per_second"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			expectTargets(t, tc.objects, tc.want)
		})
	}
}

// expectTargets checks which pods become targets, each a line, and that none is left once the service has gone.
func expectTargets(t *testing.T, objects []client.Object, want []string) {
	t.Helper()
	scraper := recorder{}
	targets := &targets{client: newClient(t, objects...), scraper: scraper, scraped: map[types.NamespacedName]map[types.UID]bool{}}
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "hello"}}
	if _, err := targets.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, scraper.lines()); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	// Where the service goes, all of its targets do.
	targets.client = newClient(t)
	if _, err := targets.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if len(scraper) != 0 || len(targets.scraped) != 0 {
		t.Errorf("of a service that is gone, %v are targets", scraper.lines())
	}
}

func TestAPodThatIsNoLongerReadyIsNoTarget(t *testing.T) {
	scraper := recorder{}
	b, c := pod("b", v1alpha1.Blue), pod("c", v1alpha1.Blue)
	cluster := newClient(t, service(v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: rate}), b, c)
	targets := &targets{client: cluster, scraper: scraper, scraped: map[types.NamespacedName]map[types.UID]bool{}}
	requests := serviceOf(t.Context(), b)
	for range 2 {
		for _, request := range requests {
			if _, err := targets.Reconcile(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
		notReady(b)
		if err := cluster.Status().Update(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Sorted(maps.Keys(scraper)); !slices.Equal(got, []types.UID{"uid-of-c"}) {
		t.Errorf("targets %v, want the pod that is ready", got)
	}
	if requests := serviceOf(t.Context(), &corev1.Pod{}); len(requests) != 0 {
		t.Errorf("a pod of nobody leads to %v", requests)
	}
}

func TestWhoMeansWhom(t *testing.T) {
	meant := servicesMeantBy(t.Context(), worker("first", nil, v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: rate}, of("hello", rate), of("other", rate)))
	want := []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "hello"}}, {NamespacedName: types.NamespacedName{Namespace: "shop", Name: "other"}}}
	if !slices.Equal(meant, want) {
		t.Errorf("%v, want %v", meant, want)
	}
}

// measured is what pods have, by the UID and the query.
type measured map[string]podmetrics.Value

func (m measured) Read(uid types.UID, query podmetrics.Query, window time.Duration) (podmetrics.Value, error) {
	value, known := m[string(uid)+" "+query.String()]
	if latest, known := m[string(uid)+" latest "+query.String()]; known && window == 5*time.Second {
		return latest, nil
	}
	switch {
	case window != 30*time.Second && window != 5*time.Second:
		return value, fmt.Errorf("the window is %s", window)
	case known:
		return value, nil
	case strings.HasPrefix(string(uid), "uid-of-bad"):
		return value, &podmetrics.Error{Reason: podmetrics.ReasonStatus, Pod: podmetrics.Pod{Namespace: "shop", Name: strings.TrimPrefix(string(uid), "uid-of-")}, Message: "it answers with 404"}
	}
	return value, &podmetrics.Error{Reason: podmetrics.ReasonNotScraped, Pod: podmetrics.Pod{UID: uid}, Message: "it is not scraped"}
}

// Sum adds up what the pods have, as Read says it.
func (m measured) Sum(uids []types.UID, query podmetrics.Query, window time.Duration) (total podmetrics.Value, problems []*podmetrics.Error) {
	for _, uid := range uids {
		value, err := m.Read(uid, query, window)
		if problem, failed := errors.AsType[*podmetrics.Error](err); failed {
			problems = append(problems, problem)
			continue
		}
		total = podmetrics.Value{Value: total.Value + value.Value, Count: total.Count + value.Count, Time: value.Time, Window: value.Window, Pods: total.Pods + 1}
	}
	return total, problems
}

var at = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// newProvider returns a provider of two good pods and four bad ones.
func newProvider(t *testing.T) *provider {
	t.Helper()
	serves := service(v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: rate}, v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "jobs"})
	serves.Status.Selector = resources.Selector(serves, v1alpha1.Blue)
	objects := []client.Object{worker("bad", ptr.To[int32](4)), worker("none", ptr.To[int32](3)), worker("zero", ptr.To[int32](0)), worker("new", nil)}
	for _, other := range objects[:3] {
		other.(*v1alpha1.GinService).Status.Selector = v1alpha1.LabelUID + "=uid-of-" + other.GetName()
	}
	objects = append(objects, serves, pod("unready", v1alpha1.Blue, notReady), pod("bad-one", "", func(p *corev1.Pod) { p.Labels[v1alpha1.LabelUID] = "uid-of-bad" }))
	values := measured{}
	for i, name := range []string{"good1", "good2"} {
		objects = append(objects, pod(name, v1alpha1.Blue))
		values["uid-of-"+name+" "+rate] = podmetrics.Value{Value: 12.3456 + float64(i), Time: at, Window: 29900 * time.Millisecond, Pods: 1}
		values["uid-of-"+name+" jobs{queue=mail}"] = podmetrics.Value{Value: 3, Time: at, Pods: 1}
		for query, latest := range map[string]podmetrics.Value{
			"doubled_total": {Value: 20, Count: 100}, "grown_total": {Value: 19, Count: 95}, "few_total": {Value: 20, Count: 19}, "http_request_duration_p99": {Value: 20, Count: 100},
		} {
			values["uid-of-"+name+" "+query] = podmetrics.Value{Value: 10, Time: at, Window: 30 * time.Second, Pods: 1}
			values["uid-of-"+name+" latest "+query] = podmetrics.Value{Value: latest.Value, Count: latest.Count, Time: at, Window: 5 * time.Second, Pods: 1}
		}
		values["uid-of-"+name+" unknown"] = podmetrics.Value{Value: -1, Time: at, Pods: 1}
		values["uid-of-"+name+" large"] = podmetrics.Value{Value: 4e12, Time: at, Pods: 1}
		values["uid-of-"+name+" larger"] = podmetrics.Value{Value: 4.6e12, Time: at, Pods: 1}
		values["uid-of-"+name+" none"] = podmetrics.Value{Value: math.NaN(), Time: at, Pods: 1}
		values["uid-of-"+name+" huge"] = podmetrics.Value{Value: 1e300, Time: at, Pods: 1}
	}
	for i := range 4 {
		objects = append(objects, pod(fmt.Sprintf("bad%d", i), v1alpha1.Green))
	}
	return &provider{client: newClient(t, objects...), reader: values, window: 30 * time.Second, interval: 5 * time.Second, clock: clocktesting.NewFakePassiveClock(at)}
}

// serveAPI returns a function that asks the API server of a provider for a path.
func serveAPI(t *testing.T, p customprovider.CustomMetricsProvider) func(path string) (int, []byte) {
	t.Helper()
	config := genericapiserver.NewRecommendedConfig(apiserver.Codecs)
	config.ExternalAddress, config.LoopbackClientConfig, config.SkipOpenAPIInstallation = "127.0.0.1:443", &rest.Config{}, true
	server, err := (&apiserver.Config{GenericConfig: &config.Config}).Complete(nil).New("test", p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(path string) (int, []byte) {
		response := httptest.NewRecorder()
		server.GenericAPIServer.Handler.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		return response.Code, response.Body.Bytes()
	}
}

// What an autoscaler asks and is answered, through the API server.
func TestTheAPI(t *testing.T) {
	get := serveAPI(t, newProvider(t))
	for name, tc := range map[string]struct {
		path    string
		kind    string
		want    []string
		message string
	}{
		"of pods by their labels": {
			path: "pods/*/http_requests_per_second?labelSelector=apps.gin-operator.dev%2Fcolor%3Dblue",
			want: []string{"good1 http_requests_per_second 12346m 30 2026-07-01T12:00:00Z", "good2 http_requests_per_second 13346m 30 2026-07-01T12:00:00Z"},
		},
		"of all pods, of which some have none": {
			path: "pods/*/http_requests_per_second", want: []string{"good1 http_requests_per_second 12346m 30 2026-07-01T12:00:00Z", "good2 http_requests_per_second 13346m 30 2026-07-01T12:00:00Z"},
		},
		"of one pod": {path: "pods/good2/http_requests_per_second", want: []string{"good2 http_requests_per_second 13346m 30 2026-07-01T12:00:00Z"}},
		"by the labels of the metric": {
			path: "pods/*/jobs?metricLabelSelector=queue%3Dmail", want: []string{"good1 jobs{queue=mail} 3 - 2026-07-01T12:00:00Z", "good2 jobs{queue=mail} 3 - 2026-07-01T12:00:00Z"},
		},
		"of pods that all have none": {
			path:    "pods/*/http_requests_per_second?labelSelector=apps.gin-operator.dev%2Fcolor%3Dgreen",
			message: "no pod has a value of http_requests_per_second: pod shop/bad0: it answers with 404; pod shop/bad1: it answers with 404; pod shop/bad2: it answers with 404; and so on for 1 more",
		},
		"of no pods":                        {path: "pods/*/http_requests_per_second?labelSelector=app%3Dx", message: "no pod is scraped for http_requests_per_second: of 0 pods with the labels app=x"},
		"that nobody scales on":             {path: "pods/*/other?labelSelector=apps.gin-operator.dev%2Fcolor%3Dblue", message: "no GinService has this metric in autoscaling.metrics with type Pods"},
		"of a name that no metric has":      {path: "pods/*/not.a.metric?labelSelector=apps.gin-operator.dev%2Fcolor%3Dblue", message: "not.a.metric"},
		"of the buckets of a histogram":     {path: "pods/*/jobs_bucket?labelSelector=apps.gin-operator.dev%2Fcolor%3Dblue", message: "are the buckets of a histogram"},
		"a rate that has doubled":           {path: "pods/good1/doubled_total", want: []string{"good1 doubled_total 20 5 2026-07-01T12:00:00Z"}},
		"a rate that has grown less":        {path: "pods/good1/grown_total", want: []string{"good1 grown_total 10 30 2026-07-01T12:00:00Z"}},
		"a rate that has doubled by chance": {path: "pods/good1/few_total", want: []string{"good1 few_total 10 30 2026-07-01T12:00:00Z"}},
		"a latency that has doubled":        {path: "pods/good1/http_request_duration_p99", want: []string{"good1 http_request_duration_p99 10 30 2026-07-01T12:00:00Z"}},
		"of one pod that is negative":       {path: "pods/good1/unknown", message: "its unknown is -1, and the autoscaler can't reckon with less than 0"},
		"of one pod that has none":          {path: "pods/bad1/http_requests_per_second", message: "pod shop/bad1: it answers with 404"},
		"of one pod that isn't there":       {path: "pods/bad9/http_requests_per_second", message: "there is no pod shop/bad9"},
		"of all pods that serve": {
			path: "ginservices.apps.gin-operator.dev/hello/http_requests_per_second", kind: "GinService",
			want: []string{"hello http_requests_per_second 25691m 30 2026-07-01T12:00:00Z"},
		},
		"a rate of all pods that has doubled": {
			path: "ginservices.apps.gin-operator.dev/hello/doubled_total", kind: "GinService", want: []string{"hello doubled_total 40 5 2026-07-01T12:00:00Z"},
		},
		"of no pods, where none is wanted": {
			path: "ginservices.apps.gin-operator.dev/zero/http_requests_per_second", kind: "GinService", want: []string{"zero http_requests_per_second 0 - 2026-07-01T12:00:00Z"},
		},
		"of pods of which one says nothing": {
			path:    "ginservices.apps.gin-operator.dev/bad/http_requests_per_second",
			message: "GinService shop/bad has no http_requests_per_second: pod shop/bad-one: it answers with 404",
		},
		"of pods that are wanted and not ready":       {path: "ginservices.apps.gin-operator.dev/none/http_requests_per_second", message: "GinService shop/none has no pod that is ready"},
		"of a GinService that the operator is new to": {path: "ginservices.apps.gin-operator.dev/new/http_requests_per_second", message: "GinService shop/new has no pods yet"},
		"of a GinService that isn't there":            {path: "ginservices.apps.gin-operator.dev/gone/http_requests_per_second", message: "there is no GinService shop/gone"},
		"of other things":                             {path: "services/hello/http_requests_per_second", message: "could not find the metric http_requests_per_second for services"},
		"of other things by labels":                   {path: "services/*/http_requests_per_second", message: "could not find the metric http_requests_per_second for services"},
		"as large as can be": {path: "pods/*/large?labelSelector=apps.gin-operator.dev%2Fcolor%3Dblue", want: []string{
			"good1 large 4T - 2026-07-01T12:00:00Z", "good2 large 4T - 2026-07-01T12:00:00Z",
		}},
		"beyond what a thousand pods can say together": {path: "pods/*/larger?labelSelector=apps.gin-operator.dev%2Fcolor%3Dblue", message: "no pod has a value of larger: Pod shop/good1: its larger is 4.6e+12"},
		"that is no number":                            {path: "pods/*/none?labelSelector=apps.gin-operator.dev%2Fcolor%3Dblue", message: "no pod has a value of none: Pod shop/good1: its none is NaN"},
		"beyond what the API can say":                  {path: "pods/*/huge?labelSelector=apps.gin-operator.dev%2Fcolor%3Dblue", message: "no pod has a value of huge: Pod shop/good1: its huge is 1e+300"},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := get("/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/" + tc.path)
			expectAnswer(t, code, body, tc.message, stdcmp.Or(tc.kind, "Pod"), tc.want)
		})
	}
}

// expectAnswer checks that an answer is 404 with a message, if there is to be one, and else the values of objects of a kind.
func expectAnswer(t *testing.T, code int, body []byte, message, kind string, want []string) {
	t.Helper()
	if message != "" {
		var status metav1.Status
		if err := json.Unmarshal(body, &status); err != nil || code != http.StatusNotFound || !strings.Contains(status.Message, message) {
			t.Errorf("%d %s (%v), want 404 and %q", code, body, err, message)
		}
		return
	}
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	if diff := cmp.Diff(want, valuesOf(t, body, kind)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// valuesOf returns the values of an answer, a line each, and checks that they are of objects of a kind in the namespace shop.
func valuesOf(t *testing.T, body []byte, kind string) []string {
	t.Helper()
	var list v1beta2.MetricValueList
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var got []string
	for _, item := range list.Items {
		seconds := "-"
		if item.WindowSeconds != nil {
			seconds = fmt.Sprint(*item.WindowSeconds)
		}
		if item.DescribedObject.Kind != kind || item.DescribedObject.Namespace != "shop" {
			t.Errorf("described object %+v", item.DescribedObject)
		}
		query := podmetrics.Query{Name: item.Metric.Name}
		if item.Metric.Selector != nil {
			query.Selector = labels.SelectorFromSet(item.Metric.Selector.MatchLabels)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s", item.DescribedObject.Name, query, item.Value.String(), seconds, item.Timestamp.UTC().Format(time.RFC3339)))
	}
	return got
}

func TestTheOlderVersionAndDiscovery(t *testing.T) {
	get := serveAPI(t, newProvider(t))
	if code, body := get("/apis/custom.metrics.k8s.io/v1beta1/namespaces/shop/pods/good1/http_requests_per_second"); code != http.StatusOK || !strings.Contains(string(body), `"metricName":"http_requests_per_second"`) {
		t.Errorf("v1beta1: %d %s", code, body)
	}
	code, body := get("/apis/custom.metrics.k8s.io/v1beta2")
	var resources metav1.APIResourceList
	if err := json.Unmarshal(body, &resources); err != nil || code != http.StatusOK || len(resources.APIResources) != 2 ||
		resources.APIResources[0].Name != "pods/http_requests_per_second" || resources.APIResources[1].Name != "pods/jobs" {
		t.Errorf("discovery: %d %s (%v)", code, body, err)
	}
}

// broken is a cache that doesn't answer.
type broken struct{ client.Reader }

func (broken) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return apierrors.NewInternalError(fmt.Errorf("the cache is not there"))
}

func (broken) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return apierrors.NewInternalError(fmt.Errorf("the cache is not there"))
}

// That nothing is known must not look as if there were nothing.
func TestACacheThatDoesNotAnswer(t *testing.T) {
	p := &provider{client: broken{}, reader: measured{}, window: 30 * time.Second}
	info := customprovider.CustomMetricInfo{GroupResource: schema.GroupResource{Resource: "pods"}, Namespaced: true, Metric: rate}
	if _, err := p.GetMetricByName(t.Context(), types.NamespacedName{Namespace: "shop", Name: "x"}, info, labels.Everything()); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("error %v", err)
	}
	if _, err := p.GetMetricBySelector(t.Context(), "shop", labels.Everything(), info, labels.Everything()); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("error %v", err)
	}
	if all := p.ListAllMetrics(); len(all) != 0 {
		t.Errorf("metrics %v", all)
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct{ flag, message string }{
		{"", ""},
		{"--scrape-interval=10s", ""},
		{"--scrape-interval=10ms", "--scrape-interval is 10ms: it must be at least 1s"},
		{"--scrape-timeout=6s", "--scrape-timeout is 6s"},
		{"--window=1s", "--window is 1s: it must be from --scrape-interval (2s) to 1h"},
		{"--scrape-workers=0", "must be greater than 0"},
		{"--namespace=", "--namespace and --service must not be empty"},
		{"--tls-cert-file=x", "--tls-cert-file needs --tls-ca-file"},
		{"--tls-ca-file=x", "--tls-ca-file needs --tls-cert-file"},
		{"--certificate-secret=", "--certificate-secret must not be empty"},
		{"now", `unexpected argument "now"`},
	} {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		adapter, o := newAdapter(flags)
		args := []string{"--namespace=gin-operator-system"}
		if tc.flag != "" {
			args = append(args, tc.flag)
		}
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		err := o.validate(flags.Args(), adapter.SecureServing.ServerCert.CertKey.CertFile)
		if (err == nil) != (tc.message == "") || err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: error %v, want %q", tc.flag, err, tc.message)
		}
		if adapter.SecureServing.BindPort != 6443 {
			t.Errorf("port %d, want one that takes no right", adapter.SecureServing.BindPort)
		}
		if folder := adapter.SecureServing.ServerCert.CertDirectory; folder != "" {
			t.Errorf("certificates are written to %s, on a file system that can't be written to", folder)
		}
	}
}

func TestWhatIsKeptOfAPodIsEnough(t *testing.T) {
	full := pod("b", v1alpha1.Blue, func(p *corev1.Pod) {
		p.Annotations, p.ManagedFields = map[string]string{"a": "b"}, []metav1.ManagedFieldsEntry{{Manager: "x"}}
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "SECRET", Value: "x"}}
	})
	want, _ := targetOf(service(), full)
	kept, err := keepNeeded(full.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	got, ok := targetOf(service(), kept.(*corev1.Pod))
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b podmetrics.Target) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); diff != "" || !ok {
		t.Errorf("target (-of the pod +of what is kept):\n%s", diff)
	}
	if text := fmt.Sprint(kept); strings.Contains(text, "SECRET") {
		t.Error("the environment of pods is kept")
	}
	full.Spec.HostNetwork = true
	if kept, err = keepNeeded(full); err != nil {
		t.Fatal(err)
	}
	if target, ok := targetOf(service(), kept.(*corev1.Pod)); ok {
		t.Errorf("a pod on the network of its node is a target: %+v", target)
	}
}
