package controllers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// holds reports whether a live object is what an intent wants: the same intent was applied to it last, and every field of it still has
// the value that it was given. Fields that the intent does not speak of may be anything.
func holds(live client.Object, fields map[string]any, hash string) (bool, error) {
	if live.GetAnnotations()[annotationIntent] != hash {
		return false, nil
	}
	if config, ok := live.(*corev1.ConfigMap); ok {
		// Its data are not in the cache, and can't have changed as long as it is immutable, which it can't cease to be.
		return config.Immutable != nil && *config.Immutable, nil
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
	if key == "" {
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
	byKey := make(map[any]any, len(actual))
	for _, item := range actual {
		if item, ok := item.(map[string]any); ok {
			byKey[item[key]] = item
		}
	}
	for _, item := range want {
		item, ok := item.(map[string]any)
		if !ok || !contains(byKey[item[key]], item) {
			return false
		}
	}
	return true
}

// mergeKeys are the keys of the lists in the children's kinds that server-side apply merges.
var mergeKeys = []string{"mountPath", "uid", "name", "containerPort", "port"}

// mergeKey returns the key that all items of a list have, each with another value, or "".
func mergeKey(items []any) string {
	for _, key := range mergeKeys {
		seen := map[any]bool{}
		for _, item := range items {
			item, ok := item.(map[string]any)
			if !ok {
				return ""
			}
			if value, exists := item[key]; exists && !seen[value] {
				seen[value] = true
			}
		}
		if len(items) > 0 && len(seen) == len(items) {
			return key
		}
	}
	return ""
}
