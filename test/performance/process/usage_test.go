package process

import "testing"

func TestUsageIsReadFromProc(t *testing.T) {
	stat := "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 1000 1 1"
	status := "Name:\tmanager\nVmHWM:\t   61440 kB\nVmRSS:\t   51200 kB\n"
	got, err := parseUsage(stat, status)
	if err != nil {
		t.Fatal(err)
	}
	want := Usage{CPUSeconds: 2, PeakMiB: 60, NowMiB: 50}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := parseUsage("nonsense", status); err == nil {
		t.Error("nonsense was taken for a process")
	}
	if _, err := parseUsage(stat, "Name:\tmanager\n"); err == nil {
		t.Error("a process without memory was believed")
	}
}
