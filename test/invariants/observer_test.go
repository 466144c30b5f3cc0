package invariants

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// TestExcuse checks that an excuse begins and ends with what the API server has by then, and has no end where what is excused fails.
func TestExcuse(t *testing.T) {
	versions := []string{"7", "9", "12", "", "15"}
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			if len(versions) == 0 {
				return errors.New("gone")
			}
			list.SetResourceVersion(versions[0])
			versions = versions[1:]
			return nil
		},
	}).Build()
	o := &Observer{client: c}
	var during int
	if err := o.Excuse(t.Context(), func() { during = len(versions) }); err != nil || during != 4 {
		t.Errorf("%v, with %d versions to come", err, during)
	}
	if err := o.Excuse(t.Context(), func() {}); !errors.Is(err, strconv.ErrSyntax) {
		t.Errorf("no version at the end: %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = o.Excuse(t.Context(), func() { panic("failed") })
	}()
	if err := o.Excuse(t.Context(), func() { t.Error("excused nevertheless") }); err == nil {
		t.Error("no version at the beginning, and no error")
	}
	if want := []span{{7, 9}, {12, math.MaxInt64}, {15, math.MaxInt64}}; !slices.Equal(o.excused, want) {
		t.Errorf("excused %v, want %v", o.excused, want)
	}
}
