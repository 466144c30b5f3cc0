package rollout_test

import (
	"maps"
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

func stories() map[string]story {
	all := map[string]story{}
	for _, some := range []map[string]story{promotions, rollbacks, scalings, faults, aborts, overlaps, rollings, warms, outages} {
		maps.Copy(all, some)
	}
	return all
}

// promotions are about how a new revision gets to serve.
var promotions = map[string]story{
	"all pods are restarted": {
		guards: "new pods of the same code take over as in any rollout, and need no approval",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v1-again")
			w.wait(time.Minute)
		},
	},
	"the first revision of a service": {
		guards: "a new service needs no approval, and is announced once",
		tell: func(w *world) {
			manual(w)
			w.settle()
		},
	},
	"a new image is promoted by itself": {
		guards: "pods before traffic, EndpointSlices before the switch, and the old pods stay until they have been out of traffic for the delay",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.image("v3")
			w.wait(time.Minute)
		},
	},
	"a preview is promoted after autoPromotionSeconds": {
		guards: "the delay counts from the first time the preview was ready, and a restart doesn't lengthen it",
		tell: func(w *world) {
			w.blueGreen().AutoPromotionSeconds = new(int32(60))
			served(w, "v1")
			w.image("v2")
			w.wait(59 * time.Second)
			w.wait(2 * time.Second)
		},
	},
	"a preview is promoted early by its annotation": {
		guards: "an approval cuts autoPromotionSeconds short",
		tell: func(w *world) {
			w.blueGreen().AutoPromotionSeconds = new(int32(3600))
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.approve("v2")
			w.wait(time.Minute)
		},
	},
	"a preview waits for its approval without a deadline": {
		guards: "a preview that waits for somebody is not given up, nor does its state flip while it waits",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.wait(10 * time.Hour)
			w.approve("v2")
			w.wait(time.Minute)
		},
	},
	"the approval of an older revision promotes nothing": {
		guards: "nobody's approval lets something newer in than what was looked at",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.image("v3")
			w.approve("v2")
			w.wait(time.Hour)
		},
	},
	"an approval that comes before the preview is ready": {
		guards: "an approval from Git arrives together with its revision, and still nothing moves before the pods are ready",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.approve("v2")
			w.pass()
			w.pods(v1alpha1.Green)
			w.pass()
			w.settle()
		},
	},
	"a small preview grows to what serves before any traffic moves": {
		guards: "a reduced preview never takes the traffic of a full service",
		tell: func(w *world) {
			manual(w)
			w.blueGreen().PreviewReplicas = new(int32(1))
			w.spec.Replicas = new(int32(5))
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.approve("v2")
			w.wait(time.Minute)
		},
	},
	"a newer revision replaces the one in the preview": {
		guards: "nothing that was measured or approved for one revision counts for the next",
		tell: func(w *world) {
			w.blueGreen().AutoPromotionSeconds = new(int32(60))
			served(w, "v1")
			w.image("v2")
			w.wait(50 * time.Second)
			w.image("v3")
			w.wait(50 * time.Second)
			w.wait(11 * time.Second)
		},
	},
	"a newer revision right after a switch waits for the EndpointSlices": {
		guards: "the pods that take the last requests are not replaced under them",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			for w.active.selects.Color == v1alpha1.Blue {
				w.pass()
				w.pods(v1alpha1.Green)
				w.endpoints(w.preview)
			}
			w.image("v3")
			w.pass()
			w.pods(v1alpha1.Blue)
			w.endpoints(w.active)
			w.wait(time.Minute)
		},
	},
	"pods that are ready but not in the EndpointSlices get no traffic": {
		guards: "the number of pods alone moves nothing: only EndpointSlices do, before the switch as after it",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.pass()
			w.pods(v1alpha1.Green)
			w.pass()
			w.endpoints(w.preview)
			w.pass()
			w.pass()
			w.elapse(time.Minute)
			w.pass()
			w.endpoints(w.active)
			w.pass()
		},
	},
	"endpoints of an older preview do not count for a newer one": {
		guards: "the switch waits for exactly the revision that is wanted, not for pods that happen to have its colour",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.image("v3")
			w.approve("v3")
			w.pass()
			w.pods(v1alpha1.Green)
			w.pass()
			w.settle()
		},
	},
	"a preview that becomes ready pod by pod is announced once": {
		guards: "pods that come and go while a preview waits are no news",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.settle()
			for range 3 {
				w.elapse(time.Hour)
				w.restartPods(v1alpha1.Green)
				w.report(v1alpha1.Green)
				w.pass()
				w.settle()
			}
		},
	},
	"a delay of zero removes the old pods as soon as they are out of traffic": {
		guards: "0 means at once, and not before the EndpointSlices say so, and not never",
		tell: func(w *world) {
			w.blueGreen().ScaleDownDelaySeconds = new(int32(0))
			served(w, "v1")
			w.image("v2")
			w.settle()
		},
	},
}

// rollbacks are about how a revision does not get to serve, or not for long.
var rollbacks = map[string]story{
	"back to the colour that is still warm": {
		guards: "a rollback within the delay is one change of a selector: no new pod, no approval, no wait",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.approve("v2")
			w.wait(10 * time.Second)
			w.image("v1")
			w.settle()
			w.wait(time.Minute)
		},
	},
	"back before the EndpointSlices have confirmed the switch": {
		guards: "a rollback in the middle of a switch doesn't touch the pods that still serve",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			for w.active.selects.Color == v1alpha1.Blue {
				w.pass()
				w.pods(v1alpha1.Green)
				w.endpoints(w.preview)
			}
			w.image("v1")
			w.pass()
			w.settle()
		},
	},
	"back and forth while both colours are warm": {
		guards: "a rollback is a rollout like any other, and can itself be rolled back",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.approve("v2")
			w.wait(10 * time.Second)
			w.approve("")
			w.image("v1")
			w.wait(10 * time.Second)
			w.image("v2")
			w.wait(time.Minute)
		},
	},
	"back after the old colour has lost its pods": {
		guards: "a late rollback is a rollout: its pods are ready first, and in the end one colour has pods",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.wait(5 * time.Minute)
			w.image("v1")
			w.wait(5 * time.Minute)
		},
	},
	"a revision that is taken back during its preview": {
		guards: "the pods of a preview that nobody wants any more go away, and traffic was never moved",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.image("v1")
			w.wait(time.Minute)
		},
	},
	"a revision that failed is taken back": {
		guards: "what has failed is not told again when it is taken back, and its pods go when they would have gone",
		tell: func(w *world) {
			served(w, "v1")
			w.breakRevision("v2")
			w.image("v2")
			w.wait(10*time.Minute + 20*time.Second)
			w.image("v1")
			w.wait(time.Minute)
		},
	},
	"a preview that nobody approved is no rollback": {
		guards: "a revision that was taken back and is wanted again needs its approval, though its pods still run and the status was lost",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.image("v1")
			w.loseStatus()
			w.settle()
			w.image("v2")
			w.wait(time.Hour)
		},
	},
	"a preview that never becomes ready is given up, and a fix replaces it": {
		guards: "a version that doesn't start ends in Failed at its deadline, traffic stays, its pods go, and the next version is free to go",
		tell: func(w *world) {
			served(w, "v1")
			w.breakRevision("v2")
			w.image("v2")
			w.wait(11 * time.Minute)
			w.image("v3")
			w.wait(time.Minute)
		},
	},
	"a crash loop does not wind the deadline up again": {
		guards: "the deadline counts from the start of the revision: pods that become ready one at a time and die again are no progress",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.pass()
			for range 7 {
				for w.managePods(v1alpha1.Green) {
					w.moved()
				}
				w.startPod(v1alpha1.Green)
				w.report(v1alpha1.Green)
				w.endpoints(w.preview)
				w.pass()
				w.restartPods(v1alpha1.Green)
				w.report(v1alpha1.Green)
				w.endpoints(w.preview)
				w.elapse(100 * time.Second)
				w.pass()
			}
			w.breakRevision("v2")
		},
	},
	"a preview that breaks before its promotion is given up": {
		guards: "a preview that was ready once and never again ends in Failed, too",
		tell: func(w *world) {
			w.blueGreen().AutoPromotionSeconds = new(int32(60))
			served(w, "v1")
			w.image("v2")
			w.wait(30 * time.Second)
			w.breakRevision("v2")
			w.wait(time.Hour)
		},
	},
	"a small preview that cannot grow is given up": {
		guards: "a promotion that finds no room for its pods ends in Failed, and traffic stays",
		tell: func(w *world) {
			w.blueGreen().PreviewReplicas = new(int32(1))
			w.blueGreen().AutoPromotionSeconds = new(int32(60))
			served(w, "v1")
			w.image("v2")
			w.wait(30 * time.Second)
			w.faulty["v2"], w.mayFail = true, true // no room for more: the one that runs goes on
			w.wait(time.Hour)
		},
	},
	"the first revision never becomes ready, and a fix does": {
		guards: "a broken first version doesn't stand in the way of the one that repairs it",
		tell: func(w *world) {
			w.breakRevision("v1")
			w.wait(11 * time.Minute)
			w.image("v2")
			w.wait(time.Minute)
		},
	},
}
