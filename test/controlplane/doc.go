// Package controlplane starts a real Kubernetes control plane without nodes, for integration tests and benchmarks: etcd and
// kube-apiserver by way of envtest, with the project's CustomResourceDefinitions installed, and where a test needs them the real
// kube-controller-manager and kube-scheduler.
//
// The binaries come from KUBEBUILDER_ASSETS, or else from bin/k8s of the module that the working directory is in. All ports are
// on loopback, all data is in one temporary folder, and both are gone when the process is, however it ends.
package controlplane
