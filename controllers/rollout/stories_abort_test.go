package rollout_test

import (
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// servesOnTrial lets v2 take the traffic of v1 and be measured while v1 is warm.
func servesOnTrial(w *world) {
	served(w, "v1")
	w.blueGreen().PostPromotionAnalysis = &v1alpha1.AnalysisRun{}
	w.image("v2")
	w.settle()
	w.analyze("v2", rollout.Analyzing)
	w.settle()
}

// aborts are about rollouts that somebody stops, and that begin anew.
var aborts = map[string]story{
	"a preview is aborted, and tried again": {
		guards: "what is aborted takes no traffic, whatever approves it, and a retry begins from the start",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.abort("v2")
			w.approve("v2")
			w.wait(time.Hour)
			w.abort("")
			w.wait(time.Hour)
			w.tryAgain("v2")
			w.wait(time.Minute)
		},
	},
	"a retry counts once, and the next one needs another value": {
		guards: "a retry that is left in the manifest doesn't roll a broken revision out again and again",
		gated:  true,
		tell: func(w *world) {
			served(w, "v1")
			w.breakRevision("v2")
			w.image("v2")
			w.wait(time.Hour)
			w.tryAgain("v2")
			w.wait(time.Hour)
			w.tryAgain("v1")
			w.wait(time.Hour)
			w.heal("v2")
			w.tryAgain("v2.2")
			w.wait(time.Minute)
		},
	},
	"a rollout is aborted while the old colour is warm": {
		guards: "traffic goes back to the pods that served before, and the new ones stay for the delay from there",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.abort("v2")
			w.wait(time.Hour)
		},
	},
	"a rollout is aborted while the old colour is warm, after the service has grown": {
		guards: "the way back leads to as many pods as serve now",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.scale(5)
			w.settle()
			w.abort("v2")
			w.wait(time.Hour)
		},
	},
	"a rollout is aborted while the old colour is warm but broken": {
		guards: "traffic stays where it is rather than going to pods that can't take it",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.breakRevision("v1")
			w.abort("v2")
			w.wait(time.Hour)
		},
	},
	"a rollout is aborted when it is over": {
		guards: "an annotation that comes too late changes nothing",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.abort("v2")
			w.wait(time.Hour)
		},
	},
	"an aborted revision is taken back and wanted again": {
		guards: "a revision that is to be aborted is not rolled out for as long as the annotation says so",
		tell: func(w *world) {
			served(w, "v1")
			w.abort("v2")
			w.image("v2")
			w.wait(time.Hour)
			w.image("v1")
			w.wait(time.Hour)
			w.image("v2")
			w.wait(time.Hour)
		},
	},
	"another revision than the one in the preview is aborted": {
		guards: "an abort from Git stops nothing newer than what it names",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.image("v3")
			w.abort("v2")
			w.approve("v3")
			w.wait(time.Minute)
		},
	},
	"an analysis rejects a preview": {
		guards: "what measures badly takes no traffic, also once somebody approves it, and is judged anew when somebody tries again",
		gated:  true, // only the status knows of it
		tell: func(w *world) {
			served(w, "v1")
			w.analyze("v2", rollout.Analyzing)
			w.image("v2")
			w.wait(time.Hour)
			w.analyze("v2", rollout.Rejected)
			w.settle()
			w.approve("v2")
			w.wait(time.Hour)
			w.analyze("v2", rollout.Analyzing)
			w.tryAgain("v2")
			w.settle()
			w.analyze("v2", rollout.Passed)
			w.wait(time.Minute)
		},
	},
	"an analysis rejects what serves while the old colour is warm": {
		guards: "traffic goes back at once to the pods that served before, and status goes on saying what was measured",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.analyze("v2", rollout.Rejected)
			w.wait(time.Hour)
		},
	},
	"what serves is measured for longer than the old colour would stay warm": {
		guards: "the way back stays open until the last measurement is made",
		gated:  true, // only the status knows that there is a way back
		tell: func(w *world) {
			served(w, "v1")
			w.blueGreen().PostPromotionAnalysis = &v1alpha1.AnalysisRun{}
			w.image("v2")
			w.settle()
			w.analyze("v2", rollout.Analyzing)
			w.wait(time.Hour)
			w.analyze("v2", rollout.Passed)
			w.wait(time.Minute)
		},
	},
	"the service grows while what serves is measured, and it measures badly": {
		guards: "the way back is one change of a selector also where the load has grown since the switch",
		gated:  true, // only the status knows that there is a way back
		tell: func(w *world) {
			autoscaled(w)
			servesOnTrial(w)
			w.autoscaler(10)
			w.settle()
			w.faulty["v1"] = true // no room for more: those that run go on
			w.analyze("v2", rollout.Rejected)
			w.settle()
			w.wait(time.Hour)
		},
	},
	"the autoscaler goes up and down while what serves is measured": {
		guards: "warm pods follow the load upwards alone, so that nothing flaps, and one that is scaled to zero keeps its way back",
		gated:  true, // only the status knows that there is a way back
		tell: func(w *world) {
			autoscaled(w)
			servesOnTrial(w)
			for _, replicas := range []int32{5, 2, 4, 0, 6} {
				w.autoscaler(replicas)
				w.settle()
			}
			w.analyze("v2", rollout.Passed)
			w.wait(time.Minute)
		},
	},
	"a service that is measured grows while it is suspended": {
		guards: "nothing is written while a service is suspended, and the way back is open again once it goes on",
		gated:  true, // only the status knows that there is a way back
		tell: func(w *world) {
			servesOnTrial(w)
			w.suspend(true)
			w.scale(5)
			w.wait(time.Minute)
			w.suspend(false)
			w.settle()
			w.analyze("v2", rollout.Rejected)
			w.wait(time.Hour)
		},
	},
	"what measured badly is tried again before the old colour can serve": {
		guards: "a revision that serves is measured again when it is tried again, and the way back stays open for it",
		gated:  true, // only the status knows that there is a way back
		tell: func(w *world) {
			servesOnTrial(w)
			w.breakRevision("v1")
			w.analyze("v2", rollout.Rejected)
			w.wait(time.Minute)
			w.analyze("v2", rollout.Analyzing)
			w.tryAgain("v2")
			w.settle()
			w.heal("v1")
			w.scale(4)
			w.wait(time.Hour)
			w.analyze("v2", rollout.Rejected)
			w.wait(time.Minute)
		},
	},
	"the status is lost while a preview is measured": {
		guards: "a preview is not promoted unmeasured because nobody remembers that it has to be measured",
		gated:  true, // what it was measured by before is forgotten
		tell: func(w *world) {
			served(w, "v1")
			w.blueGreen().Analysis = &v1alpha1.Analysis{}
			w.analyze("v2", rollout.Analyzing)
			w.image("v2")
			w.wait(time.Minute)
			w.loseStatus()
			w.wait(time.Minute)
			w.analyze("v2", rollout.Passed)
			w.wait(time.Minute)
		},
	},
	"an analysis rejects a rolling update": {
		guards: "the pods that measured well come back",
		gated:  true, // only the status knows what they were
		tell: func(w *world) {
			rolling(w)
			served(w, "v1")
			w.image("v2")
			w.pass()
			w.analyze("v2", rollout.Rejected)
			w.wait(time.Hour)
		},
	},
	"an approval before the analysis is over": {
		guards: "an approval lets a revision serve once nothing speaks against it, and no sooner",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.analyze("v2", rollout.Analyzing)
			w.image("v2")
			w.approve("v2")
			w.wait(time.Hour)
			w.analyze("v2", rollout.Passed)
			w.wait(time.Minute)
		},
	},
	"a rollout is suspended, and goes on": {
		guards: "nothing is written while a service is suspended, and nothing is lost when it goes on",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.pass()
			w.suspend(true)
			w.wait(time.Minute)
			w.suspend(false)
			w.wait(time.Minute)
		},
	},
	"a preview that nobody promotes expires": {
		guards: "a forgotten preview doesn't keep its pods for ever, and traffic stays",
		gated:  true, // only the status knows that it has expired
		tell: func(w *world) {
			manual(w)
			w.blueGreen().PreviewTTLSeconds = new(int32(3600))
			served(w, "v1")
			w.image("v2")
			w.wait(59 * time.Minute)
			w.wait(2 * time.Hour)
			w.approve("v2")
			w.wait(time.Minute)
		},
	},
}
