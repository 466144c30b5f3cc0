package serve

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestASmallHeapHasRoom(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 1: 400, 4 << 20: 400, 5 << 20: 300, 8 << 20: 200, 10 << 20: 150, 16 << 20: 100, 17 << 20: 100, 1 << 40: 100,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("%d live bytes: GOGC %d, want %d", live, got, want)
		}
		if room := live * uint64(percentFor(live)) / 100; room > max(heapRoom, live) {
			t.Errorf("%d live bytes: room for %d more", live, room)
		}
	}
}

func TestTheCollectorFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	RelaxCollector()
	awaitPercent(t, mostPercent)
	held := make([]byte, 64<<20)
	awaitPercent(t, 100)
	runtime.KeepAlive(held)
	awaitPercent(t, mostPercent)
}

func awaitPercent(t *testing.T, want uint64) {
	t.Helper()
	percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		// The cleanup runs some time after the collection.
		runtime.GC()
		metrics.Read(percent)
		if percent[0].Value.Uint64() == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("GOGC is %d, want %d", percent[0].Value.Uint64(), want)
		}
	}
}
