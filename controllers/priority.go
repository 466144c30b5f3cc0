package controllers

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// priorityProgress is that of GinServices whose pods, or the endpoints of whose Services, have changed. Where many change at once, what is
// under way comes to its end before anything else begins: a preview that is ready does not wait behind previews that are not even there.
const priorityProgress = 10

// progress has what a handler enqueues go before everything else.
func progress(inner handler.EventHandler) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { inner.Create(ctx, e, ahead(q)) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { inner.Update(ctx, e, ahead(q)) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { inner.Delete(ctx, e, ahead(q)) },
	}
}

func ahead(queue workqueue.TypedRateLimitingInterface[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	if prioritized, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		return aheadQueue{prioritized}
	}
	return queue
}

// aheadQueue gives what has no priority of its own the one of progress. What a resync or the initial list enqueues has a low one.
type aheadQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
}

// Add enqueues a request.
func (q aheadQueue) Add(request reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{}, request)
}

// AddWithOpts enqueues requests.
func (q aheadQueue) AddWithOpts(options priorityqueue.AddOpts, requests ...reconcile.Request) {
	if options.Priority == nil {
		options.Priority = ptr.To(priorityProgress)
	}
	q.PriorityQueue.AddWithOpts(options, requests...)
}
