// Package kubelet plays the node of a control plane that has none: it binds pods, reports their status and lets deleted pods go, so
// that the real controllers see pods become ready, EndpointSlices fill and Deployments complete. No container runs.
//
// A pod becomes ready at once, unless a test says otherwise with Kubelet.Set: never, later, or one of the ways in which a container
// fails to start, with the status that a real kubelet reports for it.
package kubelet
