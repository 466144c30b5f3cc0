package testbed

import (
	"context"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// OperatorNamespace is where config/default installs the operator.
	OperatorNamespace = "gin-operator-system"
	// OperatorName is the name of its Deployment.
	OperatorName = "gin-operator"
	// AdapterName is the name of all that the metrics adapter consists of.
	AdapterName = "gin-operator-metrics-adapter"
	// AdapterImage is its image in config/.
	AdapterImage = pinned + "metrics-adapter:v0.1.0"
	// DefaultInstall is the kustomization for a whole cluster.
	DefaultInstall = "config/default"

	rolloutTimeout = "--timeout=120s"
)

// Install applies a kustomization, given as a folder of the checkout or an absolute path, and waits until the operator that it brings
// to the namespace runs. It may be there already.
func (c *Cluster) Install(ctx context.Context, kustomization, namespace string) error {
	image, err := c.ManagerImage()
	if err != nil {
		return err
	}
	changed, err := c.AddImage(ctx, image, c.bin("manager"))
	if err != nil {
		return err
	}
	before := c.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: OperatorName}, &appsv1.Deployment{})
	if err := c.applyKustomization(ctx, kustomization); err != nil {
		return err
	}
	if changed && before == nil {
		// The name of the image is the same, so the Deployment sees no difference.
		if _, err := c.Kubectl(ctx, "rollout", "restart", "-n", namespace, "deployment/"+OperatorName); err != nil {
			return err
		}
	}
	_, err = c.Kubectl(ctx, "rollout", "status", "-n", namespace, "deployment/"+OperatorName, rolloutTimeout)
	return err
}

// InstallAdapter applies a kustomization that brings the metrics adapter to the operator's namespace, and waits until it is ready.
func (c *Cluster) InstallAdapter(ctx context.Context, kustomization string) error {
	if _, err := c.AddImage(ctx, AdapterImage, c.bin("metrics-adapter")); err != nil {
		return err
	}
	if err := c.applyKustomization(ctx, kustomization); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, "rollout", "status", "-n", OperatorNamespace, "deployment/"+AdapterName, rolloutTimeout)
	return err
}

func (c *Cluster) applyKustomization(ctx context.Context, kustomization string) error {
	if c.Own {
		_, err := c.Kubectl(ctx, "apply", "-k", kustomization)
		return err
	}
	rendered, err := c.Kubectl(ctx, "kustomize", kustomization)
	if err != nil {
		return err
	}
	return c.Apply(ctx, rendered)
}

// Apply applies a manifest with kubectl, with the image references that this cluster has.
func (c *Cluster) Apply(ctx context.Context, manifest string, arguments ...string) error {
	_, err := c.KubectlInput(ctx, c.Rewrite(manifest), append([]string{"apply", "-f", "-"}, arguments...)...)
	return err
}

// CreateNamespace creates a namespace that enforces Pod Security `restricted`.
func (c *Cluster) CreateNamespace(ctx context.Context, name string, labels map[string]string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce":         "restricted",
		"pod-security.kubernetes.io/enforce-version": "latest",
	}}}
	maps.Copy(namespace.Labels, labels)
	if err := c.Client.Create(ctx, namespace); err != nil {
		return fmt.Errorf("creating the namespace %s: %w", name, err)
	}
	return nil
}

// DeleteNamespace deletes a namespace that is needed no more, without the time that its pods would like for their end, and waits until
// it is gone. There may be none.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := client.IgnoreNotFound(c.Client.Delete(ctx, namespace)); err != nil {
		return fmt.Errorf("deleting the namespace %s: %w", name, err)
	}
	if _, err := c.Kubectl(ctx, "delete", "pods", "--all", "-n", name, "--grace-period=1", "--wait=false"); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, "wait", "--for=delete", "namespace/"+name, rolloutTimeout)
	return err
}
