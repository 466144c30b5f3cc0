package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The kubelet makes the pods' cgroups below one that is this cluster's own (its cgroupRoot), in every hierarchy: one with
// cgroup v2, one for each controller with v1, and both kinds on a hybrid machine.

const cgroupMount = "/sys/fs/cgroup"

// unifiedCgroups tells whether the machine has cgroup v2 only, as current distributions do.
func unifiedCgroups() bool {
	var fs unix.Statfs_t
	return unix.Statfs(cgroupMount, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// cgroupHierarchies returns the mount points of all cgroup hierarchies.
func cgroupHierarchies() ([]string, error) {
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	defer mounts.Close()
	var points []string
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 2 && (fields[2] == "cgroup" || fields[2] == "cgroup2") && strings.HasPrefix(fields[1], cgroupMount) {
			points = append(points, fields[1])
		}
	}
	return points, lines.Err()
}

// makeCgroups makes the cluster's cgroup in every hierarchy.
func makeCgroups(l layout) error {
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return fmt.Errorf("finding the cgroup mounts: %w", err)
	}
	if len(hierarchies) == 0 {
		return errors.New("no cgroup hierarchy is mounted below " + cgroupMount + ": pods need one; " +
			"in a container, run it privileged with the host's cgroup namespace, or use a cluster of your own")
	}
	for _, hierarchy := range hierarchies {
		dir := filepath.Join(hierarchy, l.id)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making a cgroup: %w", err)
		}
		if err := inheritCPUSet(hierarchy, dir); err != nil {
			return err
		}
	}
	if unifiedCgroups() {
		return delegateControllers(cgroupMount)
	}
	return nil
}

// inheritCPUSet fills the two files that a new v1 cpuset has empty, without which no process can enter it.
func inheritCPUSet(parent, child string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if unifiedCgroups() {
			return nil
		}
		if err := os.WriteFile(filepath.Join(child, file), value, 0o644); err != nil {
			return fmt.Errorf("setting %s: %w", file, err)
		}
	}
	return nil
}

// delegateControllers makes a v2 hierarchy's controllers available to the children of its root.
func delegateControllers(root string) error {
	available, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for controller := range strings.FieldsSeq(string(available)) {
		// A controller that can't be delegated (cpu with realtime processes) is not worth failing for: the kubelet says
		// which ones it needs.
		_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
	return nil
}

// cgroupProcesses returns the processes in the cluster's cgroups: those of its pods.
func cgroupProcesses(l layout) []process {
	hierarchies, _ := cgroupHierarchies()
	var found []process
	seen := map[int]bool{}
	for _, hierarchy := range hierarchies {
		_ = filepath.WalkDir(filepath.Join(hierarchy, l.id), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return fs.SkipDir // The cgroup has just gone, and its processes with it.
			}
			if entry.Name() != "cgroup.procs" {
				return nil
			}
			content, _ := os.ReadFile(path)
			for field := range strings.FieldsSeq(string(content)) {
				pid, err := strconv.Atoi(field)
				if err != nil || seen[pid] {
					continue
				}
				seen[pid] = true
				if p, err := identify(pid); err == nil && p.alive() {
					found = append(found, p)
				}
			}
			return nil
		})
	}
	return found
}

// removeCgroups removes the cluster's cgroups from every hierarchy, the innermost first. The kernel lets go of a cgroup a
// moment after its last process has ended.
func removeCgroups(l layout) error {
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	var failed error
	for _, hierarchy := range hierarchies {
		if err := removeCgroupTree(filepath.Join(hierarchy, l.id)); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func removeCgroupTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroupTree(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("removing cgroup %s: %w", dir, err)
		}
	}
}
