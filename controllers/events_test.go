package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// untilQuiet returns what comes until nothing has come for a minute, on the clock of a bubble.
func untilQuiet[T any](from <-chan T) (all []T) {
	for {
		select {
		case one := <-from:
			all = append(all, one)
		case <-time.After(time.Minute):
			return all
		}
	}
}

// TestEventsComeInOrder guards the story that kubectl describe tells: what happened first is created first, and none is lost when the
// operator ends or the API server fails for a moment.
func TestEventsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		writes := make(chan *eventsv1.Event, n+1)
		failures := 2
		w := newWorld(t, interceptor.Funcs{Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
			if failures > 0 {
				failures--
				return errors.New("connection refused")
			}
			event, _ := object.(*eventsv1.Event)
			writes <- event
			return nil
		}})
		recorder := newEventRecorder(w.client, clock.RealClock{})
		gs := service()
		for i := range n {
			recorder.Eventf(gs, nil, corev1.EventTypeNormal, "Promoted", "Rollout", "number %d", i)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- recorder.Start(ctx) }()
		created := untilQuiet(writes)
		recorder.Eventf(gs, nil, corev1.EventTypeWarning, "RolloutFailed", "Rollout", "%s", strings.Repeat("é", maxNote))
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		created = append(created, untilQuiet(writes)...)
		if len(created) != n+1 {
			t.Fatalf("%d events were created, want %d", len(created), n+1)
		}
		names := map[string]bool{}
		for i, event := range created[:n] {
			if want := fmt.Sprintf("number %d", i); event.Note != want {
				t.Errorf("event %d is %q, want %q", i, event.Note, want)
			}
			names[event.Name] = true
		}
		if len(names) != n {
			t.Errorf("%d events have %d names", n, len(names))
		}
		last := created[n]
		want := corev1.ObjectReference{
			APIVersion: "apps.gin-operator.dev/v1alpha1", Kind: "GinService", Namespace: gs.Namespace, Name: gs.Name, UID: gs.UID, ResourceVersion: gs.ResourceVersion,
		}
		if last.Regarding != want || last.Namespace != gs.Namespace || last.ReportingController != FieldOwner || last.ReportingInstance == "" {
			t.Errorf("the event is %+v", last)
		}
		if len(last.Note) > maxNote {
			t.Errorf("its note has %d bytes: the API server refuses more than %d", len(last.Note), maxNote)
		}
	})
}

// TestEventsGiveUp: an event that can't be written holds up no other for long.
func TestEventsGiveUp(t *testing.T) {
	resource := schema.GroupResource{Group: "events.k8s.io", Resource: "events"}
	for name, tc := range map[string]struct {
		failure error
		tries   int
	}{
		"refused":                      {apierrors.NewForbidden(resource, "x", errors.New("no")), 1},
		"there already":                {apierrors.NewAlreadyExists(resource, "x"), 1},
		"in a namespace that is gone":  {apierrors.NewNotFound(resource, "x"), 1},
		"to a server that is too slow": {apierrors.NewTooManyRequestsError("later"), 6},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := make(chan string)
				w := newWorld(t, interceptor.Funcs{Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
					event, _ := object.(*eventsv1.Event)
					tries <- event.Note
					return tc.failure
				}})
				recorder := newEventRecorder(w.client, clock.RealClock{})
				recorder.Eventf(service(), nil, corev1.EventTypeNormal, "A", "Rollout", "first")
				recorder.Eventf(service(), nil, corev1.EventTypeNormal, "B", "Rollout", "second")
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- recorder.Start(ctx) }()
				tried := untilQuiet(tries)
				cancel()
				<-ended
				want := slices.Concat(slices.Repeat([]string{"first"}, tc.tries), slices.Repeat([]string{"second"}, tc.tries))
				if !slices.Equal(tried, want) {
					t.Errorf("tried %v", tried)
				}
			})
		})
	}
}

// TestEventsAreDroppedWhereTooManyWait: nobody who has something to tell waits for the API server.
func TestEventsAreDroppedWhereTooManyWait(t *testing.T) {
	recorder := newEventRecorder(newWorld(t, interceptor.Funcs{}).client, clock.RealClock{})
	for range pendingEvents + 10 {
		recorder.Eventf(service(), nil, corev1.EventTypeNormal, "A", "Rollout", "x")
	}
	waiting := 0
	for _, queue := range recorder.queues {
		waiting += len(queue)
	}
	if waiting != pendingEvents {
		t.Errorf("%d events wait, want %d", waiting, pendingEvents)
	}
	recorder.Eventf(&v1alpha1.GinServiceList{}, nil, corev1.EventTypeNormal, "A", "Rollout", "about a list, which is no object")
}
