package resources

import (
	"testing"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// BenchmarkDeployment is what each pass pays for: the revision of the spec, and a Deployment for each colour.
func BenchmarkDeployment(b *testing.B) {
	for name, gs := range services(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rev := RevisionOf(gs.Spec.WorkloadSpec)
				Deployment(gs, v1alpha1.Blue, rev, 3)
				Deployment(gs, v1alpha1.Green, rev, 0)
			}
		})
	}
}

func BenchmarkRevisionOf(b *testing.B) {
	for name, gs := range services(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				RevisionOf(gs.Spec.WorkloadSpec)
			}
		})
	}
}
