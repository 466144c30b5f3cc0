module github.com/gin-operator/gin-operator/hack/cluster/components/pause

go 1.26.0
