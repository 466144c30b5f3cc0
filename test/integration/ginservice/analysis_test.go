package ginservice

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
	"github.com/gin-operator/gin-operator/controllers"
	"github.com/gin-operator/gin-operator/controllers/rollout"
)

// judge is an analysis that says what a spec lets it say, of the images that it knows.
type judge struct {
	mutex    sync.Mutex
	verdicts map[string]rollout.Verdict // by the version of the image
	err      error
}

func (j *judge) Judge(_ context.Context, gs *v1alpha1.GinService, _ string) (rollout.Verdict, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	_, version, _ := strings.Cut(gs.Spec.Image, ":")
	verdict := j.verdicts[version]
	verdict.After = 100 * time.Millisecond // what it is told to say may change at any time
	return verdict, j.err
}

func (*judge) Forget(types.NamespacedName) {}

func (j *judge) say(version string, outcome rollout.Outcome, err error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if j.verdicts == nil {
		j.verdicts = map[string]rollout.Verdict{}
	}
	j.verdicts[version], j.err = rollout.Verdict{Outcome: outcome, Message: "5 % of requests fail"}, err
}

var _ = Describe("an analysis", func() {
	start := func() *judge {
		j := &judge{}
		startOperator(func(r *controllers.Reconciler) { r.Analysis = j })
		return j
	}

	It("keeps a preview from its promotion until it has come to an end, and stops it", func(ctx SpecContext) {
		j := start()
		s := started(ctx)
		j.say("v2", rollout.Analyzing, errors.New("nobody answers"))
		s.release(ctx, "v2")
		s.eventually(ctx, func(g Gomega, gs *v1alpha1.GinService) {
			g.Expect(gs.Status.Rollout.Step).To(Equal(v1alpha1.StepWaitingForPromotion))
			g.Expect(gs.Status.Rollout.Message).To(ContainSubstring("nobody answers"))
		})
		s.promote(ctx, s.get(ctx).Status.Rollout.Revision)
		j.say("v2", rollout.Analyzing, nil)
		Consistently(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))

		j.say("v2", rollout.Rejected, nil)
		Expect(s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAborted)).To(And(
			ContainSubstring("by its analysis: 5 % of requests fail"), ContainSubstring(v1alpha1.AnnotationRetry)))
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Blue))
		Eventually(s.events).WithArguments(ctx, "RolloutAborted").Should(HaveLen(1))

		By("trying again, and passing")
		j.say("v2", rollout.Passed, nil)
		s.annotate(ctx, v1alpha1.AnnotationRetry, rollout.NextRetry(s.get(ctx).Status.Rollout))
		s.eventuallyServes(ctx, "v2")
	})

	It("takes traffic back to the warm colour", func(ctx SpecContext) {
		j := start()
		s := started(ctx, scaleDownDelay(600))
		s.release(ctx, "v2")
		s.eventuallyStep(ctx, v1alpha1.StepDraining)
		Expect(s.activeColor(ctx)).To(Equal(v1alpha1.Green))
		j.say("v2", rollout.Rejected, nil)
		Eventually(s.activeColor).WithArguments(ctx).Should(Equal(v1alpha1.Blue))
		s.eventuallyCondition(ctx, v1alpha1.ConditionStalled, v1alpha1.ReasonAborted)
	})
})
