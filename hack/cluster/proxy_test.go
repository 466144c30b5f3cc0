package main

import (
	"os"
	"testing"
)

func TestLegacyName(t *testing.T) {
	for command, want := range map[string]string{
		"iptables":          "iptables-legacy",
		"iptables-restore":  "iptables-legacy-restore",
		"ip6tables":         "ip6tables-legacy",
		"ip6tables-restore": "ip6tables-legacy-restore",
	} {
		if got := legacyName(command); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
}

func TestLinkIptables(t *testing.T) {
	folder := t.TempDir()
	for _, command := range iptablesCommands {
		if err := os.WriteFile(folder+"/"+legacyName(command), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", folder)
	l := newLayout(t.TempDir())
	for range 2 { // the second time, all is there
		if err := linkIptables(l); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range iptablesCommands {
		if target, err := os.Readlink(l.commands(command)); err != nil || target != folder+"/"+legacyName(command) {
			t.Errorf("%s leads to %q, %v", command, target, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if err := linkIptables(l); err == nil {
		t.Error("commands that are missing are no error")
	}
}
