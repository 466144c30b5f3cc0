// Command performance measures the operator against a real control plane whose pods are simulated: `make bench`.
//
// It starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK on loopback, and the operator as a process of its own
// with the rights of config/rbac. Then it creates GinServices, upgrades them, lets them rest and restarts the operator. In the same run a
// plain client-go loop creates and upgrades the same objects without any operator: the floor, for no operator can be faster.
//
// Times are those at which a watch in this process delivers an event, requests are counted in the API server's audit log, CPU and memory
// come from /proc. The last line of the output is `bench: ` and a JSON object.
package main
