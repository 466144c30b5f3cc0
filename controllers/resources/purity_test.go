package resources

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Builders get objects out of a cache that others read at the same time.
func TestBuildersLeaveTheirInputsAlone(t *testing.T) {
	for name, gs := range services(t) {
		t.Run(name, func(t *testing.T) {
			before := gs.DeepCopy()
			children(t, gs)
			// Not cmp: a Quantity that caches its text has changed too.
			if !reflect.DeepEqual(before, gs) {
				t.Errorf("a builder changed the GinService; -before +after:\n%s", cmp.Diff(before, gs))
			}
		})
	}
}

// What is applied is overwritten with the API server's answer, which must not reach the input, nor another child.
func TestBuiltObjectsShareNothingWithTheInputs(t *testing.T) {
	for name, gs := range services(t) {
		t.Run(name, func(t *testing.T) {
			before := gs.DeepCopy()
			rev := RevisionOf(gs.Spec.WorkloadSpec)
			revBefore := rev.Workload.DeepCopy()
			want := mustMarshal(t, Deployment(gs, "blue", rev, 1))
			built := children(t, gs)
			built = append(built, child{"Deployment", Deployment(gs, "blue", rev, 1), nil}, child{"ConfigMap", ConfigMap(gs, rev), nil})
			for _, c := range built {
				clobber(reflect.ValueOf(c.intent))
			}
			if !reflect.DeepEqual(before, gs) {
				t.Errorf("-before +after:\n%s", cmp.Diff(before, gs))
			}
			if !reflect.DeepEqual(revBefore, &rev.Workload) {
				t.Errorf("-before +after:\n%s", cmp.Diff(revBefore, &rev.Workload))
			}
			if got := mustMarshal(t, Deployment(gs, "blue", rev, 1)); !bytes.Equal(got, want) {
				t.Errorf("-before +after:\n%s", cmp.Diff(tree(t, want), tree(t, got)))
			}
		})
	}
}

// clobber overwrites everything that v leads to.
func clobber(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clobber(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == quantityType {
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				clobber(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			clobber(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, reflect.Zero(v.Type().Elem()))
		}
	case reflect.Interface, reflect.Func, reflect.Chan:
	default:
		if v.CanSet() {
			v.SetZero()
		}
	}
}
