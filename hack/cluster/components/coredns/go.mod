module github.com/gin-operator/gin-operator/hack/cluster/components/coredns

go 1.26.0
