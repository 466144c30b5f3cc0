package config_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gin-operator/gin-operator/ginkit/config"
)

// Config is what can be set from outside.
type Config struct {
	Timeout  time.Duration `env:"TIMEOUT" default:"30s" min:"1ms" max:"1h" help:"the longest that a request may take"`
	LogLevel slog.Level    `env:"LOG_LEVEL" default:"info" reload:"true"`
	Requests string        `env:"LOG_REQUESTS" default:"problems" oneof:"problems all none"`
	Rate     float64       `env:"ERROR_RATE" min:"0" max:"1"`
	Token    config.Secret `env:"TOKEN" required:"true" min:"16"`
	Database struct {
		Host string `env:"HOST" default:"localhost"`
		Pool int    `env:"POOL" default:"10" min:"1" max:"100"`
	} `prefix:"DB_"`
}

func Example() {
	// A service takes os.Environ().
	environment := []string{"TIMEOUT=5s", "TOKEN=0123456789abcdef", "DB_HOST=db.example.com"}
	cfg, err := config.Read[Config](config.Environment(environment))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(cfg.Timeout, cfg.LogLevel, cfg.Token, cfg.Database.Host)
	// Output: 5s INFO [redacted] db.example.com
}

func ExampleRead_errors() {
	_, err := config.Read[Config](config.Environment([]string{"TIMEOUT=5", "TOKEN=short", "DB_POOL=many", "ERROR_RATE=1.5"}))
	fmt.Println(err)
	// Output:
	// TIMEOUT: "5" is not a time with a unit (250ms, 2s) from 1ms to 1h
	// ERROR_RATE: "1.5" is not a number from 0 to 1
	// TOKEN: the value, which is not shown, is not a secret of at least 16 bytes
	// DB_POOL: "many" is not a whole number from 1 to 100
}

func ExampleWatch() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	level := new(slog.LevelVar)
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	reader, err := config.Watch(ctx, log, func(_, after Config) { level.Set(after.LogLevel) },
		config.Environment([]string{"LOG_LEVEL=warn", "TOKEN=0123456789abcdef"}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	// onChange tells of changes, and not of the beginning.
	level.Set(reader.Get().LogLevel)
	fmt.Println(level)
	// Output: LevelVar(WARN)
}

func ExampleDescribe() {
	fmt.Print(config.Describe[Config]())
	// Output:
	// NAME          VALUE                                          DEFAULT    CHANGES   MEANING
	// TIMEOUT       a time with a unit (250ms, 2s) from 1ms to 1h  30s        at start  the longest that a request may take
	// LOG_LEVEL     debug, info, warn or error                     info       at once
	// LOG_REQUESTS  problems, all or none                          problems   at start
	// ERROR_RATE    a number from 0 to 1                           -          at start
	// TOKEN         a secret of at least 16 bytes                  required   at start
	// DB_HOST       a text                                         localhost  at start
	// DB_POOL       a whole number from 1 to 100                   10         at start
}
