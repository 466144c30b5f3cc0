package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The cluster has a mount namespace of its own. What the kubelet and containerd mount (the pods' file systems, volumes,
// network namespaces) is seen in there only, and the kernel takes all of it away with the namespace's last process: nothing
// can be left behind, whatever is killed when. It also lets every cluster have /run/containerd, /var/lib/kubelet and so on
// to itself, which are written into some of the programs, and keeps socket paths short however deep the project's folder is.

// hiddenFolders are the machine's folders that the cluster replaces by its own.
var hiddenFolders = []string{"/run", "/var/lib", "/var/log"}

// keptSysctls are the machine-wide kernel settings that the kubelet insists on, with the values it wants. It gets to see
// files that have these values already, so that it leaves the machine's own alone.
var keptSysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// setUpMounts prepares the mount namespace that this process was started in.
func setUpMounts(l layout) error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	for from, to := range map[string]string{l.in("lib"): "/var/lib", l.in("log"): "/var/log"} {
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", to, err)
		}
	}
	if err := shieldSysctls(); err != nil {
		return err
	}
	for _, dir := range []string{"/run/containerd", "/run/cni", "/run/netns", "/run/lock"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// Shared within the namespace, so that mounts with propagation work between the kubelet and the pods. Go has cut the
	// ties to the machine's mounts before this program began.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("making mounts shared: %w", err)
	}
	return nil
}

func shieldSysctls() error {
	for name, value := range keptSysctls {
		target := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(target); err != nil {
			continue
		}
		copied := filepath.Join("/run/sysctl", name)
		if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(copied, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(copied, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("covering %s: %w", target, err)
		}
	}
	return nil
}
