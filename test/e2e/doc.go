// Package e2e tests the operator on a real node: real pods, a real autoscaler, real traffic. `make test-e2e` runs it.
//
// The cluster is the checkout's own, which is taken down at the end unless it was up before, or the one that the environment names: see
// package testbed. It must have no GinServices but those of the demo, which are removed, because uninstalling the operator is a part of
// the test.
//
// When a spec fails, the state of the cluster goes to a folder below dist/e2e that its report names.
package e2e
