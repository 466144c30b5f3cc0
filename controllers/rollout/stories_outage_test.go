package rollout_test

import (
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// outages are about previews that could serve while nothing else does.
var outages = map[string]story{
	"what serves is broken, and its fix is to be compared with it": {
		guards: "no analysis holds the fix back while nobody can be reached, and whoever reads of it learns that it was not measured",
		gated:  true, // only the status knows whether it was broken when the preview became ready
		tell: func(w *world) {
			w.blueGreen().Analysis, w.blueGreen().AutoPromotionSeconds = &v1alpha1.Analysis{}, new(int32(3600))
			served(w, "v1")
			w.breakRevision("v1")
			w.settle()
			w.analyze("v2", rollout.Analyzing)
			w.image("v2")
			w.wait(time.Minute)
		},
	},
	"what serves breaks while a preview is measured": {
		guards: "a moment in which nobody can be reached cuts no analysis short, and none holds a preview back for as long as that lasts",
		tell: func(w *world) {
			w.blueGreen().Analysis = &v1alpha1.Analysis{}
			served(w, "v1")
			w.analyze("v2", rollout.Analyzing)
			w.image("v2")
			w.settle()
			w.restartPods("blue")
			w.report("blue")
			w.endpoints(w.active)
			w.pass()
			w.elapse(20 * time.Second)
			w.wait(time.Minute)
			w.breakRevision("v1")
			w.wait(25 * time.Second)
			w.wait(time.Minute)
		},
	},
	"what serves breaks while a small preview would be looked at for a while": {
		guards: "nobody waits for autoPromotionSeconds while nothing serves, and traffic waits for as many pods as serve",
		tell: func(w *world) {
			w.blueGreen().AutoPromotionSeconds, w.blueGreen().PreviewReplicas = new(int32(3600)), new(int32(1))
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.breakRevision("v1")
			w.wait(2 * time.Minute)
		},
	},
	"what serves is broken, and its fix is measured and waits for its approval": {
		guards: "an outage approves nothing that somebody has to approve, and an approval is enough then",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			w.blueGreen().Analysis = &v1alpha1.Analysis{}
			served(w, "v1")
			w.breakRevision("v1")
			w.settle()
			w.analyze("v2", rollout.Analyzing)
			w.image("v2")
			w.wait(time.Hour)
			w.approve("v2")
			w.wait(time.Minute)
		},
	},
	"what serves is scaled to zero while a preview is measured": {
		guards: "a service that wants no pods has no outage",
		gated:  true, // what is measured is forgotten with the status
		tell: func(w *world) {
			w.blueGreen().Analysis = &v1alpha1.Analysis{}
			served(w, "v1")
			w.analyze("v2", rollout.Analyzing)
			w.image("v2")
			w.settle()
			w.scale(0)
			w.wait(time.Hour)
			w.scale(3)
			w.settle()
			w.wait(time.Minute)
			w.analyze("v2", rollout.Passed)
			w.wait(time.Minute)
		},
	},
}
