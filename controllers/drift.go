package controllers

import (
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

// held remembers which versions of children were compared with what is wanted and found to be it: most passes find most children as the
// pass before left them. It is a memory only of this process.
type held struct {
	mutex    sync.Mutex
	services map[types.NamespacedName]map[string]string // of kind and name, the resourceVersion
}

func (h *held) knows(service types.NamespacedName, child, version string) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return version != "" && h.services[service][child] == version
}

func (h *held) remember(service types.NamespacedName, child, version string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.services == nil {
		h.services = map[types.NamespacedName]map[string]string{}
	}
	if h.services[service] == nil {
		h.services[service] = map[string]string{}
	}
	h.services[service][child] = version
}

func (h *held) forget(service types.NamespacedName) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.services, service)
}

// holds reports whether a live object is what an intent wants: the same intent was applied to it last, and every field of it still has
// the value that it was given. Fields that the intent does not speak of may be anything.
func (r *Reconciler) holds(gs *v1alpha1.GinService, kind string, live client.Object, wanted any, hash string) (bool, error) {
	if live.GetAnnotations()[annotationIntent] != hash {
		return false, nil
	}
	if config, ok := live.(*corev1.ConfigMap); ok {
		// Its data are not in the cache, and can't have changed as long as it is immutable, which it can't cease to be.
		return config.Immutable != nil && *config.Immutable, nil
	}
	service, child := client.ObjectKeyFromObject(gs), kind+" "+live.GetName()
	if r.held.knows(service, child, live.GetResourceVersion()) {
		return true, nil
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wanted)
	if err != nil {
		return false, err
	}
	actual, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return false, err
	}
	for key, want := range fields {
		switch key {
		case "apiVersion", "kind": // a typed object from a cache has neither
		default:
			if !contains(actual[key], want) {
				return false, nil
			}
		}
	}
	r.held.remember(service, child, live.GetResourceVersion())
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
