// Package e2e takes real clusters through their lives: started, used, damaged, repaired, killed and removed. It needs root
// and the built components, so it has a build tag of its own:
//
//	go test -tags e2e ./e2e
package e2e
