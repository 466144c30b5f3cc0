package resources

import (
	"fmt"
	"math/rand/v2"
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

var quantityType = reflect.TypeFor[resource.Quantity]()

// randomWorkload is a specification with any of the API's fields set, within the rules about how its fields go together. It finds the
// fields by reflection, so that a new one is in it without anybody's doing.
func randomWorkload(seed uint64) v1alpha1.WorkloadSpec {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // A seed has to give the same specification each time.
	w := v1alpha1.WorkloadSpec{}
	fillRandomly(r, reflect.ValueOf(&w).Elem())
	w.Image = "registry.example.com/hello:v1"
	for i := range w.Env {
		v := &w.Env[i]
		v.Name = fmt.Sprintf("VARIABLE_%d", i)
		if v.ValueFrom != nil {
			v.Value = ""
			keepOne(r, reflect.ValueOf(v.ValueFrom).Elem())
		}
	}
	if r.IntN(2) == 0 {
		w.Env = append(w.Env, v1alpha1.EnvVar{Name: envGinMode, Value: "debug"})
	}
	for i := range w.EnvFrom {
		keepOne(r, reflect.ValueOf(&w.EnvFrom[i]).Elem())
	}
	for i := range w.Volumes {
		w.Volumes[i].Name = fmt.Sprintf("volume-%d", i)
		keepOne(r, reflect.ValueOf(&w.Volumes[i]).Elem())
	}
	if r.IntN(4) == 0 {
		w.DrainSeconds = new(int32(0))
	}
	if p := w.Probes.Startup; p != nil && r.IntN(2) == 0 {
		p.InitialDelaySeconds = new(int32(0))
	}
	for i := range w.VolumeMounts {
		w.VolumeMounts[i].MountPath = fmt.Sprintf("/mount/%d", i)
	}
	return w
}

// fillRandomly leaves about a third of everything out, and makes lists and maps of up to two.
func fillRandomly(r *rand.Rand, v reflect.Value) {
	if v.Type() == quantityType {
		v.Set(reflect.ValueOf(resource.MustParse([]string{"1", "1000m", "1Gi", "1024Mi", "0.1", "1e3", "128M"}[r.IntN(7)])))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fillRandomly(r, v.Elem())
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			fillRandomly(r, field)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(3), 2))
		for i := range v.Len() {
			fillRandomly(r, v.Index(i))
		}
	case reflect.Map:
		fillMapRandomly(r, v)
	case reflect.String:
		v.SetString([]string{"a", "hello", "cpu", "memory", "<&>", "ä"}[r.IntN(6)])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int32, reflect.Int64:
		v.SetInt([]int64{1, 2, 5, 30, 8080, 9090}[r.IntN(6)])
	default:
		panic("WorkloadSpec has a field of a new kind, " + v.Type().String() + ": fill it here")
	}
}

func fillMapRandomly(r *rand.Rand, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for range r.IntN(3) {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillRandomly(r, key)
		fillRandomly(r, value)
		v.SetMapIndex(key, value)
	}
}

// keepOne makes exactly one of the pointers in v not nil.
func keepOne(r *rand.Rand, v reflect.Value) {
	var pointers []reflect.Value
	for _, field := range v.Fields() {
		if field.Kind() == reflect.Pointer {
			pointers = append(pointers, field)
		}
	}
	kept := r.IntN(len(pointers))
	for i, pointer := range pointers {
		if i != kept {
			pointer.SetZero()
		} else if pointer.IsNil() {
			pointer.Set(reflect.New(pointer.Type().Elem()))
			fillRandomly(r, pointer.Elem())
		}
	}
}
