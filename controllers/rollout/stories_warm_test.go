package rollout_test

import (
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// brokenBesideWarm lets v2 take the traffic of v1 and break while v1 is warm.
func brokenBesideWarm(w *world) {
	served(w, "v1")
	w.image("v2")
	w.settle()
	w.breakRevision("v2")
	w.settle()
}

// warms are about a colour that has served before, and what may become of the one that took its place.
var warms = map[string]story{
	"an abort in the overlap of the way back is followed by the old spec": {
		guards: "who undoes what was aborted gets it back without an approval",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			manual(w)
			overlapping(w, time.Minute)
			served(w, "v1")
			w.approve("v2")
			w.image("v2")
			w.wait(70 * time.Second)
			w.abort("v2")
			w.settle()
			w.image("v1")
			w.wait(time.Hour)
		},
	},
	"an abort waits for the warm colour to grow, and is followed by the old spec": {
		guards: "the way back that has begun goes on",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.approve("v2")
			w.image("v2")
			w.settle()
			w.scale(5)
			w.pods("green")
			w.breakRevision("v2")
			w.abort("v2")
			w.pass()
			w.image("v1")
			w.wait(time.Hour)
		},
	},
	"a fix in place is broken too, and the healthy colour is asked for": {
		guards: "what has served before needs no approval, whatever was tried since",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			w.blueGreen().ScaleDownDelaySeconds, w.blueGreen().AutoPromotionSeconds = new(int32(3600)), new(int32(1800))
			w.approve("v2")
			brokenBesideWarm(w)
			w.breakRevision("v3")
			w.image("v3")
			w.wait(time.Minute)
			w.image("v1")
			w.wait(time.Minute)
		},
	},
	"a fix in place is aborted before it begins": {
		guards: "what is aborted does not serve, wherever it would",
		tell: func(w *world) {
			brokenBesideWarm(w)
			w.abort("v3")
			w.image("v3")
			w.wait(time.Hour)
		},
	},
	"a fix in place is aborted before its pods are ready": {
		guards: "traffic goes back to what has served before",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			brokenBesideWarm(w)
			w.breakRevision("v3")
			w.image("v3")
			w.wait(time.Minute)
			w.abort("v3")
			w.wait(time.Hour)
		},
	},
	"a fix in place measures badly": {
		guards: "a revision that serves without having been a preview is measured where there is a way back, which stays open meanwhile",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			w.blueGreen().PostPromotionAnalysis = &v1alpha1.AnalysisRun{}
			brokenBesideWarm(w)
			w.analyze("v3", rollout.Analyzing)
			w.image("v3")
			w.wait(time.Hour)
			w.analyze("v3", rollout.Rejected)
			w.wait(time.Minute)
		},
	},
	"a fix waits in place, and a pod of what serves is ready for a moment": {
		guards: "pods that are ready for a moment don't cost the last healthy ones",
		gated:  true, // only the status knows that v2 was approved
		tell: func(w *world) {
			manual(w)
			w.approve("v2")
			brokenBesideWarm(w)
			w.image("v3")
			w.settle()
			w.heal("v2")
			w.startPod("green")
			w.report("green")
			w.pass()
			w.breakRevision("v2")
			w.settle()
			w.approve("v3")
			w.wait(time.Hour)
		},
	},
	"an abort meets a service that is scaled to zero": {
		guards: "an aborted revision is not promoted because there are no pods to tell",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.breakRevision("v1")
			w.report("blue")
			w.abort("v2")
			w.wait(10 * time.Second)
			w.scale(0)
			w.wait(10 * time.Minute)
			w.heal("v1")
			w.scale(3)
			w.wait(10 * time.Minute)
		},
	},
	"what serves crashes again and again while the other colour is warm": {
		guards: "pods that are ready for a moment don't cost the last healthy ones",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			for range 5 {
				w.wait(8 * time.Second)
				w.breakRevision("v2")
				w.settle()
				w.wait(8 * time.Second)
				w.heal("v2")
				w.settle()
			}
			w.wait(time.Minute)
		},
	},
	"what served is lost as soon as both colours are selected, and the rollout is aborted": {
		guards: "nobody is sent to a colour without pods while the other one has some",
		tell: func(w *world) {
			overlapping(w, time.Minute)
			served(w, "v1")
			w.image("v2")
			w.pass()
			w.pods("green")
			w.endpoints(w.preview)
			w.pass()
			w.restartPods(v1alpha1.Blue)
			w.report("blue")
			w.abort("v2")
			w.wait(time.Hour)
		},
	},
}
