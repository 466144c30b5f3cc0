package controllers

import (
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

var hello = types.NamespacedName{Namespace: "shop", Name: "hello"}

// A fight of a hundred rounds a second, for a minute.
func TestPaceBoundsAFight(t *testing.T) {
	var p pace
	written := 0
	for now := start; now.Before(start.Add(time.Minute)); now = now.Add(10 * time.Millisecond) {
		wait := p.writeIn(hello, "Service hello", "intent", now)
		if wait < 0 || wait > repairInterval {
			t.Fatalf("after %d writes, the next one is in %s", written, wait)
		}
		if wait > 0 {
			continue
		}
		written++
		if child, _ := p.contested(hello, now); written > repairBurst && child != "Service hello" {
			t.Fatalf("after %d writes, what is contested is %q", written, child)
		}
	}
	if most := repairBurst + 60; written > most || written < 60 {
		t.Errorf("%d writes in a minute, at most %d are bearable", written, most)
	}
}

func TestPaceHoldsBackNothingElse(t *testing.T) {
	var p pace
	exhaust := func() {
		for range repairBurst {
			p.writeIn(hello, "Service hello", "intent", start)
		}
	}
	for name, tc := range map[string]struct {
		service       types.NamespacedName
		child, intent string
		now           time.Time
		waits         bool
	}{
		"the same once more":            {hello, "Service hello", "intent", start, true},
		"a new intent":                  {hello, "Service hello", "other", start, false},
		"another child":                 {hello, "Service hello-preview", "intent", start, false},
		"another service":               {types.NamespacedName{Namespace: "shop", Name: "bye"}, "Service hello", "intent", start, false},
		"the same once its time is due": {hello, "Service hello", "intent", start.Add(repairInterval), false},
	} {
		t.Run(name, func(t *testing.T) {
			p = pace{}
			exhaust()
			if wait := p.writeIn(tc.service, tc.child, tc.intent, tc.now); (wait > 0) != tc.waits {
				t.Errorf("the wait is %s", wait)
			}
		})
	}
	p = pace{}
	exhaust()
	child, calm := p.contested(hello, start)
	if child == "" || calm <= 0 {
		t.Fatalf("contested is %q for %s", child, calm)
	}
	if child, _ := p.contested(hello, start.Add(calm)); child != "" {
		t.Errorf("%s is contested although it was left alone", child)
	}
}

func TestPaceDoesNotGrow(t *testing.T) {
	var p pace
	for i := range 1000 {
		now := start.Add(time.Duration(i) * time.Minute)
		p.writeIn(hello, "ControllerRevision hello-"+strconv.Itoa(i), "intent", now)
	}
	if n := len(p.services[hello].written); n > 1 {
		t.Errorf("%d children are remembered, 999 of them from long ago", n)
	}
	p.forget(hello)
	if len(p.services) != 0 {
		t.Errorf("a service that is gone is remembered: %v", p.services)
	}
}

func TestPaceAsksPodsInTurns(t *testing.T) {
	var p pace
	asked := 0
	for now := start; now.Before(start.Add(time.Minute)); now = now.Add(100 * time.Millisecond) {
		if p.mayAsk(hello, now) {
			asked++
		}
	}
	if asked != int(time.Minute/askInterval) {
		t.Errorf("pods were asked %d times in a minute", asked)
	}
}

func TestPaceConfirmsASwitchOnce(t *testing.T) {
	var p pace
	if _, known := p.confirmed(hello); known {
		t.Error("a switch of another process is known")
	}
	p.switched(hello, start)
	if wait := p.confirmIn(hello, start); wait != statusInterval {
		t.Errorf("the confirmation may take %s", wait)
	}
	if wait := p.confirmIn(hello, start.Add(time.Hour)); wait != 0 {
		t.Errorf("after an hour, it may take %s more", wait)
	}
	if since, known := p.confirmed(hello); !known || !since.Equal(start) {
		t.Errorf("the switch was at %s, %t", since, known)
	}
	if _, known := p.confirmed(hello); known {
		t.Error("the same switch is confirmed twice")
	}
}

func TestPaceWarnsOnce(t *testing.T) {
	var p pace
	p.begin(start)
	p.begin(start.Add(time.Hour)) // only the first pass of a process counts
	for _, tc := range []struct {
		name  string
		began time.Time
		part  bool
		warns bool
	}{
		{"a trouble that was due before this process began", start.Add(-metricPatience - time.Second), false, false},
		{"a trouble that began under the predecessor and is due now", start.Add(-metricPatience / 2), false, true},
		{"the same once more", start.Add(-metricPatience / 2), false, false},
		{"the same with a part alone", start.Add(-metricPatience / 2), true, false},
		{"the next trouble", start.Add(time.Minute), false, true},
		{"one with a part that was due before this process began", start.Add(-partPatience - time.Second), true, false},
		{"the same with all", start.Add(-partPatience - time.Second), false, true},
		{"one with a part", start.Add(-partPatience / 2), true, true},
		{"the same with a part once more", start.Add(-partPatience / 2), true, false},
		{"the same, now with all", start.Add(-partPatience / 2), false, true},
		{"the same with all once more", start.Add(-partPatience / 2), false, false},
		{"the same with a part again", start.Add(-partPatience / 2), true, false},
	} {
		trouble := &metav1.Condition{Reason: "FailedGetPodsMetric", LastTransitionTime: metav1.NewTime(tc.began)}
		if tc.part {
			trouble.Reason = v1alpha1.ReasonMetricMissing
		}
		if got := p.firstWarning(hello, trouble); got != tc.warns {
			t.Errorf("%s: firstWarning = %t", tc.name, got)
		}
	}
}

func TestPaceTellsTheSameOnceInAWhile(t *testing.T) {
	var p pace
	for _, tc := range []struct {
		name, what string
		after      time.Duration
		news       bool
	}{
		{"the first one", "crashes", 0, true},
		{"another one", "no image", time.Second, true},
		{"the first one once more", "crashes", toldInterval - time.Second, false},
		{"the first one after a while", "crashes", toldInterval, true},
		{"the other one, not so long after", "no image", toldInterval, false},
	} {
		if got := p.isNews(hello, tc.what, start.Add(tc.after)); got != tc.news {
			t.Errorf("%s: isNews = %t", tc.name, got)
		}
	}
	p.unsay(hello, "no image")
	if !p.isNews(hello, "no image", start.Add(toldInterval)) {
		t.Error("what was unsaid is no news")
	}
}
