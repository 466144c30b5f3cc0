// Command adapter measures the metrics adapter, which runs as a process of its own with the settings of its Deployment: `make bench-adapter`.
//
// It starts etcd and kube-apiserver on loopback, and makes GinServices that scale on what their pods expose, with up to a hundred pods each. The pods
// are in a process of their own, each with an address of its own on loopback. They serve what a service on ginkit exposes that gets a hundred requests a
// second, and the time. Then it asks the adapter what the autoscaler does, with the autoscaler's rights: its answers can be checked against what was
// sent, and how old they are is told by the time in them. CPU and memory are those of the adapter's process, from /proc.
//
// The binary differs from the one that is shipped in one link flag, which lets pods be on loopback. The last line of the output is `bench-adapter: `
// and a JSON object.
package main
