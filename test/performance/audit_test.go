package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testUser = "system:serviceaccount:gin-operator-system:gin-operator"

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// line is a line of an audit log, some seconds after noon.
func line(seconds int, user, verb, stage, objectRef string) string {
	if objectRef != "" {
		objectRef = `,"objectRef":` + objectRef
	}
	return fmt.Sprintf(`{"kind":"Event","level":"Metadata","stage":%q,"verb":%q,"user":{"username":%q},"requestReceivedTimestamp":%q%s}`+"\n",
		stage, verb, user, noon.Add(time.Duration(seconds)*time.Second).Format(time.RFC3339Nano), objectRef)
}

func answered(seconds int, verb, objectRef string) string {
	return line(seconds, testUser, verb, "ResponseComplete", objectRef)
}

func logOf(t *testing.T, text string) *auditLog {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &auditLog{path: path, user: testUser}
	if err := l.read(); err != nil {
		t.Fatal(err)
	}
	return l
}

func everything(request) bool { return true }

func TestEachRequestIsCountedForWhatItIs(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want counts
	}{
		"an apply of a child is a write": {
			line: answered(0, "patch", `{"resource":"deployments","apiGroup":"apps","namespace":"ns","name":"svc-00001-blue"}`),
			want: counts{writes: 1, kinds: map[string]int{"patch deployments": 1}},
		},
		"so is one of a subresource, under its own name": {
			line: answered(0, "update", `{"resource":"ginservices","subresource":"status","namespace":"ns","name":"svc-00001"}`),
			want: counts{writes: 1, kinds: map[string]int{"update ginservices/status": 1}},
		},
		"an Event is counted apart": {
			line: answered(0, "create", `{"resource":"events","apiGroup":"events.k8s.io","namespace":"ns","name":"svc-00001.1"}`),
			want: counts{events: 1, kinds: map[string]int{"create events": 1}},
		},
		"a get is a read": {
			line: answered(0, "get", `{"resource":"services","namespace":"ns","name":"svc-00001"}`),
			want: counts{reads: 1, kinds: map[string]int{"get services": 1}},
		},
		"so is the list of one namespace": {
			line: answered(0, "list", `{"resource":"pods","namespace":"ns"}`),
			want: counts{reads: 1, kinds: map[string]int{"list pods": 1}},
		},
		"the list of all namespaces fills a cache": {
			line: answered(0, "list", `{"resource":"services"}`),
			want: counts{informers: 1, kinds: map[string]int{"list services": 1}},
		},
		"a watch counts once, when it begins": {
			line: line(0, testUser, "watch", "ResponseStarted", `{"resource":"services"}`) + answered(9, "watch", `{"resource":"services"}`),
			want: counts{informers: 1, kinds: map[string]int{"watch services": 1}},
		},
		"discovery counts for nothing": {
			line: answered(0, "get", ""),
			want: counts{kinds: map[string]int{}},
		},
		"nor does asking who calls": {
			line: answered(0, "create", `{"resource":"tokenreviews","apiGroup":"authentication.k8s.io"}`),
			want: counts{kinds: map[string]int{}},
		},
		"nor what somebody else does": {
			line: line(0, "admin", "patch", "ResponseComplete", `{"resource":"services","namespace":"ns","name":"svc-00001"}`),
			want: counts{kinds: map[string]int{}},
		},
		"nor what somebody else does to the operator's account": {
			line: line(0, "admin", "get", "ResponseComplete", fmt.Sprintf(`{"resource":"users","name":%q}`, testUser)),
			want: counts{kinds: map[string]int{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, logOf(t, tc.line).count(everything), cmp.AllowUnexported(counts{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALineThatIsBeingWrittenIsReadWhenItIsComplete(t *testing.T) {
	text := answered(0, "patch", `{"resource":"services","namespace":"ns","name":"svc-00001"}`)
	l := logOf(t, text+text[:40])
	if got := l.count(everything).writes; got != 1 {
		t.Errorf("counted %d writes before the line was complete, and 1 is in the log", got)
	}
	if err := os.WriteFile(l.path, []byte(text+text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.read(); err != nil {
		t.Fatal(err)
	}
	if got := l.count(everything).writes; got != 2 {
		t.Errorf("counted %d writes, and 2 are in the log", got)
	}
}

func TestRequestsBelongToAPhaseByTheirServiceAndTime(t *testing.T) {
	l := logOf(t, answered(1, "patch", `{"resource":"deployments","namespace":"ns","name":"svc-00001-blue"}`)+
		answered(2, "patch", `{"resource":"services","namespace":"ns","name":"svc-00001-preview"}`)+
		answered(3, "update", `{"resource":"ginservices","subresource":"status","namespace":"ns","name":"svc-00001"}`)+
		answered(3, "patch", `{"resource":"services","namespace":"ns","name":"svc-00002"}`)+
		answered(4, "create", `{"resource":"events","namespace":"ns","name":"svc-00002.1"}`)+
		answered(5, "list", `{"resource":"services"}`))
	ends := map[string]time.Time{"svc-00001": noon.Add(2 * time.Second), "svc-00002": noon.Add(3 * time.Second)}
	during := l.count(until(noon.Add(2*time.Second), ends))
	want := counts{writes: 2, kinds: map[string]int{"patch services": 2}}
	if diff := cmp.Diff(want, during, cmp.AllowUnexported(counts{})); diff != "" {
		t.Error(diff)
	}
	if got := l.count(between(noon, noon.Add(3*time.Second))).writes; got != 2 {
		t.Errorf("%d writes were before the third second, and 2 are in the log", got)
	}
	if got, want := l.quietSince(noon), noon.Add(4*time.Second); !got.Equal(want) {
		t.Errorf("quiet since %v, and the last write was at %v", got, want)
	}
	later := noon.Add(time.Minute)
	if got := l.quietSince(later); !got.Equal(later) {
		t.Errorf("quiet since %v, but nobody looked before %v", got, later)
	}
}
