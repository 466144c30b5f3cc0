package process

import (
	"runtime"
	"syscall"
)

// The kernel sends the signal when the thread ends that started the process. The main goroutine starts them all, and stays on the main
// thread, which lives as long as the benchmark.
func init() { runtime.LockOSThread() }

func endWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGKILL }
