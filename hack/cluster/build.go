package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const heartbeat = 15 * time.Second

// selectComponents returns the components of the given groups in build order.
func selectComponents(groups []string) ([]component, error) {
	known := []string{groupControlPlane, groupNode, groupKWOK, groupGateway}
	for _, group := range groups {
		if !slices.Contains(known, group) {
			return nil, fmt.Errorf("unknown group %q: build takes %s", group, strings.Join(known, ", "))
		}
	}
	var selected []component
	for _, c := range allComponents() {
		if slices.Contains(groups, c.group) {
			selected = append(selected, c)
		}
	}
	return selected, nil
}

// build brings bin/k8s up to date with the components' inputs. It builds one component after the other: each build keeps
// all cores busy by itself, and two at once would only fight for memory.
func build(ctx context.Context, l layout, groups []string, out io.Writer) error {
	selected, err := selectComponents(groups)
	if err != nil {
		return err
	}
	stale, err := staleComponents(l, selected)
	if err != nil {
		return err
	}
	if len(stale) == 0 {
		fmt.Fprintf(out, "bin/k8s is up to date (%s)\n", strings.Join(groups, ", "))
		return nil
	}
	release, err := lockBuild(ctx, l)
	if err != nil {
		return err
	}
	defer release()
	// Another build may have been here while this one waited.
	if stale, err = staleComponents(l, selected); err != nil {
		return err
	}
	if err := installBuildPackages(ctx, stale, out); err != nil {
		return err
	}
	for i, s := range stale {
		fmt.Fprintf(out, "[%d/%d] %s (from a cold cache %s on 2 cores)\n", i+1, len(stale), s.name, s.cold)
		start := time.Now()
		if err := s.build(ctx, l, out); err != nil {
			return fmt.Errorf("building %s: %w", s.name, err)
		}
		fmt.Fprintf(out, "[%d/%d] %s: done in %s\n", i+1, len(stale), s.name, time.Since(start).Round(time.Second))
	}
	return nil
}

// staleComponent is a component whose outputs are missing or were made from other inputs.
type staleComponent struct {
	component
	stamp string
}

func staleComponents(l layout, selected []component) ([]staleComponent, error) {
	var stale []staleComponent
	for _, c := range selected {
		stamp, err := c.inputStamp(l)
		if err != nil {
			return nil, err
		}
		if !c.upToDate(l, stamp) {
			stale = append(stale, staleComponent{component: c, stamp: stamp})
		}
	}
	return stale, nil
}

// inputStamp hashes all that decides what comes out: the module's files, the flags and the Go release.
func (c component) inputStamp(l layout) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s/%s\n%q\n%q\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, c.arguments("out"), c.links)
	root := filepath.Join(l.componentsDir(), c.module)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %x\n", relative, sha256.Sum256(content))
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("reading the inputs of %s: %w", c.name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (c component) stampFile(l layout) string {
	return l.binary(filepath.Join(".stamps", c.outputs[0]))
}

func (c component) upToDate(l layout, stamp string) bool {
	recorded, err := os.ReadFile(c.stampFile(l))
	if err != nil || string(recorded) != stamp {
		return false
	}
	names := slices.Clone(c.outputs)
	for link := range c.links {
		names = append(names, link)
	}
	for _, name := range names {
		if _, err := os.Stat(l.binary(filepath.Join(c.dir, name))); err != nil {
			return false
		}
	}
	return true
}

// arguments are those of the go command. They must stay the same from run to run: Go's build cache is keyed by them.
func (c component) arguments(out string) []string {
	arguments := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", c.ldflags, "-o", out}
	if c.tags != "" {
		arguments = append(arguments, "-tags", c.tags)
	}
	return append(arguments, c.packages...)
}

// build compiles into a folder beside the final one and renames, so that an interrupted build leaves no half-written binary
// and a running cluster keeps the file that it was started from.
func (s staleComponent) build(ctx context.Context, l layout, out io.Writer) error {
	temporary := l.binary(filepath.Join(".building", s.outputs[0]))
	target := l.binary(s.dir)
	for _, dir := range []string{temporary, target, l.binary(".stamps")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	defer os.RemoveAll(l.binary(".building"))
	// A stamp of the previous build must not vouch for outputs that are being replaced.
	if err := os.Remove(s.stampFile(l)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.compile(ctx, l, temporary+string(filepath.Separator), out); err != nil {
		return err
	}
	if len(s.packages) == 1 {
		if err := renameOnly(temporary, s.outputs[0]); err != nil {
			return err
		}
	}
	for _, name := range s.outputs {
		if err := os.Rename(filepath.Join(temporary, name), filepath.Join(target, name)); err != nil {
			return err
		}
	}
	for link, to := range s.links {
		if err := replaceLink(to, filepath.Join(target, link)); err != nil {
			return err
		}
	}
	return os.WriteFile(s.stampFile(l), []byte(s.stamp), 0o644)
}

// renameOnly gives the single file in dir its name: a module's root package is named by Go after the module.
func renameOnly(dir, name string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) != 1 {
		return fmt.Errorf("the build left %d files where one was expected", len(entries))
	}
	return os.Rename(filepath.Join(dir, entries[0].Name()), filepath.Join(dir, name))
}

func replaceLink(to, link string) error {
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(to, link)
}

// compile runs the go command and tells every heartbeat how many packages it has compiled.
func (s staleComponent) compile(ctx context.Context, l layout, to string, out io.Writer) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return errors.New("the go command is not in PATH: install Go (the project's go.mod says which) and try again")
	}
	command := exec.CommandContext(ctx, goTool, s.arguments(to)...)
	command.Dir = filepath.Join(l.componentsDir(), s.module)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	if s.cgo {
		command.Env = append(command.Env, "CGO_ENABLED=1")
	}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	stderr, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	var compiled atomic.Int64
	done := make(chan struct{})
	go reportProgress(out, &compiled, done)
	messages := collectMessages(stderr, &compiled)
	err = command.Wait()
	close(done)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, messages)
	}
	return nil
}

func reportProgress(out io.Writer, compiled *atomic.Int64, done <-chan struct{}) {
	start := time.Now()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			fmt.Fprintf(out, "      %s: %d packages compiled\n", time.Since(start).Round(time.Second), compiled.Load())
		}
	}
}

// collectMessages counts the packages that `go build -v` names and returns the last of the other lines, which say what
// went wrong.
func collectMessages(stderr io.Reader, compiled *atomic.Int64) string {
	const keep = 40
	var messages []string
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if !strings.ContainsAny(line, " \t:") {
			compiled.Add(1)
			continue
		}
		messages = append(messages, line)
		if len(messages) > keep {
			messages = messages[1:]
		}
	}
	return strings.Join(messages, "\n")
}
