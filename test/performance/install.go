package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gin-operator/gin-operator/api/v1alpha1"
)

const (
	// labelRun is on everything that the benchmark makes in a cluster that was there before, but for what is in its namespaces.
	labelRun = "apps.gin-operator.dev/benchmark"

	removeByHand = "kubectl delete namespaces,clusterroles,clusterrolebindings,customresourcedefinitions -l " + labelRun
	// elsewhere is the way out that there always is.
	elsewhere = "or name another cluster in KUBECONFIG"
)

// installation returns what is made for the whole run: the operator's namespace with the two accounts, config/crd and config/rbac.
func (s *clusterSite) installation(ctx context.Context) ([]client.Object, error) {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace, Labels: s.labels}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: operatorAccount}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: userAccount}},
	}
	for _, kustomization := range []string{"config/crd", "config/rbac"} {
		text, err := s.cluster.Kubectl(ctx, "kustomize", kustomization)
		if err != nil {
			return nil, err
		}
		read, err := readObjects(text)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", kustomization, err)
		}
		objects = append(objects, read...)
	}
	for _, object := range objects {
		all := object.GetLabels()
		if all == nil {
			all = map[string]string{}
		}
		all[labelRun] = s.run
		object.SetLabels(all)
	}
	return objects, nil
}

// namespaceLabels are those of a namespace of the run. It enforces Pod Security `restricted`, as a careful cluster would.
func (s *clusterSite) namespaceLabels() map[string]string {
	return map[string]string{
		labelRun:                             s.run,
		"pod-security.kubernetes.io/enforce": "restricted",
		"pod-security.kubernetes.io/enforce-version": "latest",
	}
}

// readObjects reads the objects of a manifest.
func readObjects(manifest string) ([]client.Object, error) {
	var objects []client.Object
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// refuse returns an error where the benchmark would meet another operator, or would have to touch what somebody else made.
func (s *clusterSite) refuse(ctx context.Context, objects []client.Object) error {
	var services v1alpha1.GinServiceList
	if err := s.cluster.Client.List(ctx, &services); err != nil && !apimeta.IsNoMatchError(err) {
		return fmt.Errorf("looking for GinServices: %w", err)
	}
	if n := len(services.Items); n > 0 {
		return fmt.Errorf("the cluster has %d GinServices, %s among them, and the benchmark removes their CustomResourceDefinition at its end: "+
			"delete them first, %s", n, client.ObjectKeyFromObject(&services.Items[0]), elsewhere)
	}
	var operators appsv1.DeploymentList
	ours := client.MatchingLabels{"app.kubernetes.io/name": "gin-operator", "app.kubernetes.io/component": "manager"}
	if err := s.cluster.Client.List(ctx, &operators, ours); err != nil {
		return fmt.Errorf("looking for an operator: %w", err)
	}
	if len(operators.Items) > 0 {
		return fmt.Errorf("the cluster has an operator, Deployment %s, and two would work against each other: remove it, with `make undeploy` if "+
			"`make deploy` or the demo installed it, %s", client.ObjectKeyFromObject(&operators.Items[0]), elsewhere)
	}
	for _, name := range []string{namespaceFloor, namespacePacedFloor, namespaceServices, namespacePacedService} {
		objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	for _, object := range objects {
		if err := s.refuseExisting(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// refuseExisting returns an error where there is an object already. It is not changed, so that it need not be changed back.
func (s *clusterSite) refuseExisting(ctx context.Context, object client.Object) error {
	kind, err := s.cluster.Client.GroupVersionKindFor(object)
	if err != nil {
		return fmt.Errorf("telling the kind of %s: %w", object.GetName(), err)
	}
	there := &metav1.PartialObjectMetadata{}
	there.SetGroupVersionKind(kind)
	err = s.cluster.Client.Get(ctx, client.ObjectKeyFromObject(object), there)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("looking for %s %s: %w", kind.Kind, object.GetName(), err)
	case there.Labels[labelRun] != "":
		return fmt.Errorf("%s %s is there, from a benchmark that still runs or was killed: if none runs, `%s` removes what it left, %s",
			kind.Kind, object.GetName(), removeByHand, elsewhere)
	}
	return fmt.Errorf("%s %s is there, and the benchmark would have to change it and remove it at its end: remove it, with `make undeploy` if it is of an "+
		"operator that you need no more, %s", kind.Kind, object.GetName(), elsewhere)
}

// install creates the objects and waits until there can be GinServices. It never changes what is there.
func (s *clusterSite) install(ctx context.Context, objects []client.Object) error {
	s.installed = true
	for _, object := range objects {
		if err := s.cluster.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("creating what the benchmark needs: %w", err) // the API server's answer names the object
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, fmt.Errorf("it had %s", waitTimeout))
	defer cancel()
	err := poll(ctx, func() (bool, error) {
		err := s.cluster.Client.List(ctx, &v1alpha1.GinServiceList{})
		if apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the CustomResourceDefinition: %w", err)
	}
	return nil
}

// removable are the kinds that are made outside of namespaces. The first are the namespaces, with everything in them, because one can't
// end while the API server doesn't know whether it has GinServices.
var removable = []schema.GroupVersionKind{
	corev1.SchemeGroupVersion.WithKind("Namespace"),
	{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
	rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
	rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
}

// remove deletes what has the label of this run, in the order of removable, and waits until it is gone. What fails keeps nothing else from
// being removed.
func (s *clusterSite) remove(ctx context.Context) error {
	var errs []error
	for _, kind := range removable {
		if err := s.removeKind(ctx, kind); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", kind.Kind, err))
		}
	}
	return errors.Join(errs...)
}

func (s *clusterSite) removeKind(ctx context.Context, kind schema.GroupVersionKind) error {
	// Whole objects, because a client that sees only their metadata can't read the answer to a deletion.
	list := func() ([]unstructured.Unstructured, error) {
		found := &unstructured.UnstructuredList{}
		found.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := s.cluster.Client.List(ctx, found, client.MatchingLabels{labelRun: s.run})
		return found.Items, err
	}
	found, err := list()
	if err != nil {
		return err
	}
	for i := range found {
		if err := client.IgnoreNotFound(s.cluster.Client.Delete(ctx, &found[i])); err != nil {
			return err
		}
		if kind.Kind != "Namespace" {
			continue
		}
		if err := s.hurryPods(ctx, found[i].GetName()); err != nil {
			return err
		}
	}
	return poll(ctx, func() (bool, error) {
		found, err := list()
		return len(found) == 0, err
	})
}
