module github.com/gin-operator/gin-operator/hack/cluster

go 1.26.0

require (
	github.com/google/go-containerregistry v0.22.1 // indirect
	github.com/vishvananda/netlink v1.3.1 // indirect
	github.com/vishvananda/netns v0.0.5 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
