package controllers

import (
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	eventWriters = 4
	// pendingEvents is how many events may wait for one writer. What comes then is dropped, and logged.
	pendingEvents = 1024
	// flushTime is how long what waits may take when the operator ends.
	flushTime = 5 * time.Second
)

// eventRecorder writes events, those of one object in the order in which they were told. It keeps none after that: client-go's broadcaster
// remembers each for up to 12 minutes, to count those that repeat, which ours don't, and writes them in any order.
type eventRecorder struct {
	client   client.Client
	clock    clock.PassiveClock
	instance string
	queues   [eventWriters]chan *eventsv1.Event
	seed     maphash.Seed

	mutex sync.Mutex
	last  int64 // the time in the name of the latest one
}

// newEventRecorder returns a recorder of the controller's events, to be added to its manager. The client must be one without a cache.
func newEventRecorder(c client.Client, clk clock.PassiveClock) *eventRecorder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	e := &eventRecorder{client: c, clock: clk, instance: shorten(FieldOwner+"-"+host, 128), seed: maphash.MakeSeed()}
	for i := range e.queues {
		e.queues[i] = make(chan *eventsv1.Event, pendingEvents)
	}
	return e
}

// Eventf has an event written, and does not wait for that.
func (e *eventRecorder) Eventf(regarding, related runtime.Object, eventType, reason, action, note string, args ...any) {
	event := &eventsv1.Event{
		EventTime: metav1.MicroTime{Time: e.clock.Now()}, Type: eventType, Reason: reason, Action: action,
		Note:                shorten(fmt.Sprintf(note, args...), maxNote),
		ReportingController: FieldOwner, ReportingInstance: e.instance,
	}
	about, err := e.reference(regarding)
	if err == nil && related != nil {
		event.Related, err = e.reference(related)
	}
	if err != nil {
		log.Log.Error(err, "Not writing an event about what is no API object", "reason", reason, "note", event.Note)
		return
	}
	event.Regarding, event.Namespace, event.Name = *about, about.Namespace, fmt.Sprintf("%s.%x", about.Name, e.unique(event.EventTime.UnixNano()))
	select {
	case e.queues[maphash.String(e.seed, string(about.UID))%eventWriters] <- event:
	default:
		log.Log.Error(nil, "Dropping an event, because too many wait to be written", "object", about.Name, "namespace", about.Namespace,
			"reason", reason, "note", event.Note)
	}
}

func (e *eventRecorder) reference(object runtime.Object) (*corev1.ObjectReference, error) {
	meta, err := apimeta.Accessor(object)
	if err != nil {
		return nil, err
	}
	kind, err := apiutil.GVKForObject(object, e.client.Scheme())
	if err != nil {
		return nil, err
	}
	return &corev1.ObjectReference{
		APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Namespace: meta.GetNamespace(), Name: meta.GetName(),
		UID: meta.GetUID(), ResourceVersion: meta.GetResourceVersion(),
	}, nil
}

// unique returns a number of nanoseconds that no other event has in its name.
func (e *eventRecorder) unique(now int64) int64 {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.last = max(now, e.last+1)
	return e.last
}

// Start writes events until the context ends, and then those that wait.
func (e *eventRecorder) Start(ctx context.Context) error {
	var writers sync.WaitGroup
	for _, queue := range e.queues {
		writers.Go(func() { e.write(ctx, queue) })
	}
	writers.Wait()
	return nil
}

// NeedLeaderElection is false so that the manager ends the controller first, which may still have something to tell.
func (*eventRecorder) NeedLeaderElection() bool { return false }

func (e *eventRecorder) write(ctx context.Context, queue <-chan *eventsv1.Event) {
	for {
		select {
		case event := <-queue:
			e.create(ctx, event)
			continue
		default:
		}
		select {
		case event := <-queue:
			e.create(ctx, event)
		case <-ctx.Done():
			e.flush(context.WithoutCancel(ctx), queue)
			return
		}
	}
}

func (e *eventRecorder) flush(ctx context.Context, queue <-chan *eventsv1.Event) {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	for {
		select {
		case event := <-queue:
			e.create(ctx, event)
		default:
			return
		}
	}
}

// create tries for some seconds, unless the API server refuses the event.
func (e *eventRecorder) create(ctx context.Context, event *eventsv1.Event) {
	patience := wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 6}
	mayPass := func(err error) bool {
		return ctx.Err() == nil && problemOf(err) == nil && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err)
	}
	err := retry.OnError(patience, mayPass, func() error {
		return e.client.Create(ctx, event.DeepCopy())
	})
	// A try that seemed to fail may have created it, and nobody reads the events of a namespace that goes away.
	if err != nil && !apierrors.IsAlreadyExists(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		log.Log.Error(err, "Dropping an event that can't be written", "object", event.Regarding.Name, "namespace", event.Namespace,
			"reason", event.Reason, "note", event.Note)
	}
}
