package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const otherCluster = "or use a cluster of your own (kind, a cloud's): the demo and the end-to-end tests take it; " +
	"hack/cluster/README.md says more"

func requireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root (it makes namespaces, mounts and cgroups): run it as root, " + otherCluster)
	}
	return nil
}

// checkRequirements says what this machine lacks before anything is started.
func checkRequirements(l layout) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("this needs Linux, not %s: run it in a virtual machine, %s", runtime.GOOS, otherCluster)
	}
	if err := requireRoot(); err != nil {
		return err
	}
	for _, hidden := range hiddenFolders {
		if strings.HasPrefix(l.project+"/", hidden+"/") {
			return fmt.Errorf("the project is in %s, which the cluster replaces by a folder of its own: clone it elsewhere", hidden)
		}
	}
	if filesystems, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(filesystems), "\toverlay\n") {
		return errors.New("this kernel has no overlayfs, which containers are made of: run `modprobe overlay`, " + otherCluster)
	}
	if onOverlay(l.project) {
		return errors.New("the project is on an overlay file system (inside a container?), on which containers can't be made: " +
			"put it on a volume, " + otherCluster)
	}
	return nil
}

func onOverlay(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC
}

// lockCluster keeps two runs of `up` and `down` of one project from getting in each other's way.
func lockCluster(ctx context.Context, l layout) (release func(), err error) {
	return lock(ctx, filepath.Join(l.project, "bin", ".cluster.lock"))
}

// lockBuild keeps two builds from writing to the same folder.
func lockBuild(ctx context.Context, l layout) (release func(), err error) {
	return lock(ctx, filepath.Join(l.project, "bin", ".build.lock"))
}

// lock takes a file lock. The kernel lets go of it with the process, so a crash leaves nothing that would have to be removed.
func lock(ctx context.Context, path string) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), file.Close())
		}
		if !told {
			fmt.Fprintln(os.Stderr, "waiting for another `cluster` command of this project to end")
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
