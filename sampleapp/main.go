// Command sampleapp is an instrumented Gin service: what a GinService runs in the demo and the tests, and a pattern to copy from.
//
// It reads the environment that the operator sets in a pod (PORT, METRICS_PORT, POD_NAME, GIN_SERVICE_*), says in each answer which
// version, colour, revision and pod gave it, serves metrics, health and load endpoints, and stops without losing a request. Settings
// such as ERROR_RATE and FAIL_READY make it play a bad version; see config.go for all of them.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.0". APP_VERSION overrides it.
var version = "dev"

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	// Gin prints its routes as plain text in any other mode, in the middle of the JSON logs.
	gin.SetMode(gin.ReleaseMode)
	if err := run(os.LookupEnv, signals, os.Stderr); err != nil {
		newLogger(os.Stderr, slog.LevelInfo).Error("sampleapp ends: " + err.Error())
		os.Exit(1)
	}
}

// run serves until a signal has stopped it, which is a nil error, or until something went wrong.
func run(lookup func(string) (string, bool), signals <-chan os.Signal, logs io.Writer) error {
	cfg, err := readConfig(lookup)
	if err != nil {
		return fmt.Errorf("reading the environment: %w", err)
	}
	log := newLogger(logs, cfg.logLevel)
	if delay := cfg.faults.startupDelay; delay > 0 {
		log.Info("waiting, as STARTUP_DELAY asks", "delay", delay.String())
		select {
		case <-time.After(delay):
		case <-signals:
			return nil
		}
	}
	return newServer(cfg, log).serve(signals)
}
