package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/metrics/pkg/apis/custom_metrics"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	customprovider "sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/podmetrics"
)

// pods and ginServices are what there are metrics of.
var (
	pods        = schema.GroupResource{Resource: "pods"}
	ginServices = schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "ginservices"}
)

// maxThousandths bounds a value. The autoscaler adds those of all pods up in 64 bits: beyond, those of two thousand pods would come out negative, and take
// pods away.
const maxThousandths = 1 << 52

// maxTargets bounds a value too, by how many times what the autoscaler aims at it may be. The autoscaler reckons with numbers of pods in 32 bits:
// beyond, they would come out negative as well. There are maxPods pods at most, and each may have so much.
const maxTargets = 100_000

// maxPods is how many pods a GinService may have.
const maxPods = 10_000

// serviceIndex is the index of pods by the UID of their GinService, which every selector of an autoscaler has.
const serviceIndex = "service"

// indexByService returns what a pod is found by in the index.
func indexByService(pod client.Object) []string {
	return []string{pod.GetLabels()[v1alpha1.LabelUID]}
}

// listPods lists pods of a namespace. There may be a thousand of other GinServices, and to look through them would take longer than all else.
// Nothing may be written to what is listed: copies of a hundred pods are most of what an answer would cost.
func (p *provider) listPods(ctx context.Context, namespace string, selector labels.Selector) ([]corev1.Pod, error) {
	options := []client.ListOption{client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}, client.UnsafeDisableDeepCopy}
	if uid, named := selector.RequiresExactMatch(v1alpha1.LabelUID); named {
		options = append(options, client.MatchingFields{serviceIndex: uid})
	}
	var list corev1.PodList
	if err := p.client.List(ctx, &list, options...); err != nil {
		return nil, err
	}
	// In order, so that an answer that is an error does not differ from one time to the next.
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// maxReasons is how many pods an error tells the reason of.
const maxReasons = 3

// reader is what the provider needs of a podmetrics.Scraper.
type reader interface {
	Read(types.UID, podmetrics.Query, time.Duration) (podmetrics.Value, error)
	Sum([]types.UID, podmetrics.Query, time.Duration) (podmetrics.Value, []*podmetrics.Error)
}

// provider answers for custom.metrics.k8s.io from what was scraped. A pod without a value is left out of a list: the autoscaler then reckons
// with what keeps it from scaling down. Where no pod has a value, the answer is an error that says why, which ends up in the condition of the
// HorizontalPodAutoscaler.
type provider struct {
	// client reads from caches.
	client client.Reader
	reader reader
	// window is what rates are taken over, and interval the time between two scrapes.
	window, interval time.Duration
	clock            clock.PassiveClock
}

var _ customprovider.CustomMetricsProvider = (*provider)(nil)

// GetMetricByName returns the value of one pod, or of all pods together that serve a GinService.
func (p *provider) GetMetricByName(
	ctx context.Context, name types.NamespacedName, info customprovider.CustomMetricInfo, selector labels.Selector,
) (*custom_metrics.MetricValue, error) {
	query := podmetrics.Query{Name: info.Metric, Selector: selector}
	switch {
	case info.Namespaced && info.GroupResource == pods:
		return p.ofPod(ctx, name, query)
	case info.Namespaced && info.GroupResource == ginServices:
		return p.ofService(ctx, name, query)
	}
	return nil, customprovider.NewMetricNotFoundForError(info.GroupResource, info.Metric, name.Name)
}

func (p *provider) ofPod(ctx context.Context, name types.NamespacedName, query podmetrics.Query) (*custom_metrics.MetricValue, error) {
	var pod corev1.Pod
	if err := p.client.Get(ctx, name, &pod); apierrors.IsNotFound(err) {
		return nil, notFound("there is no pod %s of a GinService", name)
	} else if err != nil {
		return nil, fmt.Errorf("reading pod %s: %w", name, err)
	}
	at, err := p.aimsOfPod(ctx, &pod, query)
	if err != nil {
		return nil, err
	}
	value, err := p.value(&pod, query, at)
	if err != nil {
		return nil, notFound("%v", err)
	}
	return value, nil
}

// aims are the least and the most of what autoscalers aim at with a metric, in thousandths, or 0 where nobody is known to.
type aims struct{ least, most float64 }

// add adds what a GinService aims at, if it has that wish.
func (a *aims) add(gs *v1alpha1.GinService, asked wish) {
	wishes, _ := wishesOf(gs) // the reconciler tells of those that are refused
	for _, w := range wishes {
		if target := float64(w.target); target > 0 && w.service == asked.service && w.ofService == asked.ofService && w.query.String() == asked.query.String() {
			if a.least == 0 || target < a.least {
				a.least = target
			}
			a.most = max(a.most, target)
		}
	}
}

// limit returns the most that a value may be, in thousandths, and whether one that is greater may be taken for that: all who aim at it then want as
// many pods as there may be.
func (a *aims) limit() (most float64, enough bool) {
	if a.least == 0 {
		return maxThousandths, false
	}
	most = min(maxThousandths, maxTargets*a.least)
	return most, most >= maxPods*a.most
}

// aimsOfPod returns what the autoscaler of a pod's GinService aims at.
func (p *provider) aimsOfPod(ctx context.Context, pod *corev1.Pod, query podmetrics.Query) (a aims, err error) {
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Labels[v1alpha1.LabelInstance]}
	var gs v1alpha1.GinService
	if err := p.client.Get(ctx, key, &gs); apierrors.IsNotFound(err) {
		return a, nil
	} else if err != nil {
		return a, fmt.Errorf("reading GinService %s: %w", key, err)
	}
	a.add(&gs, wish{query: query, service: gs.Name})
	return a, nil
}

// aimsAtService returns what all aim at that scale on a GinService: who asks isn't known.
func (p *provider) aimsAtService(ctx context.Context, gs *v1alpha1.GinService, query podmetrics.Query) (a aims, err error) {
	var list v1alpha1.GinServiceList
	if err := p.client.List(ctx, &list, client.InNamespace(gs.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return a, fmt.Errorf("listing the GinServices of namespace %s: %w", gs.Namespace, err)
	}
	for i := range list.Items {
		a.add(&list.Items[i], wish{query: query, service: gs.Name, ofService: true})
	}
	return a, nil
}

// ofService returns what the ready pods of the colour that serves say together. With a pod that says nothing the sum would be too small, and the
// autoscaler would scale down: so there is none then.
func (p *provider) ofService(ctx context.Context, name types.NamespacedName, query podmetrics.Query) (*custom_metrics.MetricValue, error) {
	var gs v1alpha1.GinService
	if err := p.client.Get(ctx, name, &gs); apierrors.IsNotFound(err) {
		return nil, notFound("there is no GinService %s", name)
	} else if err != nil {
		return nil, fmt.Errorf("reading GinService %s: %w", name, err)
	}
	selector, err := labels.Parse(gs.Status.Selector)
	if err != nil || selector.Empty() {
		return nil, notFound("GinService %s has no pods yet", name)
	}
	all, err := p.listPods(ctx, name.Namespace, selector)
	if err != nil {
		return nil, fmt.Errorf("listing the pods of GinService %s: %w", name, err)
	}
	var uids []types.UID
	for i := range all {
		if _, ok := targetOf(&gs, &all[i]); ok {
			uids = append(uids, all[i].UID)
		}
	}
	if len(uids) == 0 && ptr.Deref(gs.Spec.Replicas, 1) != 0 {
		return nil, notFound("GinService %s has no pod that is ready, and so no %s", name, query)
	}
	measured, problems := p.reader.Sum(uids, query, p.window)
	if latest, others := p.reader.Sum(uids, query, p.interval); len(others) == 0 && leaps(query, measured, latest) {
		measured = latest
	}
	if len(problems) > 0 {
		reasons := make([]string, 0, len(problems))
		for _, problem := range problems {
			reasons = append(reasons, problem.Error())
		}
		return nil, notFound("GinService %s has no %s: %s", name, query, shortened(reasons))
	}
	if len(uids) == 0 {
		measured.Time = p.clock.Now()
	}
	at, err := p.aimsAtService(ctx, &gs, query)
	if err != nil {
		return nil, err
	}
	return metricValue(custom_metrics.ObjectReference{
		Kind: resources.Kind, APIVersion: resources.APIVersion, Namespace: gs.Namespace, Name: gs.Name, UID: gs.UID,
	}, query, measured, at)
}

// shortened lists the first reasons, and says how many there are besides.
func shortened(reasons []string) string {
	if len(reasons) <= maxReasons {
		return strings.Join(reasons, "; ")
	}
	return fmt.Sprintf("%s; and so on for %d more", strings.Join(reasons[:maxReasons], "; "), len(reasons)-maxReasons)
}

// GetMetricBySelector returns the values of the pods that have one, of those with the labels.
func (p *provider) GetMetricBySelector(
	ctx context.Context, namespace string, selector labels.Selector, info customprovider.CustomMetricInfo, metricSelector labels.Selector,
) (*custom_metrics.MetricValueList, error) {
	if info.GroupResource != pods || !info.Namespaced {
		return nil, customprovider.NewMetricNotFoundForSelectorError(info.GroupResource, info.Metric, "", selector)
	}
	all, err := p.listPods(ctx, namespace, selector)
	if err != nil {
		return nil, fmt.Errorf("listing the pods of namespace %s: %w", namespace, err)
	}
	query := podmetrics.Query{Name: info.Metric, Selector: metricSelector}
	if err := query.Validate(); err != nil {
		return nil, notFound("%v", err)
	}
	values := &custom_metrics.MetricValueList{}
	var reasons []string
	known := map[string]aims{}
	for i := range all {
		service := all[i].Labels[v1alpha1.LabelInstance]
		at, found := known[service]
		if !found {
			if at, err = p.aimsOfPod(ctx, &all[i], query); err != nil {
				return nil, err
			}
			known[service] = at
		}
		value, err := p.value(&all[i], query, at)
		if err == nil {
			values.Items = append(values.Items, *value)
			continue
		}
		// Pods that aren't ready are not scraped, and have nothing to do with why the others have no value.
		if problem, ok := errors.AsType[*podmetrics.Error](err); !ok || problem.Reason != podmetrics.ReasonNotScraped {
			reasons = append(reasons, err.Error())
		}
	}
	switch {
	case len(values.Items) > 0:
		return values, nil
	case len(reasons) > 0:
		return nil, notFound("no pod has a value of %s: %s", query, shortened(reasons))
	}
	return nil, notFound("no pod is scraped for %s: of %d pods with the labels %s none is ready, or no GinService has this metric in autoscaling.metrics with type Pods",
		query, len(all), selector)
}

// ListAllMetrics returns what the pods of all GinServices are asked for.
func (p *provider) ListAllMetrics() []customprovider.CustomMetricInfo {
	var list v1alpha1.GinServiceList
	// Only from a cache, which fails only while the process starts or ends.
	if err := p.client.List(context.Background(), &list); err != nil {
		return nil
	}
	known := map[customprovider.CustomMetricInfo]bool{}
	for i := range list.Items {
		wishes, _ := wishesOf(&list.Items[i]) // the reconciler tells of those that are refused
		for _, wish := range wishes {
			of := pods
			if wish.ofService {
				of = ginServices
			}
			known[customprovider.CustomMetricInfo{GroupResource: of, Namespaced: true, Metric: wish.query.Name}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(known), func(a, b customprovider.CustomMetricInfo) int { return strings.Compare(a.String(), b.String()) })
}

// value returns what a pod says to a query.
func (p *provider) value(pod *corev1.Pod, query podmetrics.Query, at aims) (*custom_metrics.MetricValue, error) {
	measured, err := p.reader.Read(pod.UID, query, p.window)
	if err != nil {
		return nil, err
	}
	if latest, err := p.reader.Read(pod.UID, query, p.interval); err == nil && leaps(query, measured, latest) {
		measured = latest
	}
	return metricValue(custom_metrics.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}, query, measured, at)
}

// leastGrown is how much has to be counted between two scrapes for a rate to be told from them: twice a few come by chance.
const leastGrown = 20

// leaps reports whether a rate is at least twice as high between the newest two scrapes. Taken over the whole window, a step of load would be seen
// in full only once the window has passed, and pods be added a sync of the autoscaler or two later; a lull shorter than the window still
// takes none away.
func leaps(query podmetrics.Query, measured, latest podmetrics.Value) bool {
	return query.Adds() && measured.Window > 0 && latest.Count >= leastGrown && latest.Value >= 2*measured.Value
}

// metricValue returns what was measured in the form of the API, or an error if the autoscaler can't reckon with it. One that is too great is made as
// great as it may be: who has so much to do gets all pods that there may be.
func metricValue(of custom_metrics.ObjectReference, query podmetrics.Query, measured podmetrics.Value, at aims) (*custom_metrics.MetricValue, error) {
	// The API counts in thousandths.
	thousandths := math.Round(1000 * measured.Value)
	// Many a gauge is -1 while it knows nothing, and an autoscaler would take pods away for that.
	if thousandths < 0 {
		return nil, notFound("%s %s/%s: its %s is %g, and the autoscaler can't reckon with less than 0", of.Kind, of.Namespace, of.Name, query, measured.Value)
	}
	most, enough := at.limit()
	switch {
	case thousandths <= most:
	case thousandths > most && enough:
		thousandths = most
	default: // also what is no number
		return nil, notFound("%s %s/%s: its %s is %g, and the autoscaler can't reckon with more than %g", of.Kind, of.Namespace, of.Name, query, measured.Value, most/1000)
	}
	value := &custom_metrics.MetricValue{
		DescribedObject: of,
		Metric:          custom_metrics.MetricIdentifier{Name: query.Name},
		Timestamp:       metav1.NewTime(measured.Time),
		Value:           *resource.NewMilliQuantity(int64(thousandths), resource.DecimalSI),
	}
	if measured.Window > 0 {
		seconds := int64(math.Ceil(measured.Window.Seconds()))
		value.WindowSeconds = &seconds
	}
	if query.Selector != nil && !query.Selector.Empty() {
		selector, err := metav1.ParseToLabelSelector(query.Selector.String())
		if err != nil {
			return nil, fmt.Errorf("writing the selector of %s: %w", query, err)
		}
		value.Metric.Selector = selector
	}
	return value, nil
}

func notFound(format string, args ...any) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: fmt.Sprintf(format, args...),
	}}
}
