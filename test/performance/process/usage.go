package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is the unit of CPU times in /proc: it is 100 on every architecture that Go knows for Linux.
const ticksPerSecond = 100

// Usage is what a process has used since it began.
type Usage struct {
	// CPUSeconds is its CPU time, of user and system.
	CPUSeconds float64
	// PeakMiB is the most memory that it had at any time, in MiB of resident set.
	PeakMiB float64
	// NowMiB is what it has now.
	NowMiB float64
}

// Usage returns what the process has used. It fails where it has ended, and where there is no /proc, as there is on Linux.
func (p *Process) Usage() (Usage, error) {
	pid := p.cmd.Process.Pid
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("reading what process %d has used: %w", pid, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("reading what process %d has used: %w", pid, err)
	}
	return parseUsage(string(stat), string(status))
}

func parseUsage(stat, status string) (Usage, error) {
	var u Usage
	// The second field is the name in brackets, which may have spaces and brackets of its own.
	_, rest, found := strings.Cut(stat[max(strings.LastIndexByte(stat, ')'), 0):], ") ")
	fields := strings.Fields(rest)
	const user, system = 11, 12
	if !found || len(fields) <= system {
		return u, fmt.Errorf("reading /proc/PID/stat: it is %q", stat)
	}
	for _, field := range []string{fields[user], fields[system]} {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return u, fmt.Errorf("reading /proc/PID/stat: %w", err)
		}
		u.CPUSeconds += ticks / ticksPerSecond
	}
	var err error
	if u.PeakMiB, err = mebibytes(status, "VmHWM:"); err != nil {
		return u, err
	}
	u.NowMiB, err = mebibytes(status, "VmRSS:")
	return u, err
}

func mebibytes(status, key string) (float64, error) {
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != key {
			continue
		}
		kibibytes, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s of /proc/PID/status: %w", key, err)
		}
		return kibibytes / 1024, nil
	}
	return 0, fmt.Errorf("reading /proc/PID/status: it has no %s", key)
}
