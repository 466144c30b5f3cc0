package controllers

import (
	"context"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/resources"
	"github.com/gin-operator/gin-operator/controllers/resources/monitoring"
	"github.com/gin-operator/gin-operator/controllers/resources/names"
)

// podMonitors are those of prometheus-operator.
var podMonitors = monitoring.GroupVersion.WithResource("podmonitors")

// portsOf returns the ports on which the pods of a revision listen, or those of spec where it is not known.
func (o *observation) portsOf(revision string) v1alpha1.Ports {
	if found, known := o.revision(revision); known {
		return found.Workload.Ports
	}
	return o.gs.Spec.Ports
}

// metricsPorts returns the names of the container ports on which pods serve their metrics, or will: two while a rollout moves the metrics to
// another port, for the old pods have to be measured, too.
func (o *observation) metricsPorts() []string {
	name, _ := resources.MetricsPort(o.wanted.Workload.Ports)
	found := map[string]bool{name: true}
	for _, live := range o.state.Colors {
		if live.Current > 0 {
			name, _ := resources.MetricsPort(o.portsOf(live.Revision))
			found[name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (r *Reconciler) applyPolicy(ctx context.Context, o *observation) error {
	if o.gs.Spec.Network == nil {
		return r.prune(ctx, o.gs, o.policy, controls(o.gs, o.policy))
	}
	metricsPorts := o.metricsPorts()
	wanted := recipe[*networkingv1ac.NetworkPolicyApplyConfiguration]{
		from: strings.Join(metricsPorts, " "),
		build: func() *networkingv1ac.NetworkPolicyApplyConfiguration {
			return resources.NetworkPolicy(o.gs, r.OperatorNamespace, metricsPorts)
		},
	}
	return apply(ctx, r, o.gs, wanted, o.policy, anyVersion)
}

// podMonitor is the PodMonitor that is wanted, or nil.
func (o *observation) podMonitor() *monitoring.PodMonitorApplyConfiguration {
	if o.gs.Spec.Monitoring.Type != v1alpha1.MonitoringPodMonitor {
		return nil
	}
	return resources.PodMonitor(o.gs, o.metricsPorts())
}

// observeMonitor reads the PodMonitor, if that can be had. It takes what is known of the colours.
func (r *Reconciler) observeMonitor(ctx context.Context, o *observation) (err error) {
	o.monitor, err = observeOptional(ctx, r, o.gs, r.monitors, names.PodMonitor(o.gs.Name), o.podMonitor(), &monitoring.PodMonitor{})
	return err
}

// applyMonitor writes the PodMonitor.
func (r *Reconciler) applyMonitor(ctx context.Context, o *observation) {
	wanted := recipe[*monitoring.PodMonitorApplyConfiguration]{build: o.podMonitor}
	if o.monitor.wanted {
		wanted.from = strings.Join(o.metricsPorts(), " ")
	}
	applyOptional(ctx, r, o.gs, r.monitors, &o.monitor, wanted)
}

// monitored tells whether the PodMonitor is there.
func (c *conditions) monitored() metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionMonitored, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonPodMonitorUnknown}
	const remedy = "install prometheus-operator (monitoring.coreos.com/v1), or set spec.monitoring.type to Annotations or None"
	if !c.monitor.tell(c, &condition, v1alpha1.ReasonPodMonitorsMissing, remedy) {
		condition.Status, condition.Reason = metav1.ConditionTrue, v1alpha1.ReasonPodMonitorWritten
		condition.Message = "the PodMonitor is there: a Prometheus that selects it scrapes the pods of both colours"
	}
	return condition
}
