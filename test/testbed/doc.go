// Package testbed gives the demo, the end-to-end tests and, on request, the benchmark a real cluster with the project's images in it, the
// operator installed on request, and load from inside.
//
// The cluster is the checkout's own (see hack/cluster) unless the environment names another one: KUBECONFIG (or E2E_KUBECONFIG) the
// cluster, REGISTRY the place to push images to, such as registry.example.com/team, that the cluster pulls from; REGISTRY_INSECURE=1 if
// it has no TLS. Everything is done with the tools that a user has: kubectl, bin/cluster and the API.
//
// Nothing is built here but variants of the sample application: `make build` makes the rest.
package testbed
