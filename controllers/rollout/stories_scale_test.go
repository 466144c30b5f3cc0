package rollout_test

import (
	"time"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// scalings are about the number of pods.
var scalings = map[string]story{
	"image and replicas changed together": {
		guards: "the number of pods for a new version doesn't touch the old one, which serves until the switch",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.scale(1)
			w.wait(time.Minute)
			w.image("v3")
			w.scale(4)
			w.wait(time.Minute)
		},
	},
	"image and replicas changed together, then scaled once more": {
		guards: "a number of pods that comes by itself speaks of the load, and counts for what serves, too",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.scale(4)
			w.wait(time.Minute)
			w.scale(6)
			w.wait(time.Minute)
			w.approve("v2")
			w.wait(time.Minute)
		},
	},
	"image and replicas changed together, and both taken back": {
		guards: "a number of pods that was held for a switch is not held for ever",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.scale(1)
			w.wait(time.Minute)
			w.image("v1")
			w.scale(3)
			w.wait(time.Minute)
		},
	},
	"the autoscaler writes in every phase of a rollout": {
		guards: "what the autoscaler asks for counts at once for what serves, in every phase, and the new colour never starts at its minimum",
		tell: func(w *world) {
			manual(w)
			autoscaled(w)
			w.blueGreen().PreviewReplicas = new(int32(1))
			w.spec.Replicas = new(int32(4))
			served(w, "v1")
			w.image("v2")
			w.autoscaler(5)
			w.pass()
			w.autoscaler(6)
			w.settle()
			w.autoscaler(7)
			w.settle()
			w.approve("v2")
			w.pass()
			w.autoscaler(8)
			w.pass()
			w.pods(v1alpha1.Green)
			w.endpoints(w.preview)
			w.autoscaler(9)
			w.pass()
			w.settle()
			w.autoscaler(6)
			w.settle()
			w.wait(time.Minute)
			w.autoscaler(2)
			w.settle()
		},
	},
	"the autoscaler shrinks the service during a switch": {
		guards: "fewer pods than were there a moment ago neither stop a promotion nor take the ground from under it",
		tell: func(w *world) {
			autoscaled(w)
			w.spec.Replicas = new(int32(8))
			served(w, "v1")
			w.image("v2")
			for w.active.selects.Color == v1alpha1.Blue {
				w.pass()
				w.pods(v1alpha1.Green)
				w.endpoints(w.preview)
			}
			w.autoscaler(3)
			w.pass()
			w.settle()
		},
	},
	"a peak during a preview that waits": {
		guards: "a scaling event during a preview is no news and no progress, and the promotion waits for as many pods as serve by then",
		tell: func(w *world) {
			manual(w)
			autoscaled(w)
			served(w, "v1")
			w.image("v2")
			w.settle()
			for n := range int32(4) {
				w.autoscaler(4 + n)
				w.settle()
			}
			w.wait(time.Hour)
			w.approve("v2")
			w.autoscaler(10)
			w.pass()
			w.settle()
		},
	},
	"a service without spec.replicas keeps what runs": {
		guards: "a number that vanishes from the spec never scales a service to one pod, nor to the autoscaler's minimum",
		tell: func(w *world) {
			autoscaled(w)
			w.spec.Replicas = new(int32(7))
			served(w, "v1")
			w.user("removes spec.replicas")
			w.spec.Replicas = nil
			w.pass()
			w.image("v2")
			w.pass()
			w.settle()
			w.user("(the operator) fills spec.replicas in")
			w.setReplicas(7)
			w.wait(time.Minute)
		},
	},
	"a service that is scaled to zero is rolled out and comes back": {
		guards: "nothing waits for pods that nobody wants, no autoscaler-made zero wedges the service, and the selector follows",
		tell: func(w *world) {
			served(w, "v1")
			w.scale(0)
			w.wait(time.Minute)
			w.image("v2")
			w.wait(time.Minute)
			w.scale(3)
			w.wait(time.Minute)
		},
	},
	"the first revision of a service whose autoscaler may go to zero": {
		guards: "a service begins with a pod, for an autoscaler never leaves a zero that it has not gone to by itself",
		tell: func(w *world) {
			idling(w)
			w.spec.Replicas = nil
			w.pass()
			w.settle()
			w.user("(the operator) fills spec.replicas in")
			w.setReplicas(1)
			w.settle()
		},
	},
	"the autoscaler goes to zero and a new version comes, which it wakes": {
		guards: "at zero a rollout needs no pods, what wakes up is the new version alone, and the number is the autoscaler's throughout",
		tell: func(w *world) {
			idling(w)
			w.spec.Replicas = new(int32(1))
			served(w, "v1")
			w.autoscaler(0)
			w.wait(time.Minute)
			w.image("v2")
			w.wait(time.Minute)
			w.autoscaler(2)
			w.wait(time.Minute)
		},
	},
	"the autoscaler goes to zero in the middle of a rollout, and back": {
		guards: "a load that goes while a preview comes up is no failure of the preview, and when it is back, traffic moves only to pods that are ready",
		tell: func(w *world) {
			idling(w)
			w.spec.Replicas = new(int32(2))
			served(w, "v1")
			w.image("v2")
			w.pass()
			w.autoscaler(0)
			w.pass()
			w.autoscaler(3)
			w.wait(time.Minute)
		},
	},
	"a preview that is never ready is scaled to zero and back": {
		guards: "no pods are no preview to promote, and the deadline counts again once there are to be some",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.breakRevision("v2")
			w.image("v2")
			w.wait(time.Minute)
			w.scale(0)
			w.wait(time.Hour)
			w.scale(3)
			w.wait(time.Hour)
		},
	},
	"a service is scaled to zero and back during a preview": {
		guards: "scaling to zero stops a rollout for no longer than it takes, and a service without pods has no preview with some",
		tell: func(w *world) {
			w.blueGreen().PreviewReplicas = new(int32(1))
			w.blueGreen().AutoPromotionSeconds = new(int32(600))
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.scale(0)
			w.wait(time.Minute)
			w.scale(2)
			w.wait(20 * time.Minute)
		},
	},
}

// faults are about what nobody asked for.
var faults = map[string]story{
	"the active Service is deleted": {
		guards: "a Service that is made anew selects the colour that served",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.deleteActiveService()
			w.wait(time.Minute)
		},
	},
	"the active Service is deleted during a preview": {
		guards: "a Service that is made anew doesn't promote what waits for its approval",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.wait(time.Minute)
			w.deleteActiveService()
			w.wait(time.Minute)
		},
	},
	"the preview Service is deleted": {
		guards: "a preview is not promoted while nobody can look at it",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.pass()
			w.deletePreviewService()
			w.wait(time.Minute)
		},
	},
	"the status is lost in every step of a rollout": {
		guards: "a cluster that is rebuilt, or a status that is pruned, loses timers and nothing else",
		tell: func(w *world) {
			w.blueGreen().AutoPromotionSeconds = new(int32(60))
			w.blueGreen().PreviewReplicas = new(int32(1))
			served(w, "v1")
			w.loseStatus()
			w.settle()
			w.image("v2")
			w.pass()
			w.loseStatus()
			w.settle()
			w.loseStatus()
			w.wait(59 * time.Second)
			w.elapse(2 * time.Second)
			w.pass()
			w.loseStatus()
			w.settle()
			for w.active.selects.Color == v1alpha1.Blue {
				w.wait(10 * time.Second)
			}
			w.loseStatus()
			w.settle()
			w.loseStatus()
			w.wait(5 * time.Minute)
		},
	},
	"the Deployment that serves is deleted": {
		guards: "what served comes back as it was",
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.deleteDeployment(v1alpha1.Blue)
			w.wait(time.Minute)
		},
	},
	"the Deployment that serves is deleted while a preview waits": {
		guards: "a lost Deployment doesn't let a revision in that nobody has approved: what served before comes back",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.deleteDeployment(v1alpha1.Blue)
			w.wait(time.Minute)
		},
	},
	"the Deployment that serves is deleted just when a new image arrives": {
		guards: "a lost Deployment doesn't let a revision in that nobody has approved: what served before comes back",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.deleteDeployment(v1alpha1.Blue)
			w.wait(time.Minute)
		},
	},
	"the warm Deployment is deleted": {
		guards: "a rollout ends, though there is nothing to scale down any more",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.deleteDeployment(v1alpha1.Blue)
			w.wait(time.Minute)
		},
	},
	"what serves breaks while the other colour is warm, and a fix arrives": {
		guards: "the last healthy pods stay, and the fix doesn't wait behind what is broken",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.breakRevision("v2")
			w.wait(10 * time.Second)
			w.image("v3")
			w.wait(10 * time.Minute)
		},
	},
	"what serves breaks while the other colour is warm, and a fix waits for its approval": {
		guards: "a fix that takes the place of what is broken needs its approval, follows the number of pods meanwhile, and has its whole deadline after it",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			autoscaled(w)
			served(w, "v1")
			w.image("v2")
			w.approve("v2")
			w.settle()
			w.breakRevision("v2")
			w.settle()
			w.image("v3")
			w.wait(time.Hour)
			w.autoscaler(5)
			w.settle()
			w.approve("v3")
			w.wait(time.Minute)
		},
	},
	"what serves breaks while the other colour is warm, and nothing arrives": {
		guards: "the last healthy colour is never scaled down, however long it takes",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.breakRevision("v2")
			w.wait(time.Hour)
		},
	},
	"what serves breaks while the other colour is warm, and is rolled back": {
		guards: "a rollback from a broken version doesn't wait for the broken version",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			served(w, "v1")
			w.image("v2")
			w.approve("v2")
			w.settle()
			w.breakRevision("v2")
			w.wait(time.Hour)
			w.image("v1")
			w.settle()
		},
	},
	"the last healthy colour has the old size of a small preview": {
		guards: "a warm colour that is all there is doesn't shrink to the size of a preview",
		gated:  true,
		tell: func(w *world) {
			manual(w)
			w.blueGreen().PreviewReplicas = new(int32(1))
			served(w, "v1")
			w.image("v2")
			w.approve("v2")
			w.settle()
			w.breakRevision("v2")
			w.settle()
			w.loseStatus()
			w.image("v1")
			w.wait(time.Hour)
			w.approve("v1")
			w.wait(time.Minute)
		},
	},
	"what serves breaks when nothing else runs, and a fix arrives": {
		guards: "a broken version that serves doesn't stand in the way of the one that repairs it",
		tell: func(w *world) {
			served(w, "v1")
			w.breakRevision("v1")
			w.settle()
			w.image("v2")
			w.wait(time.Minute)
		},
	},
	"what serves is away for a moment while a preview waits": {
		guards: "a moment in which nobody can be reached sends no traffic to fewer pods than serve, and cuts no autoPromotionSeconds short",
		tell: func(w *world) {
			w.blueGreen().AutoPromotionSeconds, w.blueGreen().PreviewReplicas = new(int32(3600)), new(int32(1))
			served(w, "v1")
			w.image("v2")
			w.settle()
			w.restartPods("blue")
			w.report("blue")
			w.endpoints(w.active)
			w.pass()
			w.elapse(time.Second)
			w.wait(time.Minute)
		},
	},
	"what serves breaks, and a fix arrives that would be looked at for a while": {
		guards: "nobody waits for autoPromotionSeconds while nothing serves",
		tell: func(w *world) {
			w.blueGreen().AutoPromotionSeconds = new(int32(300))
			served(w, "v1")
			w.breakRevision("v1")
			w.settle()
			w.image("v2")
			w.wait(time.Minute)
		},
	},
	"the EndpointSlices confirm a switch only after the deadline": {
		guards: "an operator that waits for the EndpointSlices sleeps, and the old pods stay as long as it takes",
		tell: func(w *world) {
			served(w, "v1")
			w.image("v2")
			for w.active.selects.Color == v1alpha1.Blue {
				w.pass()
				w.pods(v1alpha1.Green)
				w.endpoints(w.preview)
			}
			w.elapse(20 * time.Minute)
			if plan := w.pass(); plan.After > 0 {
				w.fail("nothing but an EndpointSlice can change anything, and the operator looks again in %s", plan.After)
			}
			w.settle()
		},
	},
}
