// Command sampleapp is a small Gin service on ginkit: what a GinService runs in the demo and the tests, and a pattern to copy from.
//
// It reads the environment that the operator sets in a pod, says in each answer which version, colour, revision and pod gave it, keeps
// users, calls another service, and has endpoints that make load and errors on demand. Everything that makes it fit for production
// comes from ginkit; its own settings are in settings.go, and docs/sampleapp.md describes both.
package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-operator/gin-operator/ginkit"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.0". APP_VERSION overrides it.
var version = "dev"

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	ginkit.Exit(run(os.Environ(), signals, os.Stderr))
}

// run serves until a signal has stopped it, which is a nil error, or until something went wrong.
func run(environ []string, signals <-chan os.Signal, logs io.Writer) error {
	s, err := newService(environ, signals, logs)
	if err != nil {
		return err
	}
	if delay := s.settings.StartupDelay; delay > 0 {
		s.kit.Log().Info("waiting, as STARTUP_DELAY asks", "delay", delay.String())
		select {
		case <-time.After(delay):
		case <-signals:
			return nil
		}
	}
	if after := s.settings.CrashAfter; after > 0 {
		// As a crash is: no drain, whatever is in flight.
		time.AfterFunc(after, func() { ginkit.Exit(errors.New("crashing, as CRASH_AFTER asks")) })
	}
	return s.kit.Run()
}
