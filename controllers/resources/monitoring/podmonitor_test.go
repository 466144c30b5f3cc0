package monitoring

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
)

const newer = `{"apiVersion":"monitoring.coreos.com/v1","kind":"PodMonitor","metadata":{"name":"hello","labels":{"a":"b"}},"spec":{"fromTheFuture":[1,{"x":null}],"selector":{}}}`

func TestPodMonitorKeepsWhatItDoesNotKnow(t *testing.T) {
	var monitor PodMonitor
	if err := json.Unmarshal([]byte(newer), &monitor); err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(&monitor)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	for text, into := range map[string]*any{newer: &want, string(written): &got} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-read +written:\n%s", diff)
	}
}

func TestCopiesShareNothing(t *testing.T) {
	list := &PodMonitorList{Items: make([]PodMonitor, 1)}
	if err := json.Unmarshal([]byte(newer), &list.Items[0]); err != nil {
		t.Fatal(err)
	}
	copied, isList := list.DeepCopyObject().(*PodMonitorList)
	if !isList {
		t.Fatalf("the copy of a list is a %T", copied)
	}
	if diff := cmp.Diff(list, copied); diff != "" {
		t.Errorf("-original +copy:\n%s", diff)
	}
	copied.Items[0].Labels["a"], copied.Items[0].Spec.Raw[0] = "c", '['
	if list.Items[0].Labels["a"] != "b" || list.Items[0].Spec.Raw[0] != '{' {
		t.Errorf("a change of the copy is one of the original: %+v", list.Items[0])
	}
}

func TestSchemeKnowsPodMonitors(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	applied := NewPodMonitor("hello", "shop")
	for _, kind := range []string{*applied.GetKind(), *applied.GetKind() + "List"} {
		if !scheme.Recognizes(GroupVersion.WithKind(kind)) {
			t.Errorf("it does not know %s", kind)
		}
	}
}
