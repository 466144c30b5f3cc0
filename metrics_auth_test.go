package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gin-operator/gin-operator/test/controlplane"
)

var errAPIServerGone = errors.New("the API server is gone")

// reviews is the connection of a filter to the API server: it counts what is asked, and can be cut.
type reviews struct {
	asked atomic.Int64
	cut   atomic.Bool
	next  http.RoundTripper
}

// RoundTrip passes a question on.
func (r *reviews) RoundTrip(req *http.Request) (*http.Response, error) {
	r.asked.Add(1)
	if r.cut.Load() {
		return nil, errAPIServerGone
	}
	return r.next.RoundTrip(req)
}

// newFilter returns metrics behind the filter, and the filter's connection.
func newFilter(t *testing.T, cfg *rest.Config) (http.Handler, *reviews) {
	t.Helper()
	connection := &reviews{}
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		connection.next = next
		return connection
	})
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	filter, err := withAuth(cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	handler, err := filter(logr.Discard(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	return handler, connection
}

func scrape(handler http.Handler, method, path, authorization string) int {
	req := httptest.NewRequest(method, path, http.NoBody)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, req)
	return answer.Code
}

// serviceAccount makes a service account, lets it read metrics if it may, and returns a token of it.
func serviceAccount(t *testing.T, clients kubernetes.Interface, name string, may bool) string {
	t.Helper()
	ctx := t.Context()
	accounts := clients.CoreV1().ServiceAccounts(metav1.NamespaceDefault)
	if _, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if may {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}}}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceDefault, Name: name}},
		}
		if _, err := clients.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := clients.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	token, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return token.Status.Token
}

func TestMetricsAreForThoseWhoMayReadThem(t *testing.T) {
	cp, err := controlplane.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	clients := kubernetes.NewForConfigOrDie(cp.Config())
	reader, other := serviceAccount(t, clients, "prometheus", true), serviceAccount(t, clients, "nobody", false)
	untilGranted(t, cp.Config(), reader)

	for name, tc := range map[string]struct {
		method, path, authorization string
		want                        int
	}{
		"a service account that may":              {http.MethodGet, "/metrics", "Bearer " + reader, http.StatusOK},
		"a service account that may not":          {http.MethodGet, "/metrics", "Bearer " + other, http.StatusForbidden},
		"one that may, at another path":           {http.MethodGet, "/debug", "Bearer " + reader, http.StatusForbidden},
		"one that may only read, and writes":      {http.MethodPost, "/metrics", "Bearer " + reader, http.StatusForbidden},
		"nobody":                                  {http.MethodGet, "/metrics", "", http.StatusUnauthorized},
		"an empty token":                          {http.MethodGet, "/metrics", "Bearer ", http.StatusUnauthorized},
		"a token that the cluster does not know":  {http.MethodGet, "/metrics", "Bearer made-up", http.StatusUnauthorized},
		"a token with something after it":         {http.MethodGet, "/metrics", "Bearer " + reader + "x", http.StatusUnauthorized},
		"a name and a password":                   {http.MethodGet, "/metrics", "Basic cHJvbWV0aGV1czp4", http.StatusUnauthorized},
		"a token that is not said to be a bearer": {http.MethodGet, "/metrics", reader, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			handler, connection := newFilter(t, cp.Config())
			if got := scrape(handler, tc.method, tc.path, tc.authorization); got != tc.want {
				t.Errorf("the answer is %d, want %d", got, tc.want)
			}
			asked := connection.asked.Load()
			if got := scrape(handler, tc.method, tc.path, tc.authorization); got != tc.want || connection.asked.Load() != asked {
				t.Errorf("the second answer is %d, after %d more questions", got, connection.asked.Load()-asked)
			}
		})
	}

	t.Run("an API server that is gone", func(t *testing.T) {
		handler, connection := newFilter(t, cp.Config())
		connection.cut.Store(true)
		if got := scrape(handler, http.MethodGet, "/metrics", "Bearer "+reader); got != http.StatusInternalServerError {
			t.Errorf("the answer is %d", got)
		}
		connection.cut.Store(false)
		if got := scrape(handler, http.MethodGet, "/metrics", "Bearer "+reader); got != http.StatusOK {
			t.Errorf("once it is back, the answer is %d: a failure was remembered", got)
		}
		connection.cut.Store(true)
		if got := scrape(handler, http.MethodGet, "/metrics", "Bearer "+reader); got != http.StatusOK {
			t.Errorf("what was answered a moment ago counts no longer: %d", got)
		}
		if got := scrape(handler, http.MethodGet, "/metrics", "Bearer "+other); got != http.StatusInternalServerError {
			t.Errorf("the answer for one has become that for another: %d", got)
		}
	})

	t.Run("an operator that may not ask", func(t *testing.T) {
		powerless, err := cp.AddServiceAccount(metav1.NamespaceDefault, "powerless")
		if err != nil {
			t.Fatal(err)
		}
		handler, _ := newFilter(t, powerless)
		if got := scrape(handler, http.MethodGet, "/metrics", "Bearer "+reader); got != http.StatusInternalServerError {
			t.Errorf("the answer is %d", got)
		}
	})
}

// untilGranted waits until the API server's authorizer has seen the roles.
func untilGranted(t *testing.T, cfg *rest.Config, token string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		handler, _ := newFilter(t, cfg) // a new one each time, for a refusal is remembered
		return scrape(handler, http.MethodGet, "/metrics", "Bearer "+token) == http.StatusOK, nil
	})
	if err != nil {
		t.Fatalf("waiting for the roles: %v", err)
	}
}
