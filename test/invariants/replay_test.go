package invariants

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// The history of a service that is as it should be: three pods of blue serve, three of green are a preview. by is who wrote.

func fields(by, raw string) []metav1.ManagedFieldsEntry {
	return []metav1.ManagedFieldsEntry{{Manager: by, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(raw)}}
}

func owned(name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID(name), Labels: labels,
		OwnerReferences: []metav1.OwnerReference{{Kind: "GinService", Name: "hello", UID: "uid", Controller: new(true)}},
	}
}

func ginService(by string, replicas int32) *v1alpha1.GinService {
	gs := &v1alpha1.GinService{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "hello", UID: "uid"}}
	gs.ManagedFields = fields(by, `{"f:spec":{"f:replicas":{}}}`)
	gs.Spec.Replicas = &replicas
	return gs
}

// generation is the same with a generation of spec, and the latest one that the operator has seen.
func generation(n, seen int64, replicas int32) *v1alpha1.GinService {
	gs := ginService("hpa", replicas)
	gs.Generation, gs.Status.ObservedGeneration = n, seen
	return gs
}

// holding has a record of a rollout that holds what serves at a number of pods.
func holding(gs *v1alpha1.GinService, replicas int32) client.Object {
	gs = gs.DeepCopy()
	gs.Status.Rollout = &v1alpha1.RolloutStatus{HeldReplicas: &replicas, WantedReplicas: gs.Spec.Replicas}
	return gs
}

func deletedGinService() client.Object {
	gs := ginService("kubectl", 3)
	now := metav1.Now()
	gs.SetDeletionTimestamp(&now)
	return gs
}

func active(by string, selector map[string]string, serving v1alpha1.Color) client.Object {
	service := &corev1.Service{ObjectMeta: owned("hello", nil), Spec: corev1.ServiceSpec{Selector: selector}}
	service.ManagedFields = fields(by, `{"f:spec":{"f:selector":{}}}`)
	if serving != "" {
		service.Annotations = map[string]string{"apps.gin-operator.dev/serving": string(serving)}
	}
	return service
}

func selects(color v1alpha1.Color) client.Object { return selectedBy(operator, color) }

func selectedBy(by string, color v1alpha1.Color) client.Object {
	return active(by, map[string]string{v1alpha1.LabelUID: "uid", v1alpha1.LabelColor: string(color)}, "")
}

func deployment(by string, color v1alpha1.Color, replicas int32) client.Object {
	d := &appsv1.Deployment{ObjectMeta: owned("hello-"+string(color), map[string]string{v1alpha1.LabelColor: string(color)})}
	d.ManagedFields, d.Spec.Replicas = fields(by, fmt.Sprintf(`{"f:spec":{"f:replicas":{}},"n":%d}`, replicas)), &replicas
	return d
}

// settings is a ConfigMap that no GinService controls, as the operator wrote it.
func settings(value string) client.Object {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "settings", UID: "settings", ManagedFields: fields(operator, `{"f:data":{"`+value+`":{}}}`),
	}}
}

func slice(role string, pods ...string) client.Object {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: role, UID: types.UID(role), Labels: map[string]string{
		v1alpha1.LabelUID: "uid", v1alpha1.LabelRole: role,
	}}}
	for _, pod := range pods {
		name, unready := strings.CutSuffix(pod, "!")
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			TargetRef: &corev1.ObjectReference{Name: "hello-" + name}, Conditions: discoveryv1.EndpointConditions{Ready: new(!unready)},
		})
	}
	return s
}

const operator = "gin-operator"

func atPeace() []client.Object {
	return []client.Object{
		ginService("kubectl", 3), deployment(operator, v1alpha1.Blue, 3), selects(v1alpha1.Blue),
		slice(v1alpha1.RoleActive, "blue-1", "blue-2", "blue-3"), deployment(operator, v1alpha1.Green, 3),
		slice(v1alpha1.RolePreview, "green-1", "green-2", "green-3"),
	}
}

func TestReplay(t *testing.T) {
	seen := generation(9, 9, 3)
	foreign := deployment(operator, v1alpha1.Blue, 5)
	foreign.SetOwnerReferences(nil)
	robbed := deployment(operator, v1alpha1.Blue, 3)
	robbed.SetOwnerReferences(nil)
	robbed.SetManagedFields(fields(operator, `{"f:spec":{"f:replicas":{}}}`))
	bothColors := active(operator, map[string]string{v1alpha1.LabelUID: "uid"}, v1alpha1.Blue)
	all := slice(v1alpha1.RoleActive, "blue-1", "blue-2", "blue-3", "green-1", "green-2", "green-3")
	blue := slice(v1alpha1.RoleActive, "blue-4")
	green := slice(v1alpha1.RoleActive, "green-1", "green-2", "green-3")
	for name, tc := range map[string]struct {
		then []client.Object
		want string // "" for nothing
	}{
		"nothing":                         {nil, ""},
		"a switch":                        {[]client.Object{selects(v1alpha1.Green), green, deployment(operator, v1alpha1.Blue, 0)}, ""},
		"a switch with an overlap":        {[]client.Object{bothColors, all, selects(v1alpha1.Green), green, deployment(operator, v1alpha1.Blue, 0)}, ""},
		"no selector":                     {[]client.Object{active(operator, nil, "")}, "the active Service selects map[]"},
		"both, and nobody knows who":      {[]client.Object{active(operator, map[string]string{v1alpha1.LabelUID: "uid"}, "")}, "the active Service selects map["},
		"a colour that is not ready":      {[]client.Object{slice(v1alpha1.RolePreview, "green-1!"), selects(v1alpha1.Green)}, "which has no ready pod"},
		"one that somebody else selects":  {[]client.Object{slice(v1alpha1.RolePreview, "green-1!"), selectedBy("kubectl", v1alpha1.Green), selects(v1alpha1.Blue)}, ""},
		"nothing that somebody selects":   {[]client.Object{active("kubectl", nil, ""), selects(v1alpha1.Blue)}, ""},
		"nobody to reach":                 {[]client.Object{slice(v1alpha1.RoleActive, "blue-1!")}, "nobody can be reached"},
		"nobody to reach at zero":         {[]client.Object{ginService("kubectl", 0), slice(v1alpha1.RoleActive)}, ""},
		"nobody to reach soon after zero": {[]client.Object{generation(2, 2, 0), generation(3, 3, 3), blue, slice(v1alpha1.RoleActive), blue}, ""},
		"nobody to reach long after zero": {[]client.Object{generation(2, 2, 0), slice(v1alpha1.RoleActive), generation(3, 3, 3), blue, slice(v1alpha1.RoleActive)}, "nobody can be reached"},
		"nobody to reach after the end":   {[]client.Object{deletedGinService(), slice(v1alpha1.RoleActive)}, ""},
		"fewer pods than are wanted":      {[]client.Object{deployment(operator, v1alpha1.Blue, 1)}, "took pods from blue, which serves"},
		"as few pods as are wanted":       {[]client.Object{ginService("kubectl", 1), deployment(operator, v1alpha1.Blue, 1)}, ""},
		"as few as were wanted just now":  {[]client.Object{generation(2, 2, 1), generation(3, 2, 5), generation(4, 2, 7), deployment(operator, v1alpha1.Blue, 1)}, ""},
		"as few as it knew were wanted":   {[]client.Object{generation(2, 0, 1), generation(3, 2, 5), deployment(operator, v1alpha1.Blue, 1)}, ""},
		"as few as once were wanted":      {[]client.Object{generation(2, 2, 1), generation(3, 3, 5), deployment(operator, v1alpha1.Blue, 1)}, "1 of 3, and 5 are wanted"},
		"as few as it never heard of":     {[]client.Object{generation(2, 2, 1), generation(3, 2, 2), generation(4, 4, 5), deployment(operator, v1alpha1.Blue, 2)}, "2 of 3, and 5 are wanted"},
		"fewer than were wanted at last":  {[]client.Object{generation(2, 2, 1), generation(3, 3, 2), generation(4, 3, 5), deployment(operator, v1alpha1.Blue, 1)}, "took pods from blue, which serves"},
		"a status that is wiped":          {[]client.Object{generation(2, 2, 1), generation(3, 3, 5), generation(3, 0, 5), deployment(operator, v1alpha1.Blue, 1)}, "took pods from blue, which serves"},
		"as few as it holds":              {[]client.Object{holding(generation(2, 2, 5), 2), deployment(operator, v1alpha1.Blue, 2)}, ""},
		"fewer than it holds":             {[]client.Object{holding(generation(2, 2, 5), 2), deployment(operator, v1alpha1.Blue, 1)}, "took pods from blue, which serves"},
		"fewer than the other one holds":  {[]client.Object{holding(generation(2, 2, 0), 1), slice(v1alpha1.RoleActive), holding(seen, 1), deployment(operator, v1alpha1.Green, 1)}, "last healthy pods"},
		"as few as it held":               {[]client.Object{holding(generation(2, 2, 5), 2), generation(3, 3, 5), deployment(operator, v1alpha1.Blue, 2)}, "took pods from blue, which serves"},
		"somebody else's fewer pods":      {[]client.Object{deployment("kubectl", v1alpha1.Blue, 1)}, ""},
		"pods that are still sent to":     {[]client.Object{selects(v1alpha1.Green), all, deployment(operator, v1alpha1.Blue, 0)}, "still in the EndpointSlices"},
		"as few pods of both as wanted":   {[]client.Object{bothColors, all, ginService("hpa", 2), deployment(operator, v1alpha1.Blue, 2), deployment(operator, v1alpha1.Green, 2)}, ""},
		"fewer pods of both than wanted":  {[]client.Object{bothColors, all, ginService("hpa", 2), deployment(operator, v1alpha1.Blue, 2), deployment(operator, v1alpha1.Green, 1)}, "still in the EndpointSlices"},
		"pods that are still selected":    {[]client.Object{bothColors, all, deployment(operator, v1alpha1.Green, 0)}, "still in the EndpointSlices"},
		"pods lost later":                 {[]client.Object{selects(v1alpha1.Green), green, slice(v1alpha1.RolePreview, "blue-1"), slice(v1alpha1.RoleActive, "green-1!", "green-2")}, ""},
		"some of the last healthy pods":   {[]client.Object{ginService("kubectl", 0), slice(v1alpha1.RoleActive), seen, deployment(operator, v1alpha1.Green, 1)}, "last healthy pods"},
		"those that nobody has a use for": {[]client.Object{generation(2, 2, 0), slice(v1alpha1.RoleActive), generation(3, 3, 2), deployment(operator, v1alpha1.Green, 2)}, ""},
		"the last healthy pods":           {[]client.Object{ginService("kubectl", 0), slice(v1alpha1.RoleActive), seen, deployment(operator, v1alpha1.Green, 0)}, "last healthy pods"},
		"the autoscaler's number":         {[]client.Object{ginService("hpa", 7)}, ""},
		"the operator's number":           {[]client.Object{ginService(operator, 7)}, "changed spec.replicas from 3 to 7"},
		"somebody takes its owner away":   {[]client.Object{robbed}, ""},
		"a write to somebody's settings":  {[]client.Object{settings("1"), settings("2")}, "which no GinService controls"},
		"a write to what it does not own": {[]client.Object{foreign}, "which no GinService controls"},
	} {
		t.Run(name, func(t *testing.T) { expectViolation(t, tc.want, tc.then) })
	}
}

// TestExcused checks that in a span nobody has to be reached, and that all else is judged.
func TestExcused(t *testing.T) {
	down, up := slice(v1alpha1.RoleActive, "blue-1!"), slice(v1alpha1.RoleActive, "blue-1")
	first := int64(len(atPeace()))
	for name, tc := range map[string]struct {
		excused []span
		then    []client.Object
		want    string // "" for nothing
	}{
		"again and again":         {[]span{{first - 1, first + 3}}, []client.Object{down, up, down, up}, ""},
		"another time":            {[]span{{0, 1}, {first - 1, first}}, []client.Object{down, up}, ""},
		"earlier":                 {[]span{{first, first + 9}}, []client.Object{down, up}, "nobody can be reached"},
		"later":                   {[]span{{first - 1, first + 1}}, []client.Object{down, up, down}, "nobody can be reached"},
		"at once after it":        {[]span{{first - 3, first - 1}}, []client.Object{down}, "nobody can be reached"},
		"in a service made anew":  {[]span{{first - 1, first + 9}}, []client.Object{anew(ginService("kubectl", 3)), anew(up), anew(down)}, ""},
		"none for what is anew":   {nil, []client.Object{anew(ginService("kubectl", 3)), anew(up), anew(down)}, "nobody can be reached"},
		"the size of what serves": {[]span{{first - 1, first + 9}}, []client.Object{down, deployment(operator, v1alpha1.Blue, 1)}, "took pods from blue, which serves"},
		"spec.replicas":           {[]span{{first - 1, first + 9}}, []client.Object{down, ginService(operator, 7)}, "changed spec.replicas from 3 to 7"},
		"what is not owned":       {[]span{{first - 1, first + 9}}, []client.Object{down, settings("1"), settings("2")}, "which no GinService controls"},
		"the selector":            {[]span{{first - 1, first + 9}}, []client.Object{slice(v1alpha1.RolePreview), selects(v1alpha1.Green)}, "which has no ready pod"},
	} {
		t.Run(name, func(t *testing.T) { expectViolation(t, tc.want, tc.then, tc.excused...) })
	}
}

// anew is the GinService, or an EndpointSlice of it, after it was deleted and created again.
func anew(object client.Object) client.Object {
	object = object.DeepCopyObject().(client.Object)
	if object.SetUID("anew"); object.GetLabels() != nil {
		object.GetLabels()[v1alpha1.LabelUID] = "anew"
	}
	return object
}

// expectViolation replays what was at peace and then was not, and checks what was wrong with it: "" for nothing.
func expectViolation(t *testing.T, want string, then []client.Object, excused ...span) {
	t.Helper()
	r := newReplay("hello", excused...)
	for i, object := range append(atPeace(), then...) {
		r.take(step{version: int64(i), object: object})
	}
	switch {
	case want == "" && len(r.wrong) > 0:
		t.Errorf("violations: %v", r.wrong)
	case want != "" && (len(r.wrong) != 1 || !strings.Contains(r.wrong[0], want)):
		t.Errorf("violations: %v, want one with %q", r.wrong, want)
	}
}
