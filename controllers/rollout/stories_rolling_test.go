package rollout_test

import (
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// rollings are about the strategy RollingUpdate, and about a change of the strategy.
var rollings = map[string]story{
	"pods are replaced a few at a time": {
		guards: "no colour changes, and the rollout is complete when the last old pod is gone",
		tell: func(w *world) {
			rolling(w)
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
		},
	},
	"the pods that replace others never become ready": {
		guards: "old pods serve all the time, and come back when the deadline has passed",
		gated:  true, // only the status knows what was replaced
		tell: func(w *world) {
			rolling(w)
			served(w, "v1")
			w.breakRevision("v2")
			w.image("v2")
			w.wait(time.Hour)
			w.heal("v2")
			w.wait(time.Hour)
			w.tryAgain("v2")
			w.wait(time.Minute)
		},
	},
	"the pods of a fix are late where nothing has ever served": {
		guards: "nobody goes back to a revision that has never had a ready pod, and pods that become ready late serve",
		gated:  true, // only the status knows that
		tell: func(w *world) {
			rolling(w)
			w.breakRevision("v1")
			w.wait(time.Hour)
			w.breakRevision("v2")
			w.image("v2")
			w.wait(time.Hour)
			w.heal("v2")
			w.wait(time.Minute)
		},
	},
	"a rolling update is aborted": {
		guards: "the pods that were replaced come back",
		gated:  true, // only the status knows what was replaced
		tell: func(w *world) {
			rolling(w)
			served(w, "v1")
			w.image("v2")
			w.pass()
			w.managePods("blue")
			w.startPod("blue")
			w.report("blue")
			w.abort("v2")
			w.wait(time.Hour)
		},
	},
	"a newer revision comes in the middle of a rolling update": {
		guards: "the way back leads to what has served, and not to what it found half done",
		gated:  true, // only the status knows what was replaced
		tell: func(w *world) {
			rolling(w)
			served(w, "v1")
			w.breakRevision("v2")
			w.breakRevision("v3")
			w.image("v2")
			w.wait(time.Minute)
			w.image("v3")
			w.wait(time.Hour)
		},
	},
	"the strategy becomes RollingUpdate while a preview waits": {
		guards: "the preview's pods go, and those that serve are replaced one by one",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.strategy(v1alpha1.StrategyRollingUpdate)
			w.wait(time.Minute)
		},
	},
	"the strategy becomes BlueGreen in the middle of a rolling update": {
		guards: "what was begun is ended in its way, and the next revision is a preview",
		tell: func(w *world) {
			rolling(w)
			served(w, "v1")
			w.image("v2")
			w.pass()
			w.managePods("blue")
			w.strategy(v1alpha1.StrategyBlueGreen)
			w.wait(time.Minute)
			w.image("v3")
			w.wait(time.Minute)
		},
	},
	"a newer revision comes with BlueGreen in the middle of a rolling update": {
		guards: "the pods that serve become again what they were, and traffic has a whole colour if the newer revision fails",
		gated:  true, // only the status knows what was replaced
		tell: func(w *world) {
			rolling(w)
			served(w, "v1")
			w.breakRevision("v2")
			w.breakRevision("v3")
			w.image("v2")
			w.wait(time.Minute)
			w.strategy(v1alpha1.StrategyBlueGreen)
			w.image("v3")
			w.wait(time.Hour)
		},
	},
	"the strategy becomes RollingUpdate while the old colour is warm": {
		guards: "warm pods live as long as they were to",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.strategy(v1alpha1.StrategyRollingUpdate)
			w.wait(time.Minute)
			w.image("v3")
			w.wait(time.Minute)
		},
	},
}
