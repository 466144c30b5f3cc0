package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// markerVariable is in the environment of every process that `up` starts, with the cluster's id as its value, and is
// inherited by what these start (containerd's shims). It finds the processes that a crashed run did not get to record.
const markerVariable = "GIN_CLUSTER_ID"

// process names a process for good: the kernel uses pids again, but not with the same start time in the same boot.
type process struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"`
	BootID    string `json:"bootID"`
}

// identify returns the identity of a running process.
func identify(pid int) (process, error) {
	stat, err := readStat(pid)
	if err != nil {
		return process{}, err
	}
	boot, err := bootID()
	if err != nil {
		return process{}, err
	}
	return process{PID: pid, StartTime: stat.startTime, BootID: boot}, nil
}

// alive tells whether this very process still runs. A zombie does not: it only waits for its parent to notice.
func (p process) alive() bool {
	boot, err := bootID()
	if err != nil || boot != p.BootID {
		return false
	}
	stat, err := readStat(p.PID)
	return err == nil && stat.startTime == p.StartTime && !stat.dead()
}

// signal sends a signal to this very process and to no other. The pid cannot change hands between the check and the signal,
// because a pidfd holds on to the process that it was opened for.
func (p process) signal(signal unix.Signal) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	if !p.alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signalling process %d: %w", p.PID, err)
	}
	return nil
}

func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}

// stat is what the cluster needs of /proc/<pid>/stat.
type stat struct {
	state     byte
	startTime uint64
}

func (s stat) dead() bool { return s.state == 'Z' || s.state == 'X' }

func readStat(pid int) (stat, error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(content))
}

// parseStat reads the line from its last closing parenthesis on: the command's name before it may hold anything, spaces and
// parentheses too.
func parseStat(line string) (stat, error) {
	const stateField, startTimeField = 0, 19
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("no process stat: %q", line)
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) <= startTimeField {
		return stat{}, fmt.Errorf("short process stat: %q", line)
	}
	startTime, err := strconv.ParseUint(fields[startTimeField], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("process stat: %w", err)
	}
	return stat{state: fields[stateField][0], startTime: startTime}, nil
}

// record remembers the process of a part of the cluster.
func (l layout) record(part string, p process) error {
	content, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.pids(), part+".json"), content, 0o600)
}

// recorded returns the process of a part; false if none was recorded or it no longer runs.
func (l layout) recorded(part string) (process, bool) {
	content, err := os.ReadFile(filepath.Join(l.pids(), part+".json"))
	if err != nil {
		return process{}, false
	}
	var p process
	if json.Unmarshal(content, &p) != nil {
		return process{}, false
	}
	return p, p.alive()
}

// allRecorded returns every recorded process that still runs.
func (l layout) allRecorded() []process {
	files, _ := filepath.Glob(filepath.Join(l.pids(), "*.json"))
	var alive []process
	for _, file := range files {
		if p, ok := l.recorded(strings.TrimSuffix(filepath.Base(file), ".json")); ok {
			alive = append(alive, p)
		}
	}
	return alive
}

// marked returns the running processes that carry this cluster's marker.
func (l layout) marked() []process {
	marker := markerVariable + "=" + l.id
	var found []process
	for _, pid := range allPIDs() {
		if pid == os.Getpid() || !hasVariable(pid, marker) {
			continue
		}
		if p, err := identify(pid); err == nil && p.alive() {
			found = append(found, p)
		}
	}
	return found
}

func hasVariable(pid int, variable string) bool {
	environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	for entry := range strings.SplitSeq(string(environment), "\x00") {
		if entry == variable {
			return true
		}
	}
	return false
}

func allPIDs() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll ends processes until find finds none, because what is being killed may have started more in the meantime.
func killAll(find func() []process, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		found := find()
		if len(found) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes do not end, the first is %d", len(found), found[0].PID)
		}
		for _, p := range found {
			if err := p.signal(unix.SIGKILL); err != nil {
				return err
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}
