package rollout_test

import "time"

// overlaps are about rollouts in which both colours serve for a while.
var overlaps = map[string]story{
	"both colours serve for a while": {
		guards: "a load balancer has new pods to send traffic to before it loses the old ones",
		tell: func(w *world) {
			overlapping(w, 40*time.Second)
			served(w, "v1")
			w.image("v2")
			w.wait(2 * time.Minute)
		},
	},
	"the new colour breaks while both serve": {
		guards: "the old colour serves alone again at once, and the rollout ends with the deadline",
		tell: func(w *world) {
			overlapping(w, 5*time.Minute)
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.breakRevision("v2")
			w.wait(time.Hour)
		},
	},
	"a pod of the new colour restarts while both serve": {
		guards: "a pod that is evicted ends no rollout: both serve anew once it is back",
		tell: func(w *world) {
			overlapping(w, 5*time.Minute)
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.restartPods("green")
			w.report("green")
			w.wait(20 * time.Minute)
		},
	},
	"the service grows while both colours serve": {
		guards: "scaling up neither takes traffic from the new colour nor lets it serve alone with too few pods",
		tell: func(w *world) {
			overlapping(w, 5*time.Minute)
			autoscaled(w)
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.autoscaler(5)
			w.wait(10 * time.Minute)
		},
	},
	"a rollout is aborted while both colours serve": {
		guards: "the old colour serves alone at once, and the pods of the other one stay until nobody is sent to them",
		gated:  true, // only the status knows that it was aborted
		tell: func(w *world) {
			overlapping(w, 5*time.Minute)
			w.blueGreen().AbortScaleDownDelaySeconds = new(int32(0))
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.abort("v2")
			w.wait(time.Hour)
		},
	},
	"a newer revision comes while both colours serve": {
		guards: "the pods that it replaces take no traffic any more",
		tell: func(w *world) {
			overlapping(w, 5*time.Minute)
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.image("v3")
			w.wait(time.Hour)
		},
	},
	"the way back to the warm colour overlaps too": {
		guards: "a load balancer that has lost the old pods has them again before it loses the new ones",
		gated:  true, // only the status knows that the old colour has served
		tell: func(w *world) {
			overlapping(w, 40*time.Second)
			w.blueGreen().ScaleDownDelaySeconds = new(int32(600))
			served(w, "v1")
			w.image("v2")
			w.wait(2 * time.Minute)
			w.abort("v2")
			w.wait(time.Hour)
		},
	},
	"what served breaks while both colours serve": {
		guards: "nobody waits for the end of the overlap when there is nothing to overlap with",
		tell: func(w *world) {
			overlapping(w, 5*time.Minute)
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.breakRevision("v1")
			w.wait(time.Minute)
		},
	},
	"the status is lost while both colours serve": {
		guards: "the Service itself tells which of the two colours served before",
		tell: func(w *world) {
			overlapping(w, 5*time.Minute)
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.loseStatus()
			w.wait(time.Hour)
		},
	},
}
