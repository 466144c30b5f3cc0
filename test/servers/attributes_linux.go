package servers

import "syscall"

// attributes has a server ended by the kernel when the process of the test is gone.
func attributes(account *syscall.Credential, death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death, Credential: account}
}
