package counting_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gin-operator/gin-operator/test/counting"
)

func TestRequestsAreCountedByWhatTheyDo(t *testing.T) {
	cases := map[string]struct {
		method, path                           string
		want                                   string
		writes, reads, watches, events, leases int
	}{
		"a list of all namespaces": {method: "GET", path: "/apis/apps/v1/deployments?limit=500", want: "list apps/deployments", reads: 1},
		"a list of one namespace":  {method: "GET", path: "/api/v1/namespaces/shop/services", want: "list services", reads: 1},
		"a watch is no read":       {method: "GET", path: "/api/v1/services?watch=true", want: "watch services", watches: 1},
		"a get":                    {method: "GET", path: "/api/v1/namespaces/shop/services/web", want: "get services", reads: 1},
		"a namespace itself":       {method: "GET", path: "/api/v1/namespaces/shop", want: "get namespaces", reads: 1},
		"a namespace's status":     {method: "PUT", path: "/api/v1/namespaces/shop/status", want: "update namespaces/status", writes: 1},
		"a create":                 {method: "POST", path: "/api/v1/namespaces/shop/configmaps", want: "create configmaps", writes: 1},
		"an apply of a status":     {method: "PATCH", path: "/apis/apps.gin-operator.dev/v1alpha1/namespaces/shop/ginservices/web/status", want: "patch apps.gin-operator.dev/ginservices/status", writes: 1},
		"a dry run writes nothing": {method: "PATCH", path: "/apis/apps/v1/namespaces/shop/deployments/web?dryRun=All", want: "patch apps/deployments (dry run)"},
		"a delete":                 {method: "DELETE", path: "/api/v1/namespaces/shop/pods/web-1", want: "delete pods", writes: 1},
		"a delete of all":          {method: "DELETE", path: "/api/v1/namespaces/shop/pods", want: "deletecollection pods", writes: 1},
		"an event apart":           {method: "POST", path: "/apis/events.k8s.io/v1/namespaces/shop/events", want: "create events.k8s.io/events", events: 1},
		"a lease apart":            {method: "PUT", path: "/apis/coordination.k8s.io/v1/namespaces/shop/leases/op", want: "update coordination.k8s.io/leases", leases: 1},
		"a review is a question":   {method: "POST", path: "/apis/authentication.k8s.io/v1/tokenreviews", want: "create authentication.k8s.io/tokenreviews"},
		"discovery is no read":     {method: "GET", path: "/apis/apps/v1", want: "get /apis/apps/v1"},
		"health is no read":        {method: "GET", path: "/readyz", want: "get /readyz"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.NotFoundHandler())
			defer server.Close()
			counter := &counting.Counter{}
			req, err := http.NewRequestWithContext(t.Context(), tc.method, server.URL+tc.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := counter.Wrap(http.DefaultTransport).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got := counter.Snapshot()
			if diff := cmp.Diff(tc.want+": 1", got.String()); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			want := []int{tc.writes, tc.reads, tc.watches, tc.events, tc.leases}
			if diff := cmp.Diff(want, []int{got.Writes(), got.Reads(), got.Watches(), got.Events(), got.Leases()}); diff != "" {
				t.Errorf("writes, reads, watches, events, leases (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSinceLeavesOutWhatWasThereBefore(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	counter := &counting.Counter{}
	counter.KeepLog()
	client := &http.Client{Transport: counter.Wrap(http.DefaultTransport)}
	get := func(path string) {
		t.Helper()
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
	}
	get("/api/v1/namespaces/shop/pods/a")
	before := counter.Snapshot()
	if got := counter.Since(before); len(got) != 0 {
		t.Errorf("nothing was asked since, but got %v", got)
	}
	get("/api/v1/namespaces/shop/pods/b")
	get("/api/v1/namespaces/shop/secrets/c")
	if diff := cmp.Diff("get pods: 1\nget secrets: 1", counter.Since(before).String()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	var names []string
	for _, r := range counter.Log() {
		names = append(names, r.Namespace+"/"+r.Name)
	}
	if diff := cmp.Diff([]string{"shop/a", "shop/b", "shop/c"}, names); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
