package controllers

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// observation is everything that one pass knows. A child that does not exist is nil.
type observation struct {
	gs          *v1alpha1.GinService
	wanted      resources.Revision
	deployments map[v1alpha1.Color]*appsv1.Deployment
	active      *corev1.Service
	preview     *corev1.Service
	hpa         *autoscalingv2.HorizontalPodAutoscaler
	pdb         *policyv1.PodDisruptionBudget
	policy      *networkingv1.NetworkPolicy
	route       optionalChild[*gatewayv1.HTTPRoute]
	monitor     optionalChild[*monitoring.PodMonitor]
	history     []appsv1.ControllerRevision
	recorded    map[string]resources.Revision // those of the history that were asked for in this pass
	state       rollout.Observed
	held        string   // the revision of spec, where an annotation holds another one in its place
	invalid     *problem // what is wrong with the spec, where the wanted revision can't be had
}

// observe reads the children of a GinService, each once.
func (r *Reconciler) observe(ctx context.Context, gs *v1alpha1.GinService) (*observation, error) {
	o := &observation{gs: gs, wanted: resources.RevisionOf(gs.Spec.WorkloadSpec), deployments: map[v1alpha1.Color]*appsv1.Deployment{}}
	for _, color := range []v1alpha1.Color{v1alpha1.Blue, v1alpha1.Green} {
		deployment, err := read(ctx, r.Client, gs, names.Deployment(gs.Name, color), &appsv1.Deployment{})
		if err != nil {
			return nil, err
		}
		if deployment != nil {
			o.deployments[color] = deployment
		}
	}
	var err error
	if o.active, err = read(ctx, r.Client, gs, names.ActiveService(gs.Name), &corev1.Service{}); err != nil {
		return nil, err
	}
	if o.preview, err = read(ctx, r.Client, gs, names.PreviewService(gs.Name), &corev1.Service{}); err != nil {
		return nil, err
	}
	if o.hpa, err = read(ctx, r.Client, gs, names.HorizontalPodAutoscaler(gs.Name), &autoscalingv2.HorizontalPodAutoscaler{}); err != nil {
		return nil, err
	}
	if o.pdb, err = read(ctx, r.Client, gs, names.PodDisruptionBudget(gs.Name), &policyv1.PodDisruptionBudget{}); err != nil {
		return nil, err
	}
	if o.policy, err = read(ctx, r.Client, gs, names.NetworkPolicy(gs.Name), &networkingv1.NetworkPolicy{}); err != nil {
		return nil, err
	}
	if o.history, err = r.readHistory(ctx, gs); err != nil {
		return nil, err
	}
	if err := r.observeRoute(ctx, o); err != nil {
		return nil, err
	}
	if err := r.observeState(ctx, o); err != nil {
		return nil, err
	}
	return o, r.observeMonitor(ctx, o)
}

// read reads one child from the cache, or nil where there is none. What the cache holds under the name of a child but this GinService
// does not control is returned too: whoever wants to write it has to look. What is returned is the cache's own: nobody may change it.
func read[T client.Object](ctx context.Context, c client.Reader, gs *v1alpha1.GinService, name string, into T, options ...client.GetOption) (T, error) {
	var none T
	if err := c.Get(ctx, client.ObjectKey{Namespace: gs.Namespace, Name: name}, into, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		if apierrors.IsNotFound(err) {
			return none, nil
		}
		return none, fmt.Errorf("reading %T %s: %w", into, name, err)
	}
	return into, nil
}

func (r *Reconciler) readHistory(ctx context.Context, gs *v1alpha1.GinService) ([]appsv1.ControllerRevision, error) {
	var list appsv1.ControllerRevisionList
	// A revision that this operator wrote a moment ago may be missing here: its name is then found taken, by itself.
	err := r.Client.List(ctx, &list, client.InNamespace(gs.Namespace), client.MatchingFields{indexOwner: string(gs.UID)},
		client.DisableReadYourWritesConsistency)
	if err != nil {
		return nil, fmt.Errorf("listing ControllerRevisions: %w", err)
	}
	return list.Items, nil
}

// observeState puts what was read into the planner's terms.
func (r *Reconciler) observeState(ctx context.Context, o *observation) error {
	gs, now := o.gs, r.Clock.Now()
	r.pace.begin(now)
	o.state = rollout.Observed{
		Now:        now,
		Spec:       &gs.Spec,
		Approved:   gs.Annotations[v1alpha1.AnnotationPromote],
		Aborted:    gs.Annotations[v1alpha1.AnnotationAbort],
		Retry:      gs.Annotations[v1alpha1.AnnotationRetry],
		Rollout:    gs.Status.Rollout,
		LastActive: gs.Status.ActiveColor,
		Colors:     map[v1alpha1.Color]rollout.Color{},
	}
	if _, known := o.revision(gs.Status.ActiveRevision); known {
		o.state.LastRevision = gs.Status.ActiveRevision // else nothing can bring it back
	}
	for color, deployment := range o.deployments {
		if metav1.IsControlledBy(deployment, gs) {
			o.state.Colors[color] = colorOf(deployment)
		}
	}
	if controls(gs, o.active) {
		o.state.Selected = v1alpha1.Color(o.active.Spec.Selector[v1alpha1.LabelColor])
		if serving := v1alpha1.Color(o.active.Annotations[resources.AnnotationServing]); selectsBoth(gs, o.active) && serving.Valid() {
			o.state.Selected, o.state.Both = serving, true
		}
	}
	if controls(gs, o.preview) {
		o.state.Previewed = rollout.Preview{
			Color:    v1alpha1.Color(o.preview.Spec.Selector[v1alpha1.LabelColor]),
			Revision: o.preview.Spec.Selector[v1alpha1.LabelRevision],
		}
	}
	var err error
	if o.state.ActiveEndpoints, err = r.readyEndpoints(ctx, gs, names.ActiveService(gs.Name), nil); err != nil {
		return err
	}
	// What was there for an earlier preview says nothing about this one.
	current := labels.SelectorFromSet(labels.Set{
		v1alpha1.LabelColor: string(o.state.Previewed.Color), v1alpha1.LabelRevision: o.state.Previewed.Revision,
	})
	if o.state.PreviewEndpoints, err = r.readyEndpoints(ctx, gs, names.PreviewService(gs.Name), current); err != nil {
		return err
	}
	o.countEndpoints()
	o.want()
	o.state.Verdict = r.judge(ctx, gs, o.state.Colors[o.state.Active()].Revision)
	return nil
}

// want finds the revision that is wanted: that of spec, maybe with new pods, or the one that an annotation holds in its place. Where it can't
// be had, what serves goes on as if nothing had changed, so that it can still be scaled and repaired.
func (o *observation) want() {
	serving := o.state.Colors[o.state.Active()].Revision
	o.restart(serving, o.state.Colors[o.state.Active().Other()].Revision)
	if held := o.gs.Annotations[v1alpha1.AnnotationRollback]; held != "" && held != o.wanted.Name {
		o.hold(held)
	} else {
		o.checkSpec()
	}
	o.state.Wanted = o.wanted.Name
	o.state.Restart = serving != o.wanted.Name && resources.SameWorkload(serving, o.wanted.Name) && o.held == ""
	if resources.Names(o.state.Approved, o.wanted.Name) {
		o.state.Approved = o.wanted.Name
	}
	if resources.Names(o.state.Aborted, o.wanted.Name) {
		o.state.Aborted = o.wanted.Name
	}
	if o.invalid != nil {
		o.state.Wanted = cmp.Or(o.underWay(), serving, o.wanted.Name)
	}
}

// underWay returns the revision of a rollout that has not ended, if it is still known.
func (o *observation) underWay() string {
	record := o.gs.Status.Rollout
	if record == nil || rollout.Ended(record) {
		return ""
	}
	if _, known := o.revision(record.Revision); !known {
		return ""
	}
	return record.Revision
}

// hold takes a revision from the history in place of that of spec.
func (o *observation) hold(name string) {
	revision, known := o.revision(name)
	if !known {
		o.invalid = &problem{reason: v1alpha1.ReasonUnknownRevision, message: fmt.Sprintf(
			"the annotation %s names revision %s, which is not in the history: remove it, or name one of %s", v1alpha1.AnnotationRollback, name, o.known())}
		return
	}
	o.held, o.wanted, o.state.Approved = o.wanted.Name, revision, revision.Name
}

// restart names the revision of spec by when its pods are to have been started. Where nothing says so any more, it is what a colour holds.
func (o *observation) restart(serving, other string) {
	record := o.gs.Status.Rollout
	switch at := o.gs.Annotations[v1alpha1.AnnotationRestartedAt]; {
	case record != nil && rollout.Stopped(record.Step) && resources.SameWorkload(record.Revision, o.wanted.Name) && !resources.SameWorkload(serving, o.wanted.Name):
		o.wanted.Name = record.Revision // it has come to nothing, and a restart is no retry
	case at != "":
		o.wanted = o.wanted.Restarted(at)
	case resources.SameWorkload(serving, o.wanted.Name):
		o.wanted.Name = serving
	case resources.SameWorkload(other, o.wanted.Name):
		o.wanted.Name = other
	}
}

// known returns the revisions of the history, the latest first.
func (o *observation) known() string {
	history := slices.SortedFunc(slices.Values(o.history), func(a, b appsv1.ControllerRevision) int { return byNumber(b, a) })
	revisions := make([]string, len(history))
	for i := range history {
		revisions[i] = history[i].Labels[v1alpha1.LabelRevision]
	}
	return strings.Join(revisions, ", ")
}

// selectsBoth reports whether an active Service selects the pods of both colours, and no others.
func selectsBoth(gs *v1alpha1.GinService, active *corev1.Service) bool {
	selector := active.Spec.Selector
	return len(selector) == 1 && selector[v1alpha1.LabelUID] == string(gs.UID)
}

// countEndpoints takes pods that the preview Service's EndpointSlices show ready for available, unless they have to be ready for a while
// first: traffic goes by the EndpointSlices, and the Deployment's status comes seconds later on a busy cluster. They are pods of the
// revision, because the preview Service selects it; that there are no others is for the Deployment to say, which can get none once it has
// said so of its newest template.
func (o *observation) countEndpoints() {
	previewed := o.state.Previewed
	live, exists := o.state.Colors[previewed.Color]
	wait := o.gs.Spec.MinReadySeconds
	if !exists || live.Revision != previewed.Revision || !live.Settled || live.Updated != live.Current || (wait != nil && *wait > 0) {
		return
	}
	shown := min(o.state.PreviewEndpoints[previewed.Color], live.Replicas)
	live.Updated, live.Available = max(live.Updated, shown), max(live.Available, shown)
	live.Current = live.Updated
	o.state.Colors[previewed.Color] = live
}

// checkSpec finds what no schema can say.
func (o *observation) checkSpec() {
	if size := resources.ConfigSize(o.gs.Spec.Config); size > resources.MaxConfigSize {
		o.invalid = &problem{reason: v1alpha1.ReasonConfigTooLarge, message: fmt.Sprintf(
			"spec.config has %d bytes, and a ConfigMap takes %d: move what is large to a volume", size, resources.MaxConfigSize)}
	}
}

// hopeless reports whether the wanted revision can't be had, and nothing serves that could go on.
func (o *observation) hopeless() bool {
	return o.invalid != nil && o.state.Colors[o.state.Active()].Revision == ""
}

func controls[T interface {
	comparable
	client.Object
}](gs *v1alpha1.GinService, child T) bool {
	var none T
	return child != none && metav1.IsControlledBy(child, gs)
}

func colorOf(deployment *appsv1.Deployment) rollout.Color {
	return rollout.Color{
		Revision:  deployment.Spec.Template.Labels[v1alpha1.LabelRevision],
		Replicas:  replicasOf(deployment),
		Current:   deployment.Status.Replicas,
		Updated:   deployment.Status.UpdatedReplicas,
		Available: deployment.Status.AvailableReplicas,
		// A Deployment that has never changed has pods of one template only, whoever has counted them.
		Settled: deployment.Status.ObservedGeneration >= deployment.Generation || deployment.Generation == 1,
	}
}

// replicasOf returns the number of pods that a Deployment wants: 1 where it does not say.
func replicasOf(deployment *appsv1.Deployment) int32 {
	if deployment.Spec.Replicas == nil {
		return 1
	}
	return *deployment.Spec.Replicas
}

// readyEndpoints counts the ready endpoints of a Service by colour, in the EndpointSlices that match. An EndpointSlice names the pods, and
// a pod's name begins with that of its Deployment.
func (r *Reconciler) readyEndpoints(ctx context.Context, gs *v1alpha1.GinService, service string, match labels.Selector) (map[v1alpha1.Color]int32, error) {
	var slices discoveryv1.EndpointSliceList
	options := []client.ListOption{client.InNamespace(gs.Namespace), client.MatchingFields{indexService: service}, client.UnsafeDisableDeepCopy}
	if match != nil {
		options = append(options, client.MatchingLabelsSelector{Selector: match})
	}
	err := r.Client.List(ctx, &slices, options...)
	if err != nil {
		return nil, fmt.Errorf("listing EndpointSlices of Service %s: %w", service, err)
	}
	ready := map[v1alpha1.Color]map[string]bool{v1alpha1.Blue: {}, v1alpha1.Green: {}}
	for i := range slices.Items {
		for pod := range readyPods(&slices.Items[i]) {
			for color, pods := range ready {
				if strings.HasPrefix(pod, names.Deployment(gs.Name, color)) {
					pods[pod] = true // once, though a dual-stack pod is in two slices
				}
			}
		}
	}
	counts := map[v1alpha1.Color]int32{}
	for color, pods := range ready {
		for range pods {
			counts[color]++
		}
	}
	return counts, nil
}

// readyPods returns the names of the pods that an EndpointSlice shows ready.
func readyPods(slice *discoveryv1.EndpointSlice) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range slice.Endpoints {
			endpoint := &slice.Endpoints[i]
			isReady := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			if endpoint.TargetRef != nil && isReady && !yield(endpoint.TargetRef.Name) {
				return
			}
		}
	}
}
