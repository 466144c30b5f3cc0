package controllers

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// held remembers which versions of children were found to be what is wanted: most passes find most children as the pass before left them,
// and have no need to build and compare them again. It is a memory only of this process.
type held struct {
	mutex    sync.Mutex
	services map[types.NamespacedName]map[string]finding // by kind and name of the child
}

// finding says that a version of a child is what was wanted. There is one for each child of each GinService, and so it has hashes, seeded
// anew in each process, in which two of a child's are the same by chance once in 2⁶⁴ times.
type finding struct {
	version uint64 // the child's; 0 for none
	recipe  uint64 // what the intent was made of
	hash    string // the intent's
}

var findingSeed = maphash.MakeSeed()

// versionOf returns what tells the versions of a child apart of which one may be what is wanted, and the other may not. A generation counts
// the changes of a spec, so that reports in status, of which there are many while pods start, make no new version.
func versionOf(live client.Object) uint64 {
	var h maphash.Hash
	h.SetSeed(findingSeed)
	maphash.WriteComparable(&h, live.GetUID())
	generation := live.GetGeneration()
	if generation == 0 {
		maphash.WriteComparable(&h, live.GetResourceVersion())
		return h.Sum64()
	}
	maphash.WriteComparable(&h, generation)
	for _, pairs := range []map[string]string{live.GetLabels(), live.GetAnnotations()} {
		maphash.WriteComparable(&h, len(pairs))
		for _, key := range slices.Sorted(maps.Keys(pairs)) {
			maphash.WriteComparable(&h, [...]string{key, pairs[key]})
		}
	}
	for _, owner := range live.GetOwnerReferences() {
		maphash.WriteComparable(&h, [...]string{owner.APIVersion, owner.Kind, owner.Name, string(owner.UID)})
		maphash.WriteComparable(&h, [...]bool{ptr.Deref(owner.Controller, false), ptr.Deref(owner.BlockOwnerDeletion, false)})
	}
	return h.Sum64()
}

// recipeOf returns what an intent is made of: the spec of a GinService, and what depends on the moment.
func recipeOf(gs *v1alpha1.GinService, from string) uint64 {
	return maphash.Comparable(findingSeed, struct {
		uid        types.UID
		generation int64
		from       string
	}{gs.UID, gs.Generation, from})
}

func (h *held) of(service types.NamespacedName, child string) finding {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.services[service][child]
}

func (h *held) remember(service types.NamespacedName, child string, found finding) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.services == nil {
		h.services = map[types.NamespacedName]map[string]finding{}
	}
	if h.services[service] == nil {
		h.services[service] = map[string]finding{}
	}
	h.services[service][child] = found
}

// drop forgets a child that is deleted.
func (h *held) drop(service types.NamespacedName, child string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.services[service], child)
}

func (h *held) forget(service types.NamespacedName) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.services, service)
}

// holds reports whether a live object is what an intent wants: the same intent was applied to it last, and every field of it still has
// the value that it was given. Fields that the intent does not speak of may be anything.
func holds(live client.Object, wanted any, hash string) (bool, error) {
	if live.GetAnnotations()[annotationIntent] != hash {
		return false, nil
	}
	_, isConfig := live.(*corev1.ConfigMap)
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wanted)
	if err != nil {
		return false, err
	}
	actual, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return false, err
	}
	for key, want := range fields {
		switch {
		case key == "apiVersion" || key == "kind": // a typed object from a cache has neither
		case key == "data" && isConfig:
			// They are not in the cache, and can't have changed as long as the ConfigMap is immutable, which it can't cease to be.
		case !contains(actual[key], want):
			return false, nil
		}
	}
	return true, nil
}

// contains reports whether an actual value has everything that is in a wanted one.
func contains(actual, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		actual, ok := actual.(map[string]any)
		if !ok {
			return len(want) == 0
		}
		for key, value := range want {
			if atomic[key] && !equality.Semantic.DeepEqual(actual[key], value) {
				return false
			}
			if !contains(actual[key], value) {
				return false
			}
		}
		return true
	case []any:
		actual, ok := actual.([]any)
		if !ok {
			return len(want) == 0
		}
		return containsItems(actual, want)
	default:
		return equality.Semantic.DeepEqual(actual, want)
	}
}

// containsItems compares lists: by key where the items have one, as server-side apply does, and otherwise one by one.
func containsItems(actual, want []any) bool {
	key := mergeKey(want)
	if key == nil {
		if len(actual) != len(want) {
			return false
		}
		for i := range want {
			if !contains(actual[i], want[i]) {
				return false
			}
		}
		return true
	}
	byKey := make(map[string]any, len(actual))
	for _, item := range actual {
		if item, ok := item.(map[string]any); ok {
			byKey[key.of(item)] = item
		}
	}
	for _, item := range want {
		item, ok := item.(map[string]any)
		if !ok || !contains(byKey[key.of(item)], item) {
			return false
		}
	}
	return true
}

// atomic are the fields that server-side apply takes as a whole: what somebody adds to one is a change of what is owned.
var atomic = map[string]bool{
	"parentRefs": true, "hostnames": true, "rules": true, // of an HTTPRoute
	"podSelector": true, "ingress": true, "podMetricsEndpoints": true, // of a NetworkPolicy and a PodMonitor
	"selector": true, "nodeSelector": true, "labelSelector": true, "scaleTargetRef": true, "secretKeyRef": true, "configMapKeyRef": true,
}

// listKey are the fields that tell the items of a list apart.
type listKey []string

// of returns the values of the key in an item, as one text.
func (k listKey) of(item map[string]any) string {
	values := make([]any, len(k))
	for i, field := range k {
		values[i] = item[field]
	}
	return fmt.Sprint(values)
}

// listKeys are those of the lists in the children's kinds that server-side apply merges.
var listKeys = []listKey{{"mountPath"}, {"uid"}, {"name"}, {"containerPort"}, {"port"}, {"topologyKey", "whenUnsatisfiable"}}

// mergeKey returns the key that all items of a list have, each with another value, or nil.
func mergeKey(items []any) listKey {
	for _, key := range listKeys {
		seen := map[string]bool{}
		for _, item := range items {
			item, ok := item.(map[string]any)
			if !ok {
				return nil
			}
			if !slices.ContainsFunc(key, func(field string) bool { return item[field] == nil }) {
				seen[key.of(item)] = true
			}
		}
		if len(items) > 0 && len(seen) == len(items) {
			return key
		}
	}
	return nil
}
