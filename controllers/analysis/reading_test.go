package analysis

import (
	"math"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

func TestRounded(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{
		0: "0", 1: "1", 0.99949: "0.9995", 0.99951: "0.9995", 123456: "123500", 0.000012346: "0.00001235", 2.5: "2.5", 1e30: "1e+30", 1e-30: "1e-30",
	} {
		if got := rounded(value); got != want {
			t.Errorf("%v is %q, want %q", value, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for bound, want := range map[v1alpha1.Bound]float64{"0.99": 0.99, ".5": 0.5, "250m": 0.25, "10k": 10000, "3": 3, "1u": 1e-6} {
		if got := number(bound); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %v, want %v", bound, got, want)
		}
	}
	if got := number("nonsense"); !math.IsNaN(got) {
		t.Errorf("nonsense is %v", got)
	}
	for _, bounds := range []v1alpha1.ThresholdRange{{Min: "nonsense"}, {Max: "nonsense"}} {
		if within(&bounds, 1, false) {
			t.Errorf("something is within %+v", bounds)
		}
	}
}

func TestNoteWarmUp(t *testing.T) {
	t.Parallel()
	settings := &v1alpha1.WarmUp{FailureLimit: new(int32(1))}
	before := &v1alpha1.AnalysisStatus{Outcome: v1alpha1.AnalysisRunning}
	after := before.DeepCopy()
	noteWarmUp(only(success(min99)), settings, before, after, &v1alpha1.WarmUpStatus{Sent: 50, Failed: 1, Message: "GET / was answered with 500 instead of 200"})
	if after.WarmUp != nil {
		t.Error("status changes without a measurement")
	}
	after.MeasuredAt = &metav1.MicroTime{Time: epoch}
	noteWarmUp(only(success(min99)), settings, before, after, &v1alpha1.WarmUpStatus{Sent: 60, Failed: 1, Message: "GET / was answered with 500 instead of 200"})
	if after.WarmUp == nil || after.WarmUp.Sent != 60 || after.Outcome != v1alpha1.AnalysisRunning {
		t.Errorf("%+v", after)
	}
	before = after.DeepCopy()
	noteWarmUp(only(success(min99)), settings, before, after, &v1alpha1.WarmUpStatus{Sent: 61, Failed: 2, Message: "GET / was answered with 500 instead of 200"})
	want := "warmUp: GET / was answered with 500 instead of 200: 2 of 61 requests failed, and failureLimit is 1"
	if after.Outcome != v1alpha1.AnalysisFailed || after.Message != want {
		t.Errorf("%+v", after)
	}
}
