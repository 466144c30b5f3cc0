package rollout

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// The defaults below are those of the API. Most are in the CRD too, and count where a GinService was stored before a field existed.
const (
	defaultProgressDeadline = 600 * time.Second
	defaultScaleDownDelay   = 30 * time.Second
	defaultOverlap          = 30 * time.Second
)

// outage is how long nobody can be reached before a preview that is ready is not held back any more. Pods that restart are ready again by then.
const outage = 30 * time.Second

func (p *planner) blueGreen() v1alpha1.BlueGreen { return p.Spec.Strategy.BlueGreen }

func (p *planner) deadline() time.Duration {
	return seconds(p.Spec.ProgressDeadlineSeconds, defaultProgressDeadline)
}

func (p *planner) autoPromotionDelay() time.Duration {
	return seconds(p.blueGreen().AutoPromotionSeconds, 0)
}

func (p *planner) overlap() time.Duration {
	return seconds(p.blueGreen().OverlapSeconds, defaultOverlap)
}

func (p *planner) scaleDownDelay() time.Duration {
	return seconds(p.blueGreen().ScaleDownDelaySeconds, defaultScaleDownDelay)
}

func (p *planner) abortScaleDownDelay() time.Duration {
	return seconds(p.blueGreen().AbortScaleDownDelaySeconds, defaultScaleDownDelay)
}

// expired reports whether a preview has been ready for longer than it may wait for its promotion.
func (p *planner) expired(record *v1alpha1.RolloutStatus) bool {
	ttl := p.blueGreen().PreviewTTLSeconds
	return ttl != nil && !p.Now.Before(at(record.ReadyAt).Add(seconds(ttl, 0)))
}

// lookAtExpiry asks for another look when a ready preview has waited for as long as it may.
func (p *planner) lookAtExpiry(record *v1alpha1.RolloutStatus) {
	if ttl := p.blueGreen().PreviewTTLSeconds; ttl != nil {
		p.lookAgain(record.ReadyAt, seconds(ttl, 0))
	}
}

// previewSize returns the number of pods of a preview that is not approved yet. A service that is scaled to zero gets none.
func (p *planner) previewSize() int32 {
	size := p.blueGreen().PreviewReplicas
	if size == nil || p.count == 0 {
		return p.count
	}
	return *size
}

// unseen reports whether a preview waits for somebody who looks at it, and has no pods to look at.
func (p *planner) unseen() bool {
	return p.previewSize() == 0 && p.blueGreen().Promotion == v1alpha1.PromotionManual
}

// fresh returns the number of available pods of the wanted revision in a colour.
func (p *planner) fresh(live Color) int32 {
	if live.Revision != p.Wanted || !live.Settled {
		return 0
	}
	return live.Fresh()
}

// shown returns the number of ready endpoints that the preview Service has of a revision in the other colour, or 0 while it selects
// something else.
func (p *planner) shown(revision string) int32 {
	if p.Previewed != (Preview{Color: p.idle, Revision: revision}) {
		return 0
	}
	return p.PreviewEndpoints[p.idle]
}

func (p *planner) now() *metav1.MicroTime { return &metav1.MicroTime{Time: p.Now} }

func (p *planner) overdue(since *metav1.MicroTime) bool {
	return !p.Now.Before(at(since).Add(p.deadline()))
}

// lookAgain asks for another look when a timer ends, if it is the first one to. One that has ended already has done what it can.
func (p *planner) lookAgain(since *metav1.MicroTime, delay time.Duration) {
	after := at(since).Add(delay).Sub(p.Now)
	if after > 0 && (p.plan.After == 0 || after < p.plan.After) {
		p.plan.After = after
	}
}

func seconds(value *int32, otherwise time.Duration) time.Duration {
	if value == nil {
		return otherwise
	}
	return time.Duration(*value) * time.Second
}

// at returns the time of a timer. One that is missing began long ago, so that nothing waits for it forever.
func at(t *metav1.MicroTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
