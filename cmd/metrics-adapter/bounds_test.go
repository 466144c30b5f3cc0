package main

import (
	"context"
	"math"
	"net/url"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
)

// aimedAt returns a metric that an autoscaler aims at a number of.
func aimedAt(metric v1alpha1.Metric, target int64) v1alpha1.Metric {
	metric.AverageValue = resource.NewQuantity(target, resource.DecimalSI)
	return metric
}

// The autoscaler would come to fewer pods than none: test/integration/ginservice shows it. Two who aim at a number that differs by more than ten times can't both
// be told the same instead.
func TestValuesThatTheAutoscalerCannotReckonWith(t *testing.T) {
	jobs, mails := v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "jobs"}, v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "jobs"}
	mails.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"queue": "mail"}}
	huge := v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "bytes"}
	serves := service(aimedAt(jobs, 2), aimedAt(mails, 20), aimedAt(huge, 1<<40))
	serves.Status.Selector = resources.Selector(serves, v1alpha1.Blue)
	absolute := of("hello", "backlog")
	absolute.Value = resource.NewQuantity(1, resource.DecimalSI)
	values := measured{
		"uid-of-a jobs":             {Value: 1e100, Time: at, Pods: 1},
		"uid-of-b jobs":             {Value: 199_999, Time: at, Pods: 1},
		"uid-of-a bytes":            {Value: 1 << 43, Time: at, Pods: 1},
		"uid-of-b bytes":            {Value: math.NaN(), Time: at, Pods: 1},
		"uid-of-a mails":            {Value: 200_000, Time: at, Pods: 1},
		"uid-of-b mails":            {Value: 300_000, Time: at, Pods: 1},
		"uid-of-a jobs{queue=mail}": {Value: 1_999_999, Time: at, Pods: 1},
		"uid-of-b jobs{queue=mail}": {Value: -2_000_000, Time: at, Pods: 1},
		"uid-of-a backlog":          {Value: 50_001, Time: at, Pods: 1},
		"uid-of-b backlog":          {Value: 50_000, Time: at, Pods: 1},
		"uid-of-a sent":             {Value: 150_000, Time: at, Pods: 1},
		"uid-of-b sent":             {Value: 149_999, Time: at, Pods: 1},
	}
	get := serveAPI(t, &provider{
		client: newClient(t, serves, pod("a", v1alpha1.Blue), pod("b", v1alpha1.Blue),
			worker("one", nil, aimedAt(of("hello", "jobs"), 4), absolute), worker("two", nil, aimedAt(of("hello", "jobs"), 3), aimedAt(of("hello", "sent"), 3), aimedAt(of("hello", "mails"), 2)),
			worker("three", nil, aimedAt(jobs, 1), aimedAt(of("other", "sent"), 1), aimedAt(of("hello", "mails"), 21))),
		reader: values, window: 30 * time.Second, interval: 5 * time.Second, clock: clocktesting.NewFakePassiveClock(at),
	})
	for name, tc := range map[string]struct {
		path, kind string
		want       []string
		message    string
	}{
		"of a pod":              {path: "pods/a/jobs", kind: "Pod", want: []string{"a jobs 200k - 2026-07-01T12:00:00Z"}},
		"of both pods":          {path: "pods/*/jobs", kind: "Pod", want: []string{"a jobs 200k - 2026-07-01T12:00:00Z", "b jobs 199999 - 2026-07-01T12:00:00Z"}},
		"beyond 64 bits":        {path: "pods/a/bytes", message: "Pod shop/a: its bytes is 8.796093022208e+12, and the autoscaler can't reckon with more than 4.503599627370496e+12"},
		"that is no number":     {path: "pods/b/bytes", message: "Pod shop/b: its bytes is NaN"},
		"for two who differ":    {path: "ginservices.apps.gin-operator.dev/hello/mails", message: "its mails is 500000, and the autoscaler can't reckon with more than 200000"},
		"of another selector":   {path: "pods/*/jobs?metricLabelSelector=queue%3Dmail", kind: "Pod", want: []string{"a jobs{queue=mail} 1999999 - 2026-07-01T12:00:00Z"}},
		"far below zero":        {path: "pods/b/jobs?metricLabelSelector=queue%3Dmail", message: "Pod shop/b: its jobs{queue=mail} is -2e+06"},
		"of all pods, for one":  {path: "ginservices.apps.gin-operator.dev/hello/jobs", kind: "GinService", want: []string{"hello jobs 300k - 2026-07-01T12:00:00Z"}},
		"of all pods, for none": {path: "ginservices.apps.gin-operator.dev/hello/sent", kind: "GinService", want: []string{"hello sent 299999 - 2026-07-01T12:00:00Z"}},
		"that is no average":    {path: "ginservices.apps.gin-operator.dev/hello/backlog", kind: "GinService", want: []string{"hello backlog 100k - 2026-07-01T12:00:00Z"}},
		"that nobody aims at":   {path: "pods/a/sent", kind: "Pod", want: []string{"a sent 150k - 2026-07-01T12:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := get("/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/" + tc.path)
			expectAnswer(t, code, body, tc.message, tc.kind, tc.want)
		})
	}
}

// A thousand pods of others may be in the namespace, and would all be looked through.
func TestPodsAreFoundByTheirGinService(t *testing.T) {
	serves := service(v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "jobs"})
	serves.Status.Selector = resources.Selector(serves, v1alpha1.Blue)
	other := pod("b", v1alpha1.Blue, func(p *corev1.Pod) { p.Labels[v1alpha1.LabelUID] = "another-uid" })
	lists := 0
	cluster := interceptor.NewClient(newClient(t, serves, pod("a", v1alpha1.Blue), other), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if _, ok := list.(*corev1.PodList); ok {
				lists++
				var all client.ListOptions
				all.ApplyOptions(options)
				if all.FieldSelector == nil || all.FieldSelector.String() != serviceIndex+"="+string(serves.UID) {
					t.Errorf("pods are listed by %v", all.FieldSelector)
				}
			}
			return c.List(ctx, list, options...)
		},
	})
	values := measured{"uid-of-a jobs": {Value: 1, Time: at, Pods: 1}, "uid-of-b jobs": {Value: 1, Time: at, Pods: 1}}
	get := serveAPI(t, &provider{client: cluster, reader: values, window: 30 * time.Second, interval: 5 * time.Second, clock: clocktesting.NewFakePassiveClock(at)})
	const namespace = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/"
	code, body := get(namespace + "pods/*/jobs?labelSelector=" + url.QueryEscape(serves.Status.Selector))
	expectAnswer(t, code, body, "", "Pod", []string{"a jobs 1 - 2026-07-01T12:00:00Z"})
	code, body = get(namespace + "ginservices.apps.gin-operator.dev/hello/jobs")
	expectAnswer(t, code, body, "", "GinService", []string{"hello jobs 1 - 2026-07-01T12:00:00Z"})
	if lists != 2 {
		t.Errorf("pods were listed %d times", lists)
	}
}
