package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gin-operator/gin-operator/test/testbed"
)

const (
	// tokenSeconds is longer than any run. A token ends with its account, which is removed with everything else.
	tokenSeconds = 12 * 60 * 60
	// removalTimeout is how long it may take at the end to remove what was made.
	removalTimeout = 5 * time.Minute
)

// clusterSite is a cluster that was there before, as the demo and the end-to-end tests take one. Pods are real, the operator's requests
// are recorded by a proxy, and what the benchmark makes has a label by which it is found again.
type clusterSite struct {
	*plane

	cluster   *testbed.Cluster
	proxy     *proxy
	run       string // the label's value
	installed bool   // whether anything may have been made
}

// openClusterSite opens the cluster that the environment names, refuses it if anybody's operator could meet the benchmark's, and installs
// everything but the operator.
func openClusterSite(ctx context.Context, dir string, failed func(error)) (*clusterSite, error) {
	s := &clusterSite{plane: &plane{dir: dir, failed: failed, realPods: true}, run: runName(time.Now(), os.Getpid())}
	var err error
	if s.cluster, err = testbed.Open(ctx, os.Stdout); err != nil {
		return s, err
	}
	s.admin, s.scheme = s.cluster.Clientset, s.cluster.Client.Scheme()
	s.labels, s.admitUser = s.namespaceLabels(), s.bindUser
	objects, err := s.installation(ctx)
	if err != nil {
		return s, err
	}
	if err := s.refuse(ctx, objects); err != nil {
		return s, err
	}
	s.say("images")
	if s.workload, err = s.addImages(ctx); err != nil {
		return s, err
	}
	s.say("config/crd and config/rbac")
	if err := s.install(ctx, objects); err != nil {
		return s, err
	}
	config, err := s.configOf(ctx, userAccount)
	if err != nil {
		return s, err
	}
	if err := s.connectUser(config); err != nil {
		return s, err
	}
	s.tracker, err = watch(ctx, s.cluster.Config, s.scheme)
	return s, err
}

// runName tells the objects of one run from those of another.
func runName(now time.Time, pid int) string {
	return fmt.Sprintf("%s-%d", now.UTC().Format("20060102-150405"), pid)
}

// addImages brings the two versions of the sample application, which ask for so little that many fit on a small node.
func (s *clusterSite) addImages(ctx context.Context) (workload, error) {
	const before, after = "v1", "v2"
	for _, version := range []string{before, after} {
		if err := s.cluster.AddSample(ctx, version); err != nil {
			return workload{}, err
		}
	}
	return workload{
		before:   s.cluster.Rewrite(testbed.SampleImage(before)),
		after:    s.cluster.Rewrite(testbed.SampleImage(after)),
		requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
	}, nil
}

// installOperator starts the proxy, for the operator's rights have been there since the site was opened.
func (s *clusterSite) installOperator(ctx context.Context) (string, error) {
	config, err := s.configOf(ctx, operatorAccount)
	if err != nil {
		return "", err
	}
	if s.proxy, err = startProxy(ctx, config, s.failed); err != nil {
		return "", err
	}
	s.source = s.proxy
	return s.writeKubeconfig(s.proxy.config)
}

// configOf returns the configuration of a client that has the rights of a ServiceAccount.
func (s *clusterSite) configOf(ctx context.Context, account string) (*rest.Config, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](tokenSeconds)}}
	answer, err := s.admin.CoreV1().ServiceAccounts(operatorNamespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking for a token of ServiceAccount %s: %w", account, err)
	}
	config := rest.AnonymousClientConfig(s.cluster.Config)
	config.BearerToken, config.QPS = answer.Status.Token, -1
	return config, nil
}

// bindUser gives the user all rights in a namespace, and waits until they are known. They end with the namespace.
func (s *clusterSite) bindUser(ctx context.Context, namespace string) error {
	_, err := s.admin.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: userAccount},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: operatorNamespace, Name: userAccount}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("giving the benchmark its rights in namespace %s: %w", namespace, err)
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "*", Group: "*", Resource: "*"},
	}}
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("it had %s", waitTimeout))
	defer cancel()
	err = poll(ctx, func() (bool, error) {
		answer, err := s.plain.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the benchmark's rights in namespace %s: %w", namespace, err)
	}
	return nil
}

// stop removes what was made, however the run ended, and takes the cluster down if it was started for it.
func (s *clusterSite) stop() error {
	if s.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), removalTimeout, fmt.Errorf("it had %s", removalTimeout))
	defer cancel()
	var errs []error
	if s.proxy != nil {
		errs = append(errs, s.proxy.stop())
	}
	if s.cluster.Started {
		return errors.Join(append(errs, s.cluster.Close(ctx))...)
	}
	if s.installed {
		s.say("removing what the benchmark made")
		if err := s.remove(ctx); err != nil {
			errs = append(errs, fmt.Errorf("removing what the benchmark made: %w: `%s` does it by hand", err, removeByHand))
		}
	}
	return errors.Join(errs...)
}
