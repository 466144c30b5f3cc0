package controlplane_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/gin-operator/gin-operator/test/controlplane"
)

// TestVictim is the process that the specs kill: it starts a control plane and never stops it.
func TestVictim(t *testing.T) {
	if os.Getenv("CONTROLPLANE_VICTIM") == "" {
		t.Skip("only as a process of its own, started by the specs")
	}
	if _, err := controlplane.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	fmt.Println("started")
	select {}
}
