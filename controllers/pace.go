package controllers

import (
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	// statusInterval is how long status keeps news of numbers alone, such as pods that become ready one by one: more of them follow, or a
	// step that says it all. Steps are told at once.
	statusInterval = time.Second
	// patience is how long a service may be not ready before its pods are asked why.
	patience = 20 * time.Second
	// askInterval is how often they are asked then.
	askInterval = 15 * time.Second
	// repairBurst is how often in a row the same is written to a child.
	repairBurst = 10
	// repairInterval is how often it is from then on.
	repairInterval = time.Second
	// tellAfterFailures is how many passes in a row may fail before status says so: the queue has waited less than a second by then.
	tellAfterFailures = 6
	// metricPatience is how long an autoscaler may fail to measure what it scales on before a warning.
	metricPatience = time.Minute
	// partPatience is how long it may fail to measure a part of it. That of the CPU of new pods may take as long as they count as starting, by
	// Kubernetes' --horizontal-pod-autoscaler-cpu-initialization-period.
	partPatience = 5 * time.Minute
	// toldInterval is how long what comes again and again, as with pods that crash, is not told once more.
	toldInterval = 10 * time.Minute
)

// pace remembers when things were done last that need not be done often. It is a memory only of this process: whoever starts anew has a
// little more patience, and nothing else changes.
type pace struct {
	mutex    sync.Mutex
	services map[types.NamespacedName]*times
	began    time.Time
}

type times struct {
	numbers, asked, switching, warned time.Time

	warnedOfAll bool // that an autoscaler measures nothing, rather than not everything

	written  map[string]repeated  // by child
	failures int                  // passes in a row that ended in an error
	told     map[string]time.Time // when what comes again and again was told
}

// repeated is an intent that was written to a child, maybe again and again. paid is when as much time has passed as that may take.
type repeated struct {
	intent string
	paid   time.Time
}

func (p *pace) of(key types.NamespacedName) *times {
	if p.services == nil {
		p.services = map[types.NamespacedName]*times{}
	}
	if p.services[key] == nil {
		p.services[key] = &times{}
	}
	return p.services[key]
}

func (p *pace) forget(key types.NamespacedName) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.services, key)
}

// writeIn returns how long to wait before an intent is written to a child. 0 is now, and is taken as done.
func (p *pace) writeIn(key types.NamespacedName, child, intent string, now time.Time) time.Duration {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	t := p.of(key)
	maps.DeleteFunc(t.written, func(_ string, r repeated) bool { return r.paid.Before(now) })
	paid := now
	if last, again := t.written[child]; again && last.intent == intent {
		paid = last.paid
	}
	if wait := paid.Sub(now) - (repairBurst-1)*repairInterval; wait > 0 {
		return wait
	}
	if t.written == nil {
		t.written = map[string]repeated{}
	}
	t.written[child] = repeated{intent: intent, paid: paid.Add(repairInterval)}
	return 0
}

// contested returns a child that the same was written to many times in a row, or "", and how long it has to be left alone to count no
// longer.
func (p *pace) contested(key types.NamespacedName, now time.Time) (string, time.Duration) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, child := range slices.Sorted(maps.Keys(p.of(key).written)) {
		if calm := p.services[key].written[child].paid.Sub(now) - (repairBurst-2)*repairInterval; calm > 0 {
			return child, calm
		}
	}
	return "", 0
}

// begin tells of a pass, of which the first one counts.
func (p *pace) begin(now time.Time) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.began.IsZero() {
		p.began = now
	}
}

// numbersIn returns how long to wait before a change of numbers alone is written to status: 0 is now.
func (p *pace) numbersIn(key types.NamespacedName, now time.Time) time.Duration {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	t := p.of(key)
	if t.numbers.IsZero() {
		t.numbers = now
	}
	return max(0, t.numbers.Add(statusInterval).Sub(now))
}

// statusCurrent says that status has all numbers.
func (p *pace) statusCurrent(key types.NamespacedName) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.of(key).numbers = time.Time{}
}

// mayAsk reports whether it is time to ask pods why they don't become ready, and takes the turn.
func (p *pace) mayAsk(key types.NamespacedName, now time.Time) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	t := p.of(key)
	if now.Before(t.asked.Add(askInterval)) {
		return false
	}
	t.asked = now
	return true
}

func (p *pace) switched(key types.NamespacedName, now time.Time) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.of(key).switching = now
}

// confirmIn returns how long the confirmation of a switch may still take before status tells of the switch alone.
func (p *pace) confirmIn(key types.NamespacedName, now time.Time) time.Duration {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return max(0, p.of(key).switching.Add(statusInterval).Sub(now))
}

// confirmed returns when the switch was written that is confirmed now, once, or false where this process did not write it.
func (p *pace) confirmed(key types.NamespacedName) (time.Time, bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	t := p.of(key)
	since := t.switching
	t.switching = time.Time{}
	return since, !since.IsZero()
}

// firstWarning reports whether a trouble of an autoscaler is warned of for the first time, or for the first time as one with all that it scales on, and
// takes it that it is now. What was due before the first pass of this process was warned of by its predecessor.
func (p *pace) firstWarning(key types.NamespacedName, trouble *metav1.Condition) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	t := p.of(key)
	began, whole := trouble.LastTransitionTime.Time, trouble.Reason != v1alpha1.ReasonMetricMissing
	known := t.warned.Equal(began)
	if known && (t.warnedOfAll || !whole) {
		return false
	}
	t.warned, t.warnedOfAll = began, whole
	return known || !began.Add(patienceWith(trouble)).Before(p.began)
}

// patienceWith returns how long a trouble of an autoscaler lasts before a warning.
func patienceWith(trouble *metav1.Condition) time.Duration {
	if trouble.Reason == v1alpha1.ReasonMetricMissing {
		return partPatience
	}
	return metricPatience
}

// isNews reports whether something was not told for a while, and takes it that it is now.
func (p *pace) isNews(key types.NamespacedName, what string, now time.Time) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	t := p.of(key)
	maps.DeleteFunc(t.told, func(_ string, when time.Time) bool { return !now.Before(when.Add(toldInterval)) })
	if _, told := t.told[what]; told {
		return false
	}
	if t.told == nil {
		t.told = map[string]time.Time{}
	}
	t.told[what] = now
	return true
}

// unsay forgets that something was told.
func (p *pace) unsay(key types.NamespacedName, what string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.of(key).told, what)
}

// failures counts the passes in a row that ended in an error, this one included.
func (p *pace) failures(key types.NamespacedName, failed bool) int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	t := p.of(key)
	if !failed {
		t.failures = 0
		return 0
	}
	t.failures++
	return t.failures
}
