package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// workDir is the folder with all that the servers of a control plane write, and the guard that ends them.
type workDir struct {
	path  string
	logs  string
	guard *exec.Cmd
	// alive is the end of a pipe that the guard reads from: it closes when this process ends, whatever ends it.
	alive io.Closer
}

// The guard is a process of its own because a panic, os.Exit, a test's time limit and a kill run no deferred function here. It
// ignores the signals that a terminal sends to everything in the foreground: by then it is needed.
const guardScript = `trap '' INT TERM HUP QUIT
cat > /dev/null
for pid in "$1"/pids/*; do
	[ -e "$pid" ] && kill -KILL "$(cat "$pid")" 2> /dev/null
done
rm -rf "$1"
`

// Each server runs by way of a script of its name, which leaves the number of the process for the guard before it becomes the server.
const wrapperScript = `#!/bin/sh
echo $$ > '%s'
exec '%s' "$@"
`

func newWorkDir(logs string) (*workDir, error) {
	path, err := os.MkdirTemp("", "gin-operator-controlplane-")
	if err != nil {
		return nil, fmt.Errorf("making the control plane's folder: %w", err)
	}
	w := &workDir{path: path, logs: logs}
	if w.logs == "" {
		w.logs = filepath.Join(path, "logs")
	}
	for _, folder := range []string{w.logs, filepath.Join(path, "pids"), filepath.Join(path, "bin")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("making the control plane's folder: %w", err), os.RemoveAll(path))
		}
	}
	if err := w.startGuard(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return w, nil
}

func (w *workDir) startGuard() error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the control plane's guard: %w", err)
	}
	defer closeQuietly(read)
	w.guard = exec.Command("/bin/sh", "-c", guardScript, "control-plane-guard", w.path)
	w.guard.Stdin = read
	w.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := w.guard.Start(); err != nil {
		closeQuietly(write)
		return fmt.Errorf("starting the control plane's guard: %w", err)
	}
	w.alive = write
	return nil
}

// wrap returns the path of a script that becomes the server called name.
func (w *workDir) wrap(assets, name string) (string, error) {
	path := filepath.Join(w.path, "bin", name)
	script := fmt.Sprintf(wrapperScript, filepath.Join(w.path, "pids", name), filepath.Join(assets, name))
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", fmt.Errorf("writing the script that starts %s: %w", name, err)
	}
	return path, nil
}

// make makes a folder for a server's data.
func (w *workDir) make(name string) (string, error) {
	path := filepath.Join(w.path, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", fmt.Errorf("making the folder of %s: %w", name, err)
	}
	return path, nil
}

// prepare returns what a server is started by, and the folder for its data.
func (w *workDir) prepare(assets, name string) (path, data string, err error) {
	if path, err = w.wrap(assets, name); err != nil {
		return "", "", err
	}
	data, err = w.make(name)
	return path, data, err
}

// log opens the log of a server.
func (w *workDir) log(name string) (*os.File, error) {
	f, err := os.Create(filepath.Join(w.logs, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	return f, nil
}

// tail returns the end of a server's log, with a heading.
func (w *workDir) tail(name string) string {
	const limit = 4096
	content, err := os.ReadFile(filepath.Join(w.logs, name+".log"))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		return fmt.Sprintf("the log of %s can't be read: %v\n", name, err)
	}
	if len(content) > limit {
		content = content[len(content)-limit:]
	}
	return fmt.Sprintf("the end of the log of %s:\n%s\n", name, bytes.TrimSpace(content))
}

// remove removes the folder, after all servers have stopped.
func (w *workDir) remove() error {
	if w.alive == nil {
		return nil
	}
	// The servers are gone, and their numbers may belong to others by now: leave the guard nothing to kill.
	err := os.RemoveAll(filepath.Join(w.path, "pids"))
	closeQuietly(w.alive)
	w.alive = nil
	if waitErr := w.guard.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("waiting for the control plane's guard: %w", waitErr))
	}
	return errors.Join(err, os.RemoveAll(w.path))
}

// closeQuietly closes what was only read, or has nothing left to write.
func closeQuietly(c io.Closer) { _ = c.Close() }
