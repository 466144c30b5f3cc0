package main

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
)

// aimedAt returns a metric that an autoscaler aims at a number of.
func aimedAt(metric v1alpha1.Metric, target int64) v1alpha1.Metric {
	metric.AverageValue = resource.NewQuantity(target, resource.DecimalSI)
	return metric
}

// The autoscaler would come to fewer pods than none: test/integration/ginservice shows it.
func TestValuesThatTheAutoscalerCannotReckonWith(t *testing.T) {
	jobs, mails := v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "jobs"}, v1alpha1.Metric{Type: v1alpha1.MetricPods, Name: "jobs"}
	mails.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"queue": "mail"}}
	serves := service(aimedAt(jobs, 2), aimedAt(mails, 20))
	serves.Status.Selector = resources.Selector(serves, v1alpha1.Blue)
	absolute := of("hello", "backlog")
	absolute.Value = resource.NewQuantity(1, resource.DecimalSI)
	values := measured{
		"uid-of-a jobs":             {Value: 200_000, Time: at, Pods: 1},
		"uid-of-b jobs":             {Value: 199_999, Time: at, Pods: 1},
		"uid-of-a jobs{queue=mail}": {Value: 1_999_999, Time: at, Pods: 1},
		"uid-of-b jobs{queue=mail}": {Value: -2_000_000, Time: at, Pods: 1},
		"uid-of-a backlog":          {Value: 50_000, Time: at, Pods: 1},
		"uid-of-b backlog":          {Value: 50_000, Time: at, Pods: 1},
		"uid-of-a sent":             {Value: 150_000, Time: at, Pods: 1},
		"uid-of-b sent":             {Value: 149_999, Time: at, Pods: 1},
	}
	get := serveAPI(t, &provider{
		client: newClient(t, serves, pod("a", v1alpha1.Blue), pod("b", v1alpha1.Blue),
			worker("one", nil, aimedAt(of("hello", "jobs"), 4), absolute), worker("two", nil, aimedAt(of("hello", "jobs"), 3), aimedAt(of("hello", "sent"), 3)),
			worker("three", nil, aimedAt(jobs, 1), aimedAt(of("other", "sent"), 1))),
		reader: values, window: 30 * time.Second, interval: 5 * time.Second, clock: clocktesting.NewFakePassiveClock(at),
	})
	for name, tc := range map[string]struct {
		path, kind string
		want       []string
		message    string
	}{
		"of a pod":              {path: "pods/a/jobs", message: "Pod shop/a: its jobs is 200000, and the autoscaler can't reckon with 200000 or more"},
		"of one of the pods":    {path: "pods/*/jobs", kind: "Pod", want: []string{"b jobs 199999 - 2026-07-01T12:00:00Z"}},
		"of another selector":   {path: "pods/*/jobs?metricLabelSelector=queue%3Dmail", kind: "Pod", want: []string{"a jobs{queue=mail} 1999999 - 2026-07-01T12:00:00Z"}},
		"far below zero":        {path: "pods/b/jobs?metricLabelSelector=queue%3Dmail", message: "Pod shop/b: its jobs{queue=mail} is -2e+06"},
		"of all pods, for one":  {path: "ginservices.apps.gin-operator.dev/hello/jobs", message: "GinService shop/hello: its jobs is 399999, and the autoscaler can't reckon with 300000 or more"},
		"of all pods, for none": {path: "ginservices.apps.gin-operator.dev/hello/sent", kind: "GinService", want: []string{"hello sent 299999 - 2026-07-01T12:00:00Z"}},
		"that is no average":    {path: "ginservices.apps.gin-operator.dev/hello/backlog", message: "its backlog is 100000, and the autoscaler can't reckon with 100000 or more"},
		"that nobody aims at":   {path: "pods/a/sent", kind: "Pod", want: []string{"a sent 150k - 2026-07-01T12:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := get("/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/" + tc.path)
			expectAnswer(t, code, body, tc.message, tc.kind, tc.want)
		})
	}
}
