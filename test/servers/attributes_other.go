//go:build unix && !linux

package servers

import "syscall"

// attributes leaves a server running when the process of the test is killed: only Linux can do better.
func attributes(account *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: account}
}
